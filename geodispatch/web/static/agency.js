import { UnreadableFence, readFence, writeFence } from "./fence.js";
import { clearErrors, placeErrors } from "./field_errors.js";
import { attachPlaceSearch } from "./place_search.js";
import { Preview } from "./preview.js";
import { RequestForm } from "./request_form.js";
import { PublicRequests, loadGazette } from "./requests.js";
import { describeSession, loadSession, readSession, signOut } from "./session.js";

const find = (selector) => document.querySelector(selector);
const root = find("main");
const fenceText = find("#fence-text");
const published = find("#published");

// Without WebGL 2 not even the library is loaded; the text area does all that the map does.
const canShowMap = document.createElement("canvas").getContext("webgl2") !== null;

let fence = null;
let fenceMap = null;

const preview = new Preview(find("#preview"), (problem) => {
  showRefusal(problem, { at: "/fence", focus: false });
});
const requests = new PublicRequests({
  list: find("#requests"),
  status: find("#requests-status"),
  more: find("#requests-more"),
  show: canShowMap ? showOnMap : null,
  onChange: (shown) => fenceMap?.outline(shown),
});
const form = new RequestForm({
  form: find("#request-form"),
  root,
  readFence: () => fence,
  onPublished: showPublished,
  onRefusal: showRefusal,
});

/** Every change of the fence comes through here, whether it was drawn, pasted or cleared. */
function setFence(changed) {
  fence = changed;
  published.hidden = true;
  placeFenceError([]);
  preview.update(fence);
}

function placeFenceError(errors) {
  clearErrors(find("#fence"));
  placeErrors(find("#fence"), errors, { focus: false });
}

/** Say why the server refused: at the session, at each field that it names, or else at the pointer `at`. */
async function showRefusal(problem, { at = "", focus = true } = {}) {
  clearErrors(root);
  const isUnknown = problem.status === 401;
  if (isUnknown) {
    await loadSession();
    showSession();
  }
  const whole = [{ pointer: isUnknown ? "/session" : at, detail: problem.message }];
  placeErrors(root, problem.errors.length > 0 ? problem.errors : whole, { focus });
}

async function showPublished(request) {
  clearMap();
  fenceText.value = "";
  setFence(null);
  await requests.load();
  published.hidden = false;
  const waiting = { supervisor: "a supervisor's approval", reviewers: "a reviewer who belongs to no agency" };
  published.textContent =
    request.waits_for === null
      ? `Request ${request.id} is public. Owners decide; you will not see who was asked.`
      : `Request ${request.id} waits for ${waiting[request.waits_for]}. Nobody sees it or is asked before.`;
  const article = document.getElementById(`request-${request.id}`);
  article?.classList.add("new");
  article?.focus();
}

function showOnMap(request) {
  fenceMap?.frame(request.fence);
  find("#map").scrollIntoView({ block: "center" });
}

/** Show who is signed in, or the way to the sign-in. */
function showSession() {
  const session = readSession();
  find("#signed-out").hidden = session !== null;
  find("#signed-in").hidden = session === null;
  find("#who").textContent = session === null ? "" : `${describeSession(session)}. `;
  preview.update(fence);
}

find("#sign-out").addEventListener("click", async () => {
  await signOut();
  showSession();
});

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
  attachPlaceSearch(find("#place"), find("#place-list"), (place) => fenceMap.goTo(place));
  find("#map-tools").disabled = false;
  find("#map").dataset.ready = "";
}

function showWithoutMap() {
  find("#no-map").hidden = false;
  find("#map-part").hidden = true;
  find("#fence-details").open = true;
}

await loadSession();
showSession();
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
]);
await mapOpened;
fenceMap?.outline(requests.requests);
