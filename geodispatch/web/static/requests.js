import { call } from "./api.js";
import { descriptions, element } from "./element.js";
import { fenceCentre, formatArea } from "./fence.js";
import { sketchFence } from "./fence_sketch.js";
import { describePosition, loadPlaces } from "./places.js";
import { formatMoment, formatWindow } from "./time_window.js";

const STATES = { open: "Open", closed: "Closed" };

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
 * One public request in full.
 *
 * show  called with the request from its "Show on the map" button; null for no such button
 */
export function renderRequest(request, gazette, show = null) {
  const state = element("span", { className: `state ${request.state}` }, STATES[request.state] ?? request.state);
  const ending = request.closed_at
    ? ["Closed", `${formatMoment(request.closed_at)}${request.close_reason ? ` (${request.close_reason})` : ""}`]
    : ["Ends", formatMoment(request.expires_at)];
  return element(
    "article",
    { className: "request card", id: `request-${request.id}`, tabIndex: -1 },
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
      descriptions([...factsOfRequest(request), ["Published", formatMoment(request.opened_at)], ending]),
    ),
  );
}

function showButton(request, show) {
  if (show === null) return null;
  const button = element("button", { type: "button", className: "small" }, "Show on the map");
  button.addEventListener("click", () => show(request));
  return button;
}

/** The public list, newest first, page by page. */
export class PublicRequests {
  /**
   * list      the element that gets one article per request
   * status    a live region for "none yet" and for errors
   * more      the button for the next page
   * show      see `renderRequest`
   * onChange  called with all requests on show whenever they change
   */
  constructor({ list, status, more, show = null, onChange = () => {} }) {
    Object.assign(this, { list, status, more, show, onChange, requests: [], nextBefore: null });
    more.addEventListener("click", () => this.extend());
  }

  /** Load the newest page anew. */
  async load() {
    await this.fetchPage("public/requests?limit=50", []);
  }

  /** Load the next, older page. */
  async extend() {
    await this.fetchPage(`public/requests?limit=50&before=${this.nextBefore}`, this.requests);
  }

  /** Put one request on show that is older than what was loaded; nothing when there is none of that number. */
  async include(id) {
    if (this.requests.some((request) => request.id === id)) return;
    const { requests } = await call("GET", `public/requests?limit=1&before=${id + 1}`);
    if (requests[0]?.id !== id) return;
    this.render([...this.requests, requests[0]]);
  }

  async fetchPage(path, shown) {
    this.more.disabled = true;
    try {
      this.gazette = await loadGazette();
      const { requests, next_before: nextBefore } = await call("GET", path);
      this.nextBefore = nextBefore;
      this.render([...shown, ...requests]);
    } catch (problem) {
      this.status.textContent = `The public requests could not be loaded. ${problem.message}`;
    }
    this.more.disabled = false;
  }

  render(requests) {
    this.requests = requests;
    this.status.textContent = requests.length === 0 ? "There are no public requests yet." : "";
    this.list.replaceChildren(...requests.map((request) => renderRequest(request, this.gazette, this.show)));
    this.more.hidden = this.nextBefore === null;
    this.onChange(requests);
  }
}
