import { element } from "./element.js";
import { findPlaces, loadPlaces } from "./places.js";

/**
 * Make an input a search box over the places (the ARIA combobox pattern with a list).
 *
 * input    an `<input>`; list an empty `<ul role=listbox>`
 * choose   called with the {name, lon, lat} that was chosen
 */
export function attachPlaceSearch(input, list, choose) {
  let found = [];
  let active = -1;

  function mark(row) {
    active = row;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === row)));
    if (row < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", list.children[row].id);
      list.children[row].scrollIntoView({ block: "nearest" });
    }
  }

  function show(places) {
    found = places;
    list.replaceChildren(...places.map(({ name }, row) => element("li", { role: "option", id: `place-${row}` }, name)));
    list.hidden = places.length === 0;
    input.setAttribute("aria-expanded", String(places.length > 0));
    mark(places.length > 0 ? 0 : -1);
  }

  function take(row) {
    const place = found[row];
    input.value = place.name;
    show([]);
    choose(place);
  }

  input.addEventListener("input", async () => {
    const query = input.value;
    const places = await loadPlaces().catch(() => []);
    if (query === input.value) show(findPlaces(places, query));
  });
  input.addEventListener("keydown", (event) => {
    if (found.length === 0) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) mark((active + step + found.length) % found.length);
    else if (event.key === "Enter") take(active);
    else if (event.key === "Escape") show([]);
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => show([]));
  // mousedown comes before blur, which would empty the list under the pointer.
  list.addEventListener("mousedown", (event) => {
    const row = [...list.children].indexOf(event.target);
    event.preventDefault();
    if (row >= 0) take(row);
  });
}
