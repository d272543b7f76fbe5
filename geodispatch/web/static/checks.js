import { descriptions, element } from "./element.js";
import { findPlace, markFields } from "./field_errors.js";

/** A broken rule: what is wrong, what was found, the limit, and what would make it pass. */
export function renderBreach({ detail, seen, limit, remedy }) {
  const facts = [
    ["Found", seen],
    ["Limit", limit],
    ["To pass", remedy],
  ];
  // What cannot even be read breaks no rule, and only says what is wrong.
  return element("li", {}, element("p", {}, detail), remedy === undefined ? null : descriptions(facts));
}

/** All that live checks find wrong with a request being written, each next to the member that it concerns. */
export class Checks {
  /**
   * root     the element that holds all places, data-check
   * summary  a list in the preview's live region: what is wrong further down the page, with the way there
   */
  constructor(root, summary) {
    Object.assign(this, { root, summary, places: [...root.querySelectorAll("[data-check]")] });
  }

  /** Show these in place of all that were on show. */
  show(breaches) {
    this.clear();
    for (const breach of breaches) {
      const place = findPlace(this.places, "check", breach.pointer);
      place.append(renderBreach(breach));
      if (!isOfFence(breach)) this.summary.append(this.summarise(place, breach));
    }
    markFields(this.root);
  }

  clear() {
    for (const place of [...this.places, this.summary]) place.replaceChildren();
    markFields(this.root);
  }

  summarise(place, { detail }) {
    const field = this.root.querySelector(`[data-pointer="${place.dataset.check}"]`);
    const link = element("a", { href: `#${field.id}` }, field.labels[0].textContent);
    link.addEventListener("click", (event) => {
      event.preventDefault(); // the address stays as it is
      field.focus();
    });
    return element("li", {}, link, `: ${detail}`);
  }
}

/** Whether what is wrong is the fence itself, whose place is the preview. */
export function isOfFence({ pointer }) {
  return !/^\/(case_number|offence|text|contact|window|exigent_reason)(\/|$)/.test(pointer);
}
