import { renderBreach } from "./checks.js";
import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { callSigned } from "./session.js";
import { formatMoment } from "./time_window.js";

// What can be added to a request that is public, for all to read and for good.
export const JUSTIFICATION = {
  path: "justification",
  title: "Justify that it could not wait",
  label: "Why it could not wait",
  button: "Publish the justification",
  hint: "Everybody reads this beside the request, for good. Name no victim.",
  max: 2000,
  done: "is justified. It runs to its end.",
};
export const CORRECTION = {
  path: "corrections",
  title: "Correct it",
  label: "What was wrong, and what is right",
  button: "Publish the correction",
  hint: "The request's own words stay. Everybody reads this below them, for good.",
  max: 4000,
  done: "is corrected.",
};

/**
 * The folded form that adds something to a request.
 *
 * onAdded  called once it is public
 */
export function renderAddition(addition, { id }, onAdded) {
  const field = `${addition.path}-${id}`;
  const form = element(
    "form",
    { noValidate: true },
    element("label", { htmlFor: field }, addition.label),
    element("textarea", {
      id: field,
      name: "text",
      rows: 4,
      required: true,
      minLength: 20,
      maxLength: addition.max,
      "data-pointer": "/text",
      "aria-describedby": `${field}-hint ${field}-error`,
    }),
    element("p", { className: "quiet", id: `${field}-hint` }, addition.hint),
    element("p", { className: "error", id: `${field}-error`, "data-error": "/text" }),
    element("p", { className: "error", "data-error": "", role: "alert", tabIndex: -1 }),
    element("button", { type: "submit", className: "small", "aria-label": `${addition.button}: request ${id}` }, addition.button),
  );
  attachStep(form, async () => {
    const body = JSON.stringify({ text: form.elements.text.value.trim() });
    await callSigned("POST", `requests/${id}/${addition.path}`, { body });
    await onAdded();
  });
  return element("details", { className: "addition" }, element("summary", {}, addition.title), form);
}

/** How long somebody still has, in whole days and hours, or hours and minutes: "6 days 23 hours". */
export function describeTimeLeft(until, now = Date.now()) {
  const minutes = Math.max(0, Math.floor((new Date(until) - now) / 60_000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  const parts = days > 0 ? [[days, "day"], [hours, "hour"]] : [[hours, "hour"], [minutes % 60, "minute"]];
  return parts.map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`).join(" ");
}

/** The facts of an exigent request: the reason, and its justification or how long there is for one. */
export function factsOfExigency({ exigency, closed_at }) {
  if (exigency === null) return [];
  const { reason, justification, justified_at, justify_by } = exigency;
  const facts = [["Could not wait", reason]];
  if (justification !== null) facts.push([`Justified ${formatMoment(justified_at)}`, justification]);
  else if (closed_at !== null || justify_by === null) facts.push(["Justified", "no"]);
  else facts.push(["To be justified", `within ${describeTimeLeft(justify_by)}, by ${formatMoment(justify_by)}`]);
  return facts;
}

const BY = { moderator: "a moderator, who belongs to no agency" };
const SAID = { pass: "Let it pass", refuse: "Refused it" };

/** The folded account of a refusal; it is asked for when somebody unfolds it. */
export function renderRefusal({ id, refusal }) {
  if (refusal === null) return null;
  const content = element("div", {}, element("p", { role: "status" }, "Loading…"));
  const details = element("details", { className: "addition" }, element("summary", {}, "Why it was refused"), content);
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.loaded !== undefined) return;
    details.dataset.loaded = "";
    try {
      content.replaceChildren(...writeRefusal(await callSigned("GET", `requests/${id}/refusal`)));
    } catch (problem) {
      delete details.dataset.loaded; // unfolded again, it is asked for again
      content.replaceChildren(element("p", { className: "error", role: "alert" }, problem.message));
    }
  });
  return details;
}

function writeRefusal({ verdicts, findings }) {
  const said = verdicts.map(({ kind, by, reason, given_at }) =>
    element(
      "li",
      {},
      element("p", {}, `${SAID[kind]}: ${BY[by] ?? by}, ${formatMoment(given_at)}`),
      reason === null ? null : element("p", { className: "request-text" }, reason),
    ),
  );
  const next =
    findings.length === 0
      ? "No rule stands in its way now: submit another request that heeds the reason."
      : "Another request passes if it heeds the reason, and these rules, which this one would break now:";
  const breaches = findings.map((finding) => renderBreach(finding));
  return [element("ul", { className: "verdicts" }, ...said), element("p", {}, next), element("ul", { className: "breaches" }, ...breaches)];
}
