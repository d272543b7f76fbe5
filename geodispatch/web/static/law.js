import { call } from "./api.js";
import { element } from "./element.js";
import { formatMoment } from "./time_window.js";

/** The law of this server: whether requests are taken at all, and every ordinance with its area. */
export async function loadLaw() {
  return await call("GET", "public/law", { cache: "no-cache" });
}

/** Where an agency may ask. */
export async function loadTerritory(agency) {
  return await call("GET", `public/agencies/${encodeURIComponent(agency)}/jurisdictions`, { cache: "no-cache" });
}

/**
 * The law in words: what a map shows of it, and its dates.
 *
 * territory  of whoever is signed in, or null
 */
export function renderLaw({ ordinances, areas }, territory) {
  const names = new Map(areas.map(({ slug, name }) => [slug, name]));
  const items = ordinances.map((ordinance) => renderOrdinance(ordinance, names.get(ordinance.area)));
  const none = element("p", {}, "No ordinance says anything about requests.");
  return [
    territory === null ? null : element("p", {}, describeTerritory(territory)),
    items.length === 0 ? none : element("ul", { className: "ordinances" }, ...items),
    renderTolerance([...areas, territory?.border]),
  ].filter((node) => node !== null);
}

function describeTerritory({ agency, jurisdictions }) {
  if (jurisdictions.length === 0) return `No jurisdiction of ${agency.name} is on record, so it may ask nowhere.`;
  const names = new Intl.ListFormat("en").format(jurisdictions.map(({ name }) => name));
  return `${agency.name} may ask in ${names}, and nowhere else.`;
}

function renderOrdinance(ordinance, name) {
  const { says, reference, forbids } = ordinance;
  return element(
    "li",
    { className: forbids ? "forbids" : "" },
    element("strong", {}, name),
    `: ${says}`,
    forbids ? element("strong", {}, " No requests there now.") : null,
    element("p", { className: "quiet" }, `${reference}, ${describeDates(ordinance)}.`),
  );
}

function describeDates({ in_force, from_at, until_at }) {
  const end = until_at === null ? "" : ` until ${formatMoment(until_at)}`;
  if (in_force) return `in force since ${formatMoment(from_at)}${end}`;
  if (until_at !== null && new Date(until_at) <= new Date()) return `ended ${formatMoment(until_at)}`;
  return `from ${formatMoment(from_at)}${end}`;
}

/** Say how far drawn borders may be from those that bind. */
function renderTolerance(borders) {
  const tolerance_m = Math.max(0, ...borders.map((border) => border?.tolerance_m ?? 0));
  if (tolerance_m === 0) return null;
  const text = `Borders are drawn to within ${tolerance_m.toLocaleString()} m. Fences are checked against the exact ones.`;
  return element("p", { className: "quiet" }, text);
}
