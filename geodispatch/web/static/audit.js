import { element } from "./element.js";
import { callSigned } from "./session.js";
import { formatMoment } from "./time_window.js";

const HEADS = ["When", "What", "Who", "About", "From"];

/**
 * Show the audit, newest first, page by page.
 *
 * part    holds a table body, a status and a button for what is older, by data-audit
 * agency  the slug of the one whose audit it is; null for the caller's own, or for all
 */
export async function openAudit(part, agency = null) {
  const [rows, status, more] = ["rows", "status", "more"].map((name) => part.querySelector(`[data-audit="${name}"]`));
  const whose = agency === null ? "" : `&agency=${encodeURIComponent(agency)}`;
  let before = null;

  async function extend() {
    more.disabled = true;
    try {
      const { events, next_before } = await callSigned(
        "GET",
        `audit?limit=50${whose}${before === null ? "" : `&before=${before}`}`,
      );
      before = next_before;
      rows.append(...events.map(renderRow));
      status.textContent = rows.children.length === 0 ? "Nothing was noted yet." : "";
      more.hidden = before === null;
    } catch (problem) {
      status.textContent = `The audit could not be loaded. ${problem.message}`;
    }
    more.disabled = false;
  }

  rows.replaceChildren();
  more.onclick = extend;
  await extend();
}

/** One row; each cell names its column, for a phone shows no head. */
function renderRow({ at, event, actor, subject, network }) {
  const cells = [formatMoment(at), event, actor, subject, network ?? ""];
  return element("tr", {}, ...cells.map((text, number) => element("td", { "data-head": HEADS[number] }, text)));
}
