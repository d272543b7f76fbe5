import { element } from "./element.js";

/** One line: what it is, something quiet about it, and what can be done. */
export function line(name, about, ...controls) {
  return element(
    "div",
    { className: "card person" },
    element("div", {}, element("strong", {}, name), element("p", { className: "quiet" }, about)),
    element("div", { className: "person-controls" }, ...controls),
  );
}

/** Lines of people, keys and invitations, whose buttons act. */
export class People {
  /**
   * refusal  the element that says why something was refused
   * renew    shows everything anew
   */
  constructor({ refusal, renew }) {
    Object.assign(this, { refusal, renew });
  }

  /** A button that acts, shows everything anew, and says why not if it was refused. */
  button(label, name, act) {
    const made = element("button", { type: "button", className: "small", "aria-label": `${label}: ${name}` }, label);
    made.addEventListener("click", () => this.attempt(act));
    return made;
  }

  async attempt(act) {
    this.refusal.textContent = "";
    try {
      await act();
    } catch (problem) {
      this.refusal.textContent = problem.message;
      this.refusal.focus();
    }
    await this.renew();
  }
}

/** Show what is shown only once: the link of an invitation. */
export function showLink(shown, { email, path }) {
  shown.replaceChildren(`Send this to ${email} yourself; it is not shown again: `, element("code", {}, location.origin + path));
  shown.hidden = false;
}
