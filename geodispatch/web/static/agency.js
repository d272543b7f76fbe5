import { Board } from "./board.js";
import { Checks } from "./checks.js";
import { UnreadableFence, readFence, writeFence } from "./fence.js";
import { clearErrors, focusFirst, placeErrors } from "./field_errors.js";
import { loadLaw, loadTerritory, renderLaw } from "./law.js";
import { attachPlaceSearch } from "./place_search.js";
import { Preview } from "./preview.js";
import { RequestForm } from "./request_form.js";
import { loadGazette, openPublicRequests } from "./requests.js";
import { describeSession, loadSession, readSession, signOut } from "./session.js";
import { formatMoment } from "./time_window.js";

const find = (selector) => document.querySelector(selector);
const root = find("main");
const fenceText = find("#fence-text");
const published = find("#published");

// Without WebGL 2 not even the library is loaded; the text area does all that the map does.
const canShowMap = document.createElement("canvas").getContext("webgl2") !== null;

let fence = null;
let fenceMap = null;
let law = null;
let territory = null;

const form = new RequestForm({
  form: find("#request-form"),
  root,
  readFence: () => fence,
  onChange: () => preview.update(),
  onPublished: showPublished,
  onRefusal: showRefusal,
});
const preview = new Preview({
  panel: find("#preview"),
  checks: new Checks(root, find("#preview [data-summary]")),
  readDraft: () => form.readDraft(),
  whyNot,
  onRefusal: (problem) => showRefusal(problem, { at: "/fence", focus: false }),
});
const requests = openPublicRequests({
  list: find("#requests"),
  status: find("#requests-status"),
  more: find("#requests-more"),
  show: canShowMap ? showOnMap : null,
  onChange: outlineAll,
});
const board = new Board({
  part: find("#board"),
  show: canShowMap ? showOnMap : null,
  onChange: outlineAll,
  onRefusal: showRefusal,
});

/** Every change of the fence comes through here, whether it was drawn, pasted or cleared. */
function setFence(changed) {
  fence = changed;
  published.hidden = true;
  placeFenceError([]);
  preview.restart();
}

/** Why nobody can be asked, whatever the fence is; null if they can. */
function whyNot() {
  const session = readSession();
  if (law?.requests === "ended") return "Requests have ended, so no fence can be used.";
  if (session === null) return "Sign in to see whether a fence is allowed.";
  if (session.agency === null) return "Only members of an agency can ask owners.";
  return null;
}

function placeFenceError(errors) {
  clearErrors(find("#fence"));
  placeErrors(find("#fence"), errors, { focus: false });
}

/** Say why the server refused: at the session, at each field that it names, or else at the pointer `at`. */
async function showRefusal(problem, { at = "", focus = true } = {}) {
  clearErrors(root);
  if (problem.type === "/problems/requests-ended") {
    await showLaw();
    return;
  }
  const isUnknown = problem.status === 401;
  if (isUnknown) {
    await loadSession();
    await showSession();
  }
  if (problem.errors.some(({ remedy }) => remedy !== undefined)) {
    preview.refuse(form.readDraft(), problem);
    if (focus) focusFirst(root);
    return;
  }
  const whole = [{ pointer: isUnknown ? "/session" : at, detail: problem.message }];
  placeErrors(root, problem.errors.length > 0 ? problem.errors : whole, { focus });
}

async function showPublished(request) {
  clearMap();
  fenceText.value = "";
  setFence(null);
  published.hidden = false;
  const waiting = { supervisor: "a supervisor's approval", reviewers: "a reviewer who belongs to no agency" };
  published.textContent =
    request.waits_for === null
      ? `Request ${request.id} is public. Owners decide; you will not see who was asked.`
      : `Request ${request.id} waits for ${waiting[request.waits_for]}. Nobody sees it or is asked before.`;
  showWhose("own");
  await Promise.all([requests.load(), board.goTo(request.id)]);
}

function showOnMap(request) {
  fenceMap?.frame(request.fence);
  find("#map").scrollIntoView({ block: "center" });
}

/** Outline what is public and what waits, each once. */
function outlineAll() {
  fenceMap?.outline([...requests.requests, ...board.waiting]);
}

/** Show the agency's own requests ("own") or everybody's ("all"). */
function showWhose(whose) {
  find("#board").hidden = whose !== "own";
  find("#all").hidden = whose !== "all";
  for (const button of document.querySelectorAll("[data-whose]")) {
    button.setAttribute("aria-pressed", String(button.dataset.whose === whose));
  }
}

/** Show who is signed in, and what is theirs; or the way to the sign-in. */
async function showSession() {
  const session = readSession();
  const isMember = session !== null && session.agency !== null;
  find("#signed-out").hidden = session !== null;
  find("#signed-in").hidden = session === null;
  find("#members").hidden = !isMember;
  find("#who").textContent = session === null ? "" : `${describeSession(session)}. `;
  find("#whose").hidden = !isMember;
  showWhose(isMember ? "own" : "all");
  preview.update();
  if (isMember) await Promise.all([board.load(), showTerritory(session.agency)]);
  else {
    board.clear();
    await showTerritory(null);
  }
}

/** Show where an agency may ask; null for none. */
async function showTerritory(agency) {
  territory = null;
  if (agency !== null) {
    try {
      territory = await loadTerritory(agency);
    } catch (problem) {
      find("#law-status").textContent = `The jurisdictions could not be loaded. ${problem.message}`;
    }
  }
  writeLaw();
}

/** Show what the law says now: whether requests are taken, and the ordinances. */
async function showLaw() {
  try {
    law = await loadLaw();
  } catch (problem) {
    find("#law-status").textContent = `The ordinances could not be loaded. ${problem.message}`;
    return;
  }
  const isEnded = law.requests === "ended";
  find("#ended").hidden = !isEnded;
  find("#request-form").hidden = isEnded;
  if (isEnded) find("#ended-since").textContent = formatMoment(law.requests_since);
  writeLaw();
  preview.update();
}

/** The law in words and on the map, as far as both are there. */
function writeLaw() {
  if (law === null) return;
  find("#law-text").replaceChildren(...renderLaw(law, territory));
  if (fenceMap === null) return;
  const border = territory?.border ?? null;
  fenceMap.law.showLaw(law);
  fenceMap.law.showTerritory(border);
  find("#legend-outside").hidden = border === null;
  if (border !== null) fenceMap.welcome(border);
}

find("#sign-out").addEventListener("click", async () => {
  await signOut();
  await showSession();
});

for (const button of document.querySelectorAll("[data-whose]")) {
  button.addEventListener("click", () => showWhose(button.dataset.whose));
}

fenceText.addEventListener("input", () => {
  if (fenceText.value.trim() === "") {
    clearMap();
    setFence(null);
    return;
  }
  try {
    setFence(readFence(fenceText.value));
    fenceMap?.show(fence);
    markMode("static");
  } catch (error) {
    if (!(error instanceof UnreadableFence)) throw error;
    clearMap(); // what was drawn before is no longer the fence
    setFence(null);
    placeFenceError([{ pointer: "/fence", detail: error.message }]);
  }
});

function clearMap() {
  fenceMap?.clear();
  markMode("static");
}

function markMode(mode) {
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  }
}

async function openMap() {
  if (!canShowMap) throw new Error("no WebGL 2");
  const { openFenceMap } = await import("./map.js");
  fenceMap = await openFenceMap(find("#map"), {
    onFence: (drawn) => {
      fenceText.value = writeFence(drawn);
      setFence(drawn);
    },
    onMode: markMode,
  });
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => {
      fenceMap.setMode(button.dataset.mode);
      markMode(button.dataset.mode);
    });
  }
  find("#fence-clear").addEventListener("click", () => {
    clearMap();
    fenceText.value = "";
    setFence(null);
  });
  for (const box of document.querySelectorAll("[data-layer]")) {
    box.addEventListener("change", () => fenceMap.toggle(box.dataset.layer, box.checked));
  }
  attachPlaceSearch(find("#place"), find("#place-list"), (place) => fenceMap.goTo(place));
  find("#map-tools").disabled = false;
  find("#map").dataset.ready = "";
}

function showWithoutMap() {
  find("#no-map").hidden = false;
  find("#map-part").hidden = true;
  find("#fence-details").open = true;
  find("#law").open = true;
}

await loadSession();
const sessionShown = showSession();
const mapOpened = openMap().catch((error) => {
  console.warn(`The map is not available: ${error.message}`);
  showWithoutMap();
});
await Promise.all([
  loadGazette().then(
    ({ offences }) => form.offer(offences),
    (problem) => showRefusal(problem, { focus: false }),
  ),
  requests.load(),
  showLaw(),
  sessionShown,
]);
await mapOpened;
outlineAll();
writeLaw();
