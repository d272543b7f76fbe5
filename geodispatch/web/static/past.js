import { call } from "./api.js";
import { element } from "./element.js";
import { titleRequest } from "./requests.js";
import { formatMoment } from "./time_window.js";

const PAGE_COUNT = 20;
const PAGE_COUNT_MAX = 200; // the service's own limit

const REASONS = {
  opted_out: "you did not wish to be asked",
  muted: "you had muted the agency or the offence",
  no_camera: "none of your cameras was to be asked for any more",
  daily_cap: "you had been asked in the 24 hours before",
  weekly_cap: "you had been asked often enough that week",
  quarterly_cap: "you had been asked often enough in those 90 days",
  owner_max: "it would have been more than you wish in a week",
  request_closed: "the request had ended",
};

/** What became of all prompts that were for an owner, sent or not, page by page. */
export class Past {
  /**
   * list       the element that gets a line for each
   * status     says that there is nothing, or what went wrong
   * more       the button for the next page
   * readToken  returns the owner's token or null
   */
  constructor({ list, status, more, readToken }) {
    Object.assign(this, { list, status, more, readToken, items: [], nextBefore: null });
    more.addEventListener("click", () => this.extend());
  }

  /** Load the newest page anew. */
  async load(gazette) {
    this.gazette = gazette;
    await this.fetchPage(`prompts/history?limit=${PAGE_COUNT}`, []);
  }

  /** Load again as much as is on show. */
  async renew() {
    const count = Math.min(Math.max(this.items.length, PAGE_COUNT), PAGE_COUNT_MAX);
    await this.fetchPage(`prompts/history?limit=${count}`, []);
  }

  /** Load the next, older page. */
  async extend() {
    await this.fetchPage(`prompts/history?limit=${PAGE_COUNT}&before=${this.nextBefore}`, this.items);
  }

  async fetchPage(path, shown) {
    this.more.disabled = true;
    try {
      const page = await call("GET", path, { key: this.readToken() });
      this.nextBefore = page.next_before;
      this.items = [...shown, ...page.prompts];
      this.list.replaceChildren(...this.items.map((item) => this.render(item)));
      this.status.textContent = this.list.childElementCount === 0 ? "Nothing so far." : "";
    } catch (problem) {
      this.status.textContent = problem.message;
    }
    this.more.disabled = false;
    this.more.hidden = this.nextBefore === null;
  }

  render({ request, ...item }) {
    return element(
      "li",
      {},
      element("a", { href: `/#request-${request.id}` }, titleRequest(request, this.gazette)),
      element("span", { className: "quiet" }, `${request.agency.name}, case ${request.case_number}`),
      element("span", {}, describe(item)),
    );
  }
}

function describe({ state, suppressed_for: reason, delivered_at: deliveredAt, answer }) {
  if (state === "suppressed") return `Not sent: ${REASONS[reason] ?? reason}.`;
  if (answer === null) return `Sent on ${formatMoment(deliveredAt)}; you did not answer.`;
  const choice = answer.choice === "share" ? "You agreed to share" : "You declined";
  const withdrawn = answer.withdrawn_at === null ? "" : `, and withdrew it on ${formatMoment(answer.withdrawn_at)}`;
  return `${choice} on ${formatMoment(answer.answered_at)}${withdrawn}.`;
}
