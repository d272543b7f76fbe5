const SVG = "http://www.w3.org/2000/svg";

/**
 * Build an element whose text cannot become markup: strings among `children` become text nodes.
 * A property with a dash is set as an attribute (`aria-label`), any other as a property (`className`).
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Build an SVG element; everything is an attribute there. */
export function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Build a `<dl>` of (term, description) pairs; a description is text or a node. */
export function descriptions(pairs, className = "facts") {
  return element(
    "dl",
    { className },
    ...pairs.map(([term, text]) => element("div", {}, element("dt", {}, term), element("dd", {}, text))),
  );
}
