// A field carries data-pointer="/window/start" and, next to it, an element with data-error of the same value.
// A problem's errors[].pointer then finds its place without a table. What live checks find has places of its own,
// data-check, since it comes and goes while somebody writes.

/** Take all errors off the fields inside `root`. */
export function clearErrors(root) {
  for (const place of root.querySelectorAll("[data-error]")) place.replaceChildren();
  markFields(root);
}

/** Take the errors off one field inside `root`, which is being changed. */
export function clearFieldErrors(root, field) {
  for (const place of root.querySelectorAll("[data-error]")) {
    if (place.dataset.error === field.dataset.pointer) place.replaceChildren();
  }
  markFields(root);
}

/**
 * Put each error at the field that it points to.
 *
 * errors  [{pointer, detail}], RFC 6901 pointers into the request's body
 * focus   move to the first of them; not for errors that appear while the person does something else
 *
 * Edges: "/fence/coordinates/0/3" lands at "/fence", its nearest ancestor with a place; "/window" lands at
 *        "/window/start", its first descendant; an error without any place lands at "".
 */
export function placeErrors(root, errors, { focus = true } = {}) {
  const places = [...root.querySelectorAll("[data-error]")];
  for (const { pointer, detail } of errors) {
    const line = document.createElement("span");
    line.textContent = detail;
    findPlace(places, "error", pointer).append(line);
  }
  markFields(root);
  if (focus) focusFirst(root);
}

/** The place, out of those with data-error or data-check (`kind`), of what a pointer concerns; see `placeErrors`. */
export function findPlace(places, kind, pointer) {
  const above = places
    .filter(({ dataset: { [kind]: at } }) => at !== "" && (pointer === at || pointer.startsWith(`${at}/`)))
    .sort((a, b) => b.dataset[kind].length - a.dataset[kind].length);
  const below = pointer === "" ? undefined : places.find(({ dataset }) => dataset[kind].startsWith(`${pointer}/`));
  return above[0] ?? below ?? places.find(({ dataset }) => dataset[kind] === "");
}

/** Mark as invalid those fields that have something at one of their places, and no others. */
export function markFields(root) {
  const wrong = new Set(filledPlaces(root).map(({ dataset }) => dataset.error ?? dataset.check));
  for (const field of root.querySelectorAll("[data-pointer]")) {
    if (wrong.has(field.dataset.pointer)) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}

/** Move to the first field at which something is wrong. */
export function focusFirst(root) {
  // A field in a closed <details> can't take the focus; the place of its error can.
  const targets = [...root.querySelectorAll("[data-pointer][aria-invalid]"), ...filledPlaces(root)];
  targets.find((target) => target.checkVisibility())?.focus();
}

function filledPlaces(root) {
  return [...root.querySelectorAll("[data-error], [data-check]")].filter((place) => place.childElementCount > 0);
}
