import { descriptions, element } from "./element.js";
import { attachStep } from "./form_step.js";
import { callSigned } from "./session.js";
import { formatMoment } from "./time_window.js";

const STATES = { asked: "Waits to be granted", granted: "Open", over: "Over" };
const PROMPT_STATES = { delivered: "sent", answered: "answered", expired: "not answered in time", suppressed: "held back" };
const CHANNELS = { inbox: "on the owner's page only", webhook: "through an app", push: "by a notification", mail: "by mail" };
const HEADS = { cameras: ["Camera", "Longitude", "Latitude", "Is asked"], prompts: ["Request", "What came of it", "Asked"] };

/** What the staff asks to know of single owners: who of them asked for what, who granted it, and the data while it is open. */
export class Accesses {
  /**
   * part  holds a form, a status, a button and the list, by data-accesses
   */
  constructor(part) {
    const [form, status, renew, list] = ["form", "status", "renew", "list"].map((name) =>
      part.querySelector(`[data-accesses="${name}"]`),
    );
    Object.assign(this, { form, status, list });
    attachStep(form, () => this.ask());
    renew.addEventListener("click", () => this.attempt(renew, status, () => this.load()));
  }

  /** Show all anew; data that was on show is not: each reading is noted. */
  async load() {
    const { accesses } = await callSigned("GET", "break-glass");
    this.list.replaceChildren(...accesses.map((access) => this.render(access)));
    this.status.textContent = accesses.length === 0 ? "Nobody has asked for any." : "";
  }

  async ask() {
    const { owner, reason, hours } = this.form.elements;
    const body = { owner: owner.value.trim(), reason: reason.value.trim(), hours: Number(hours.value) };
    const { id } = await callSigned("POST", "break-glass", { body: JSON.stringify(body) });
    this.form.reset();
    await this.load();
    this.tell(`Access ${id} is asked for. Now another of the staff has to grant it.`);
  }

  render(access) {
    const { id, state } = access;
    const refusal = element("p", { className: "error", role: "alert", tabIndex: -1 });
    const data = element("div", { className: "opened", hidden: true });
    const button = (label, act) => {
      const made = element("button", { type: "button", className: "small", "aria-label": `${label}: access ${id}` }, label);
      made.addEventListener("click", () => this.attempt(made, refusal, act));
      return made;
    };
    return element(
      "article",
      { className: "card access", id: `access-${id}` },
      element("h3", {}, `Access ${id}: `, element("span", { className: `state ${state}` }, STATES[state])),
      descriptions(factsOf(access)),
      element(
        "div",
        { className: "person-controls" },
        access.may_grant ? button("Grant it", () => this.change(id, "grant", "is open to who asked")) : null,
        access.may_read ? button("Read the data", () => this.read(id, data)) : null,
        access.may_end ? button(labelOfEnd(access), () => this.change(id, "end", "is over")) : null,
      ),
      refusal,
      data,
    );
  }

  /** Do what a button is for, once at a time, and say why not if it was refused. */
  async attempt(button, refusal, act) {
    refusal.textContent = "";
    button.disabled = true;
    try {
      await act();
    } catch (problem) {
      refusal.textContent = problem.message;
      refusal.focus();
    } finally {
      button.disabled = false;
    }
  }

  async change(id, what, after) {
    await callSigned("POST", `break-glass/${id}/${what}`);
    await this.load();
    this.tell(`Access ${id} ${after}.`);
  }

  async read(id, shown) {
    const data = await callSigned("GET", `break-glass/${id}/owner`);
    shown.replaceChildren(...renderData(data));
    shown.hidden = false;
    this.tell(`The data of access ${id} is on show; that it was read is in the audit.`);
  }

  tell(text) {
    this.status.textContent = text;
    this.status.focus();
  }
}

function factsOf({ owner, reason, state, asked_by, asked_at, granted_by, granted_at, ended_by, ends_at }) {
  const facts = [
    ["Why", reason],
    ["Asked for by", `${asked_by.name}, ${formatMoment(asked_at)}`],
  ];
  if (owner !== null) facts.unshift(["Whose data", owner]);
  if (granted_by !== null) facts.push(["Granted by", `${granted_by.name}, ${formatMoment(granted_at)}`]);
  if (state === "over") facts.push(["Ended", describeEnd({ granted_by, ended_by, ends_at })]);
  else facts.push(["Until", formatMoment(ends_at)]);
  return facts;
}

function describeEnd({ granted_by: granter, ended_by: ender, ends_at }) {
  if (ender !== null) return `by ${ender.name}, ${formatMoment(ends_at)}`;
  return `${granter === null ? "without being granted, " : ""}${formatMoment(ends_at)}`;
}

/** What ending is, to who looks at it: who asked takes it back, who is to grant it turns it down. */
function labelOfEnd({ state, may_grant }) {
  if (state === "granted") return "End it now";
  return may_grant ? "Turn it down" : "Take it back";
}

function renderData({ owner, opted_out_at, channel, language, mail_address, cameras, prompts }) {
  return [
    element("h4", {}, "What there is about the owner"),
    descriptions([
      ["Owner", owner],
      ["Is asked", opted_out_at === null ? "yes" : `not since ${formatMoment(opted_out_at)}`],
      ["Is told", CHANNELS[channel] ?? channel],
      ["Mail", mail_address ?? "none"],
      ["Language", language ?? "not said"],
    ]),
    renderTable(
      `Cameras: ${cameras.length}`,
      HEADS.cameras,
      cameras.map(({ id, lon, lat, is_muted }) => [id, lon, lat, is_muted ? "no" : "yes"]),
    ),
    renderTable(
      `Prompts: ${prompts.length}`,
      HEADS.prompts,
      prompts.map((prompt) => [
        prompt.request_id,
        describePrompt(prompt),
        prompt.asked_at === null ? "" : formatMoment(prompt.asked_at),
      ]),
    ),
  ];
}

function describePrompt({ state, choice, withdrawn_at }) {
  if (choice === null) return PROMPT_STATES[state] ?? state;
  const said = choice === "share" ? "agreed to share" : "declined";
  return withdrawn_at === null ? said : `${said}, and withdrew it ${formatMoment(withdrawn_at)}`;
}

/** A table that a phone shows as cards; each cell names its column, for no head is shown there. */
function renderTable(title, heads, rows) {
  const table = element(
    "table",
    { className: "rows" },
    element("caption", {}, title),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element(
      "tbody",
      {},
      ...rows.map((cells) =>
        element("tr", {}, ...cells.map((text, number) => element("td", { "data-head": heads[number] }, String(text)))),
      ),
    ),
  );
  return rows.length === 0 ? element("p", {}, `${title}.`) : table;
}
