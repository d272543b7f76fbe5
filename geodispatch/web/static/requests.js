import { call } from "./api.js";
import { descriptions, element } from "./element.js";
import { fenceCentre, formatArea } from "./fence.js";
import { sketchFence } from "./fence_sketch.js";
import { describePosition, loadPlaces } from "./places.js";
import { formatMoment, formatWindow } from "./time_window.js";

const STATES = { draft: "Taken back", review: "Waiting", open: "Open", closed: "Closed" };

const CLOSE_REASONS = {
  resolved: "resolved",
  expired: "its time was over",
  withdrawn: "withdrawn by the agency",
  ordinance: "stopped by an ordinance",
  programme_ended: "requests have ended",
  refused: "refused by reviewers",
};

let loading = null;

/** What views of a request need besides the request: the titles of offences, and the places. Fetched once per page. */
export function loadGazette() {
  loading ??= fetchGazette().catch((error) => {
    loading = null; // a failure is not kept: the next caller tries again
    throw error;
  });
  return loading;
}

async function fetchGazette() {
  const [{ offences }, places] = await Promise.all([call("GET", "offences"), loadPlaces().catch(() => [])]);
  return { offences, titles: new Map(offences.map(({ code, title }) => [code, title])), places };
}

/** The heading of a request: "Burglary, 2 km north of Milan, Italy". */
export function titleRequest(request, { titles, places }) {
  return `${titles.get(request.offence) ?? request.offence}, ${describePlace(request.fence, places)}`;
}

/** Where a fence is, in words; in degrees when the places could not be loaded. */
function describePlace(fence, places) {
  const centre = fenceCentre(fence);
  if (places.length > 0) return describePosition(places, centre);
  return `at latitude ${centre.lat.toFixed(4)}, longitude ${centre.lon.toFixed(4)}`;
}

/** The picture of the request's fence. */
export function sketchRequest(request, { places }) {
  const label = `Outline of the area: ${formatArea(request.area_m2)}, ${describePlace(request.fence, places)}`;
  return sketchFence(request.fence, label);
}

/** The facts that every view of a request shows, as (term, description) pairs. */
export function factsOfRequest(request) {
  return [
    ["Asked by", request.agency.name],
    ["Case", request.case_number],
    ["Footage from", formatWindow(request.window)],
    ["Area", formatArea(request.area_m2)],
    ["Contact", describeContact(request.contact)],
  ];
}

function describeContact({ name, email }) {
  return element("span", {}, `${name}, `, element("a", { href: `mailto:${encodeURIComponent(email)}` }, email));
}

/**
 * One request in full.
 *
 * id     of the article
 * show   called with the request from its "Show on the map" button; null for no such button
 * facts  further (term, description) pairs
 * foot   what follows below all facts, or null
 */
export function renderRequest(request, gazette, { id = `request-${request.id}`, show = null, facts = [], foot = null } = {}) {
  const state = element("span", { className: `state ${request.state}` }, STATES[request.state] ?? request.state);
  return element(
    "article",
    { className: "request card", id, tabIndex: -1 },
    element(
      "header",
      {},
      element("h3", {}, titleRequest(request, gazette)),
      element("p", { className: "quiet" }, `Request ${request.id} `, state),
    ),
    element("div", { className: "request-where" }, sketchRequest(request, gazette), showButton(request, show)),
    element(
      "div",
      { className: "request-what" },
      element("p", { className: "request-text" }, request.text),
      descriptions([...factsOfRequest(request), ...datesOfRequest(request), ...facts]),
      foot,
    ),
  );
}

function datesOfRequest({ opened_at, expires_at, closed_at, close_reason }) {
  if (opened_at === null) return [];
  const ending = closed_at
    ? ["Closed", `${formatMoment(closed_at)} (${CLOSE_REASONS[close_reason] ?? close_reason})`]
    : ["Ends", formatMoment(expires_at)];
  return [["Published", formatMoment(opened_at)], ending];
}

function showButton(request, show) {
  if (show === null) return null;
  const name = `Show request ${request.id} on the map`;
  const button = element("button", { type: "button", className: "small", "aria-label": name }, "Show on the map");
  button.addEventListener("click", () => show(request));
  return button;
}

/** A list of requests, newest first, page by page. */
export class RequestPages {
  /**
   * list      the element that gets one article per request
   * status    a live region for "none yet" and for errors
   * more      the button for the next page
   * read      returns a page of a query ("limit=50&before=17")
   * render    returns the article of a request, given the gazette
   * none      what is said where there are none
   * onChange  called with all requests on show whenever they change
   */
  constructor({ list, status, more, read, render, none, onChange = () => {} }) {
    Object.assign(this, { list, status, more, read, render, none, onChange, requests: [], nextBefore: null, turn: 0 });
    more.addEventListener("click", () => this.extend());
  }

  /** Load the newest page anew. */
  async load() {
    await this.fetchPage("limit=50", []);
  }

  /** Load the next, older page. */
  async extend() {
    await this.fetchPage(`limit=50&before=${this.nextBefore}`, this.requests);
  }

  /** Put one request on show that is older than what was loaded; nothing when there is none of that number. */
  async include(id) {
    if (this.requests.some((request) => request.id === id)) return;
    const { requests } = await this.read(`limit=1&before=${id + 1}`);
    if (requests[0]?.id === id) this.put([...this.requests, requests[0]]);
  }

  /** Show a request that is on show as it stands by now. */
  replace(changed) {
    this.put(this.requests.map((request) => (request.id === changed.id ? changed : request)));
  }

  /** Show none, and nothing of what is still under way. */
  clear() {
    this.turn += 1;
    this.nextBefore = null;
    this.put([]);
    this.status.textContent = "";
  }

  async fetchPage(query, shown) {
    this.turn += 1;
    const { turn } = this;
    this.more.disabled = true;
    try {
      this.gazette = await loadGazette();
      const { requests, next_before: nextBefore } = await this.read(query);
      if (turn !== this.turn) return; // another page was asked for since
      this.nextBefore = nextBefore;
      this.put([...shown, ...requests]);
    } catch (problem) {
      if (turn === this.turn) this.status.textContent = `The requests could not be loaded. ${problem.message}`;
    }
    this.more.disabled = false;
  }

  put(requests) {
    this.requests = requests;
    this.status.textContent = requests.length === 0 ? this.none : "";
    this.list.replaceChildren(...requests.map((request) => this.render(request, this.gazette)));
    this.more.hidden = this.nextBefore === null;
    this.onChange(requests);
  }
}

/** The list of what all agencies have published. */
export function openPublicRequests({ show = null, ...places }) {
  return new RequestPages({
    ...places,
    read: (query) => call("GET", `public/requests?${query}`),
    render: (request, gazette) => renderRequest(request, gazette, { show }),
    none: "There are no public requests yet.",
  });
}
