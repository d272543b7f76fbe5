import { CORRECTION, JUSTIFICATION, factsOfExigency, renderAddition, renderRefusal } from "./additions.js";
import { renderBreach } from "./checks.js";
import { agrees } from "./dialogs.js";
import { element } from "./element.js";
import { RequestPages, renderRequest } from "./requests.js";
import { callSigned } from "./session.js";
import { formatMoment } from "./time_window.js";

const WAITS_FOR = {
  supervisor: "a supervisor, who is not the one who submitted it",
  reviewers: "a reviewer, who belongs to no agency",
};

// What can be done with a request: the words, and what is asked once more, for none of it can be undone.
const APPROVE = {
  label: "Approve and publish",
  title: "Publish this request?",
  text: "It becomes public at once, its owners are asked, and it cannot be unpublished.",
  path: "approve",
  done: "is public. Owners decide; you will not see who was asked.",
};
const SEND_BACK = {
  label: "Send back",
  title: "Send this request back?",
  text: "It will not be published. Whoever wrote it can submit another one.",
  path: "close",
  body: { reason: "withdrawn" },
  done: "was sent back. Nobody was asked.",
};
const TAKE_BACK = {
  ...SEND_BACK,
  label: "Take back",
  title: "Take this request back?",
  text: "It will not be published. You can submit another one.",
  done: "was taken back. Nobody was asked.",
};
const RESOLVE = {
  label: "Close as resolved",
  title: "Close this request as resolved?",
  text: "No more owners are asked and none can answer. It stays public.",
  path: "close",
  body: { reason: "resolved" },
  done: "is closed.",
};
const WITHDRAW = {
  ...RESOLVE,
  label: "Withdraw",
  title: "Withdraw this request?",
  body: { reason: "withdrawn" },
  done: "is withdrawn. It stays public.",
};

/** The requests of the agency of whoever is signed in, in all states, with what they may do about each. */
export class Board {
  /**
   * part      the element that holds the board: places with data-board, and a dialog
   * show      see `renderRequest`
   * onChange  called whenever requests have changed
   * onRefusal called with the `Problem` when it is the caller who is refused
   */
  constructor({ part, show, onChange, onRefusal }) {
    const find = (name) => part.querySelector(`[data-board="${name}"]`);
    Object.assign(this, { find, show, onChange, onRefusal, waiting: [] });
    this.pages = new RequestPages({
      list: find("list"),
      status: find("status"),
      more: find("more"),
      read: (query) => this.read(this.filter === "" ? query : `${query}&state=${this.filter}`),
      render: (request, gazette) => this.render(request, gazette),
      none: "There are none.",
    });
    find("filter").addEventListener("change", () => this.pages.load());
    find("renew").addEventListener("click", () => this.load());
  }

  get filter() {
    return this.find("filter").value;
  }

  async load() {
    this.say("");
    await Promise.all([this.pages.load(), this.count()]);
  }

  /** Show nothing of what the last member saw. */
  clear() {
    this.say("");
    this.pages.clear();
    this.waiting = [];
    this.find("filter").value = "";
    this.onChange();
  }

  /** Put one request before the reader, whatever was on show. */
  async goTo(id) {
    this.find("filter").value = "";
    await this.load();
    const article = document.getElementById(`board-${id}`);
    article?.classList.add("new");
    article?.focus();
  }

  /** Find what waits for a supervisor, on whatever page it is. */
  async count() {
    try {
      const { requests } = await this.read("limit=200&state=review");
      this.waiting = requests.filter(({ waits_for }) => waits_for === "supervisor");
    } catch {
      this.waiting = []; // the list, which is read at the same time, says why
    }
    const own = this.waiting.filter(({ may_approve }) => may_approve).length;
    const verb = this.waiting.length === 1 ? "request waits" : "requests wait";
    const yours = own === 0 ? "" : ` You can approve ${own === this.waiting.length ? "" : `${own} of `}${this.waiting.length === 1 ? "it" : "them"}.`;
    this.find("waiting").textContent =
      this.waiting.length === 0 ? "" : `${this.waiting.length} ${verb} for a supervisor.${yours}`;
    this.onChange();
  }

  async read(query) {
    return await callSigned("GET", `requests?${query}`);
  }

  say(text) {
    this.find("said").textContent = text;
  }

  render(request, gazette) {
    const { stops_at, expires_at, waits_for, approved_by, state } = request;
    const facts = [["Submitted by", request.submitted_by]];
    if (approved_by !== null) facts.push(["Approved by", approved_by]);
    if (waits_for !== null) facts.push(["Waits for", WAITS_FOR[waits_for]]);
    if (request.refusal !== null) facts.push(["Refused by a reviewer", request.refusal.reason]);
    if (state === "open" && stops_at !== null && stops_at < expires_at) {
      facts.push(["Stopped", `${formatMoment(stops_at)}, by an ordinance`]);
    }
    facts.push(...factsOfExigency(request));
    const foot = element(
      "div",
      {},
      renderRefusal(request),
      request.may_justify ? this.renderAddition(JUSTIFICATION, request) : null,
      request.may_correct ? this.renderAddition(CORRECTION, request) : null,
      this.renderSteps(request),
    );
    return renderRequest(request, gazette, { id: `board-${request.id}`, show: this.show, facts, foot });
  }

  renderAddition(addition, request) {
    return renderAddition(addition, request, async () => {
      await this.renew(request.id);
      this.say(`Request ${request.id} ${addition.done}`);
    });
  }

  renderSteps(request) {
    const steps = stepsOf(request);
    if (steps.length === 0) return null;
    const trouble = element("div", { className: "error", role: "alert" });
    const buttons = steps.map((step) => {
      const button = element(
        "button",
        { type: "button", className: "small", "aria-label": `${step.label}: request ${request.id}` },
        step.label,
      );
      button.addEventListener("click", () => this.take(step, request, buttons, trouble));
      return button;
    });
    return element("div", { className: "steps" }, element("div", { className: "ways" }, ...buttons), trouble);
  }

  async take(step, request, buttons, trouble) {
    this.find("confirm-title").textContent = step.title;
    this.find("confirm-what").textContent = `Request ${request.id}, case ${request.case_number}`;
    this.find("confirm-text").textContent = step.text;
    this.find("confirm-yes").textContent = step.label;
    if (!(await agrees(this.find("confirm")))) return;
    for (const button of buttons) button.disabled = true;
    trouble.replaceChildren();
    this.say("");
    try {
      const body = step.body === undefined ? null : JSON.stringify(step.body);
      await callSigned("POST", `requests/${request.id}/${step.path}`, { body });
    } catch (problem) {
      for (const button of buttons) button.disabled = false;
      await this.refuse(problem, request, trouble);
      return;
    }
    await this.renew(request.id);
    this.say(`Request ${request.id} ${step.done}`);
  }

  async refuse(problem, request, trouble) {
    if (problem.status === 401) {
      this.onRefusal(problem);
    } else if (problem.status === 409) {
      await this.renew(request.id); // somebody else was faster: what they did is what there is to see
      this.say(problem.message);
    } else {
      const breaches = problem.errors.map((error) => renderBreach(error));
      trouble.append(element("p", {}, problem.message), element("ul", { className: "breaches" }, ...breaches));
    }
  }

  async renew(id) {
    const [{ requests }] = await Promise.all([this.read(`limit=1&before=${id + 1}`), this.count()]);
    this.pages.replace(requests[0]);
    document.getElementById(`board-${id}`)?.focus();
  }
}

/** What the caller may do with a request, as the server has it. */
function stepsOf({ state, may_approve, may_close }) {
  if (state === "review") {
    const back = may_approve ? SEND_BACK : TAKE_BACK;
    return [...(may_approve ? [APPROVE] : []), ...(may_close ? [back] : [])];
  }
  return may_close ? [RESOLVE, WITHDRAW] : [];
}
