import { descriptions, element } from "./element.js";
import { formatArea, writeFence } from "./fence.js";
import { sketchFence } from "./fence_sketch.js";
import { clearErrors, placeErrors } from "./field_errors.js";
import { factsOfRequest, loadGazette, titleRequest } from "./requests.js";
import { callSigned, describeSession, loadSession, readSession, signOut } from "./session.js";
import { formatMoment } from "./time_window.js";

const KINDS = {
  worship: "Place of worship",
  clinic: "Clinic",
  school: "School",
  union_hall: "Union hall",
  polling_place: "Polling place",
};
const DONE = { pass: "passed", refuse: "was refused" };
const find = (selector) => document.querySelector(selector);

let gazette = null;
let nextAfter = null;

/** Put a request in the queue on show, in place of how it was shown before. */
function show(review) {
  const article = renderReview(review);
  const former = document.getElementById(article.id);
  if (former === null) find("#reviews").append(article);
  else former.replaceWith(article);
}

function renderReview(review) {
  const { request } = review;
  const isPublic = request.opened_at !== null;
  return element(
    "article",
    { className: "request card", id: `review-${request.id}` },
    element(
      "header",
      {},
      element("h2", {}, titleRequest(request, gazette)),
      element(
        "p",
        { className: "quiet" },
        `Request ${request.id}, waiting since ${formatMoment(review.begun_at)} `,
        isPublic ? element("span", { className: "state" }, "Public already") : null,
      ),
    ),
    element("div", { className: "request-where" }, sketch(review), renderFence(request)),
    element(
      "div",
      { className: "request-what" },
      element("p", { className: "request-text" }, request.text),
      descriptions([...factsOfRequest(request), ...factsOfExigency(request), ["Reviewers", describeProgress(review)]]),
      renderList("Near the area", review.sensitive_places.map(describePlace), "no sensitive place"),
      renderList("Rules and lint", review.findings.map(describeFinding), "nothing found"),
      review.verdicts.some((verdict) => verdict.is_own)
        ? element("p", { className: "note" }, "You let it pass; another reviewer has to, too.")
        : renderForm(review),
    ),
  );
}

function sketch({ request, sensitive_places: places }) {
  const label = `Outline of the area: ${formatArea(request.area_m2)}${places.map((each) => `; ${describePlace(each)}`).join("")}`;
  return sketchFence(request.fence, label, places);
}

function renderFence({ fence }) {
  return element(
    "details",
    {},
    element("summary", {}, "The fence as GeoJSON"),
    element("pre", { className: "geojson", tabIndex: 0 }, writeFence(fence)),
  );
}

function factsOfExigency({ exigency }) {
  if (exigency === null) return [];
  const justification = exigency.justification ?? `none yet, due by ${formatMoment(exigency.justify_by)}`;
  return [
    ["Exigent", exigency.reason],
    ["Justification", justification],
  ];
}

function describeProgress({ verdicts, reviewers_needed: needed }) {
  const said = verdicts.filter(({ reason }) => reason !== null).map(({ reason }) => ` “${reason}”`);
  return `${verdicts.length} of ${needed} let it pass.${said.join("")}`;
}

function describePlace({ kind, name, distance_m }) {
  const where = distance_m === 0 ? "inside" : `${Math.round(distance_m)} m away`;
  const what = KINDS[kind] ?? kind;
  return `${name === "" ? what : `${name} (${what.toLowerCase()})`}, ${where}`;
}

function describeFinding({ pointer, detail }) {
  return `${pointer.slice(1)}: ${detail}`;
}

function renderList(title, lines, none) {
  const list =
    lines.length === 0 ? ` ${none}.` : element("ul", {}, ...lines.map((line) => element("li", {}, line)));
  return element("div", { className: "findings" }, element("strong", {}, `${title}:`), list);
}

/** The form of one request's verdict: a reason, which only a refusal needs, and what it is a reason for. */
function renderForm({ request: { id, state } }) {
  const field = `reason-${id}`;
  const form = element(
    "form",
    { noValidate: true },
    element("label", { htmlFor: field }, "Reason (needed to refuse)"),
    element("textarea", {
      id: field,
      name: "reason",
      rows: 2,
      maxLength: 1000,
      "data-pointer": "/reason",
      "aria-describedby": `${field}-error`,
    }),
    element("p", { className: "error", id: `${field}-error`, "data-error": "/reason" }),
    element("p", { className: "error", "data-error": "", tabIndex: -1, role: "alert" }),
    element(
      "p",
      { className: "verdict" },
      element("button", { type: "submit", className: "primary", value: "pass" }, "Let it pass"),
      element("button", { type: "submit", value: "refuse" }, state === "open" ? "Refuse and close it" : "Refuse"),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(form, id, event.submitter.value);
  });
  return form;
}

async function say(form, id, verdict) {
  clearErrors(form);
  const reason = form.elements.reason.value.trim();
  if (verdict === "refuse" && reason === "") {
    placeErrors(form, [{ pointer: "/reason", detail: "Say why; the agency reads it." }]);
    return;
  }
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    const body = JSON.stringify({ reason: reason === "" ? null : reason });
    const review = await callSigned("POST", `review/${id}/${verdict}`, { body });
    tell(describeOutcome(review));
    if (review.ended_at === null) show(review);
    else remove(id);
  } catch (problem) {
    if (problem.status === 409) {
      // Somebody else was faster, or the agency took it back: it is not in the queue any more.
      tell(problem.message);
      remove(id);
    } else {
      placeErrors(form, problem.errors?.length > 0 ? problem.errors : [{ pointer: "", detail: problem.message }]);
    }
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function describeOutcome({ request: { id, state }, outcome }) {
  if (outcome === null) return `Request ${id}: noted; another reviewer has to let it pass, too.`;
  const after = { open: "it is public", draft: "it will never be public", closed: "it is closed" }[state];
  return `Request ${id} ${DONE[outcome]}: ${after}.`;
}

function tell(text) {
  find("#status").textContent = text;
  find("#status").focus();
}

function remove(id) {
  document.getElementById(`review-${id}`)?.remove();
  if (find("#reviews").children.length === 0 && nextAfter === null) {
    find("#status").append(" Nothing else waits.");
  }
}

/** Load the next page of the queue, or its first. */
async function extend() {
  find("#more").disabled = true;
  try {
    const { reviews, next_after } = await callSigned("GET", `review${nextAfter === null ? "" : `?after=${nextAfter}`}`);
    nextAfter = next_after;
    for (const review of reviews) show(review);
    find("#status").textContent = find("#reviews").children.length === 0 ? "Nothing waits for review." : "";
    find("#more").hidden = nextAfter === null;
  } catch (problem) {
    find("#status").textContent = `The queue could not be loaded. ${problem.message}`;
  }
  find("#more").disabled = false;
}

find("#more").addEventListener("click", extend);
find("#sign-out").addEventListener("click", async () => {
  await signOut();
  location.assign("/sign-in");
});

await loadSession();
const session = readSession();
if (session === null) {
  find("#status").replaceChildren(element("a", { href: "/sign-in" }, "Sign in first."));
} else {
  find("#who").textContent = `${describeSession(session)}. `;
  find("#sign-out").hidden = false;
  if (session.staff_role === "moderator") {
    gazette = await loadGazette();
    find("#part").hidden = false;
    await extend();
  } else {
    find("#status").textContent = "This is for moderators.";
  }
}
