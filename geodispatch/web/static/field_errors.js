// A field carries data-pointer="/window/start" and, next to it, an element with data-error of the same value.
// A problem's errors[].pointer then finds its place without a table.

/** Take all errors off the fields inside `root`. */
export function clearErrors(root) {
  for (const place of root.querySelectorAll("[data-error]")) place.replaceChildren();
  for (const field of root.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
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
  const touched = new Set();
  for (const { pointer, detail } of errors) {
    const place = findPlace(places, pointer);
    const line = document.createElement("span");
    line.textContent = detail;
    place.append(line);
    touched.add(place.dataset.error);
  }
  const fields = [...root.querySelectorAll("[data-pointer]")].filter((field) => touched.has(field.dataset.pointer));
  for (const field of fields) field.setAttribute("aria-invalid", "true");
  // A field in a closed <details> can't take the focus; the place of its error can.
  const targets = [...fields, ...places.filter((place) => touched.has(place.dataset.error))];
  if (focus) targets.find((target) => target.checkVisibility())?.focus();
}

function findPlace(places, pointer) {
  const above = places
    .filter(({ dataset: { error } }) => error !== "" && (pointer === error || pointer.startsWith(`${error}/`)))
    .sort((a, b) => b.dataset.error.length - a.dataset.error.length);
  const below = pointer === "" ? undefined : places.find(({ dataset: { error } }) => error.startsWith(`${pointer}/`));
  return above[0] ?? below ?? places.find(({ dataset: { error } }) => error === "");
}
