import { element } from "./element.js";
import { clearErrors, clearFieldErrors, placeErrors } from "./field_errors.js";
import { callSigned, readSession } from "./session.js";
import { describeZone, readLocalInput } from "./time_window.js";

const TEXT_MAX_CHARS = 2000;

/** The form of one request. The server decides what is allowed; the browser only asks for what is missing. */
export class RequestForm {
  /**
   * form       the `<form>`, whose fields are named as in the API
   * root       the element that holds all places for errors, the form's and the fence's
   * readFence  returns the fence on show or null
   * onChange   called whenever somebody has changed a field
   * onPublished, onRefusal  called with the new request, or with the `Problem` that came instead
   */
  constructor({ form, root, readFence, onChange, onPublished, onRefusal }) {
    Object.assign(this, { form, root, readFence, onPublished, onRefusal, sent: null });
    form.addEventListener("input", ({ target }) => {
      clearFieldErrors(root, target);
      onChange();
    });
    form.elements.window_start.addEventListener("input", () => this.nameZone());
    form.elements.text.addEventListener("input", () => this.count());
    form.elements.exigent.addEventListener("change", () => this.showExigency());
    this.nameZone();
    this.count();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  /** Fill the closed list of offences. */
  offer(offences) {
    const options = offences.map(({ code, title }) => element("option", { value: code }, title));
    this.form.elements.offence.append(...options);
  }

  /** Say in which zone times are read, with its offset at the start of the window: summer time may have ended since. */
  nameZone() {
    const start = readLocalInput(this.form.elements.window_start.value);
    const zone = describeZone(start === null ? new Date() : new Date(start));
    this.form.querySelector("[data-zone]").textContent = `Times are in your zone, ${zone}.`;
  }

  count() {
    const { length } = this.form.elements.text.value;
    const counter = this.form.querySelector("[data-counter]");
    counter.textContent = `${length.toLocaleString()} of ${TEXT_MAX_CHARS.toLocaleString()} characters`;
    counter.classList.toggle("over", length > TEXT_MAX_CHARS);
  }

  /** Ask for the reason of one that cannot wait; of any other, none is sent. */
  showExigency() {
    const { exigent, exigent_reason: reason } = this.form.elements;
    this.form.querySelector("#exigent-part").hidden = !exigent.checked;
    reason.required = exigent.checked;
    reason.disabled = !exigent.checked;
    if (exigent.checked) reason.focus();
    else clearFieldErrors(this.root, reason);
  }

  async submit() {
    clearErrors(this.root);
    const missing = this.findMissing();
    if (missing.length > 0) {
      placeErrors(this.root, missing);
      return;
    }
    const body = JSON.stringify(this.read());
    // The same body keeps its key until it is accepted, so sending it again can't ask twice; another body is
    // another request and must not be taken for the first.
    if (this.sent?.body !== body) this.sent = { body, idempotencyKey: crypto.randomUUID() };
    const button = this.form.querySelector("[type=submit]");
    button.disabled = true;
    let request;
    try {
      const headers = { "Idempotency-Key": this.sent.idempotencyKey };
      request = await callSigned("POST", "requests", { body, headers });
    } catch (problem) {
      this.onRefusal(problem);
      return;
    } finally {
      button.disabled = false;
    }
    this.sent = null;
    this.reset();
    this.onPublished(request);
  }

  read() {
    const { case_number, offence, text, contact_name, contact_email, window_start, window_end } = this.form.elements;
    const { exigent, exigent_reason } = this.form.elements;
    return {
      case_number: case_number.value.trim(),
      offence: offence.value,
      text: text.value.trim(),
      contact: { name: contact_name.value.trim(), email: contact_email.value.trim() },
      window: { start: readLocalInput(window_start.value), end: readLocalInput(window_end.value) },
      fence: this.readFence(),
      exigent_reason: exigent.checked ? exigent_reason.value.trim() : null,
    };
  }

  /** As much of the request as there is, with null for what is not there yet. */
  readDraft() {
    const whole = this.read();
    const { start, end } = whole.window;
    return {
      case_number: whole.case_number || null,
      offence: whole.offence || null,
      text: whole.text || null,
      contact: { name: whole.contact.name || null, email: whole.contact.email || null },
      window: start === null || end === null ? null : whole.window,
      fence: whole.fence,
      exigent_reason: whole.exigent_reason || null,
    };
  }

  /** What a person forgot, as errors of the kind that the server sends. */
  findMissing() {
    const errors = [];
    if (readSession() === null) errors.push({ pointer: "/session", detail: "Sign in first." });
    if (this.readFence() === null) errors.push({ pointer: "/fence", detail: "Draw or paste a fence first." });
    for (const field of this.form.querySelectorAll("[data-pointer]")) {
      if (!field.validity.valid) errors.push({ pointer: field.dataset.pointer, detail: field.validationMessage });
    }
    return errors;
  }

  /** Empty what belongs to one request; the contact is likely the same next time. */
  reset() {
    const { contact_name, contact_email } = this.form.elements;
    const [name, email] = [contact_name.value, contact_email.value];
    this.form.reset();
    [contact_name.value, contact_email.value] = [name, email];
    this.nameZone();
    this.count();
    this.showExigency();
  }
}
