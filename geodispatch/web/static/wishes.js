import { call } from "./api.js";
import { element } from "./element.js";
import { clearErrors, placeErrors } from "./field_errors.js";

/** How an owner wishes to be asked: the form over `preferences`. What is saved counts at once. */
export class Wishes {
  /**
   * form       the `<form>`
   * readToken  returns the owner's token or null
   * explain    turns a `Problem` into words
   */
  constructor({ form, readToken, explain }) {
    const submit = form.querySelector("[type=submit]");
    Object.assign(this, { form, submit, readToken, explain, agencies: {}, wished: null });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    form.elements.quiet.forEach((choice) => choice.addEventListener("change", () => this.offerHours()));
  }

  /** Have nothing saved until what is wished is loaded: an empty form, or another owner's, would undo all of it. */
  clear() {
    this.wished = null;
    this.submit.disabled = true;
  }

  /** Show what is wished now; `agencies` are those that have asked or wished to, as {slug: name}. */
  async load(gazette, agencies) {
    Object.assign(this, { gazette, agencies });
    this.wished = await call("GET", "preferences", { key: this.readToken() });
    this.show();
    this.submit.disabled = false;
  }

  /** Let agencies be muted that asked since, and leave what is chosen and not yet saved. */
  addAgencies(agencies) {
    const fresh = Object.entries(agencies).filter(([slug]) => !(slug in this.agencies));
    Object.assign(this.agencies, agencies);
    if (this.wished !== null) this.offer("agencies", fresh, []);
  }

  show() {
    const { wished, form } = this;
    const { opted_out, week_max, channel, language, hours_start, hours_end } = form.elements;
    opted_out.checked = wished.opted_out;
    week_max.value = wished.week_max ?? "";
    channel.value = wished.channel ?? "";
    language.value = wished.language ?? "";
    const own = wished.quiet_hours !== null && wished.quiet_hours !== "none";
    form.elements.quiet.value = own ? "own" : (wished.quiet_hours ?? "usual");
    [hours_start.value, hours_end.value] = own ? wished.quiet_hours.split("-") : ["21:00", "08:00"];
    this.offerHours();
    const names = { ...Object.fromEntries(wished.muted_agencies.map((slug) => [slug, slug])), ...this.agencies };
    for (const list of form.querySelectorAll("[data-list]")) list.replaceChildren();
    this.offer("agencies", Object.entries(names), wished.muted_agencies);
    this.offer("offences", [...this.gazette.titles], wished.muted_offences);
    this.offer("cameras", wished.cameras.map((name) => [name, name]), wished.muted_cameras);
  }

  /** Lengthen one list of check boxes. */
  offer(kind, entries, checked) {
    const boxes = entries.map(([value, title]) => {
      const box = element("input", { type: "checkbox", name: kind, value, checked: checked.includes(value) });
      return element("label", { className: "check" }, box, element("span", {}, title));
    });
    const list = this.form.querySelector(`[data-list="${kind}"]`);
    list.append(...boxes);
    list.closest("fieldset").hidden = list.childElementCount === 0;
  }

  offerHours() {
    this.form.querySelector("[data-hours]").hidden = this.form.elements.quiet.value !== "own";
  }

  read() {
    const { opted_out, week_max, channel, language, hours_start, hours_end, quiet } = this.form.elements;
    const own = `${hours_start.value}-${hours_end.value}`;
    return {
      opted_out: opted_out.checked,
      muted_agencies: this.chosen("agencies"),
      muted_offences: this.chosen("offences"),
      muted_cameras: this.chosen("cameras"),
      week_max: week_max.value === "" ? null : Number(week_max.value),
      quiet_hours: { usual: null, none: "none", own }[quiet.value],
      channel: channel.value || null,
      language: language.value.trim() || null,
    };
  }

  chosen(kind) {
    return [...this.form.querySelectorAll(`[name="${kind}"]:checked`)].map((box) => box.value);
  }

  async save() {
    const said = this.form.querySelector("[data-said]");
    clearErrors(this.form);
    said.textContent = "";
    const { quiet, hours_start, hours_end } = this.form.elements;
    if (quiet.value === "own" && !(hours_start.value && hours_end.value)) {
      placeErrors(this.form, [{ pointer: "/quiet_hours", detail: "Enter when the quiet hours begin and when they end." }]);
      return;
    }
    this.submit.disabled = true;
    try {
      const body = JSON.stringify(this.read());
      this.wished = await call("PUT", "preferences", { key: this.readToken(), body });
      this.show();
      said.textContent = this.wished.opted_out
        ? "Saved. Nobody will ask you any more, from this moment on."
        : "Saved. It counts from this moment on.";
    } catch (problem) {
      const errors = problem.errors.length > 0 ? problem.errors : [{ pointer: "", detail: this.explain(problem) }];
      placeErrors(this.form, errors);
    } finally {
      this.submit.disabled = false;
    }
  }
}
