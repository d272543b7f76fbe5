import { call } from "./api.js";
import { element } from "./element.js";
import { formatMoment } from "./time_window.js";

/** Show an owner when the staff opened the owner's data, in a list, or in its status that it never did. */
export async function showOpenings({ list, status, token }) {
  const { accesses } = await call("GET", "owner/accesses", { key: token });
  list.replaceChildren(...accesses.map(render));
  status.textContent = accesses.length === 0 ? "That has never happened." : "";
}

function render({ opened_at, ends_at, reason }) {
  const isOver = new Date(ends_at) <= new Date();
  return element(
    "li",
    {},
    element("span", {}, `${formatMoment(opened_at)}, ${isOver ? "until" : "and until"} ${formatMoment(ends_at)}`),
    element("span", { className: "quiet" }, `Their reason: ${reason}`),
  );
}
