import { forgetCredential, keepCredential, readCredential } from "./credential.js";
import { UnreadableFence, readFence, writeFence } from "./fence.js";
import { clearErrors, placeErrors } from "./field_errors.js";
import { attachPlaceSearch } from "./place_search.js";
import { Preview } from "./preview.js";
import { RequestForm } from "./request_form.js";
import { PublicRequests, loadGazette } from "./requests.js";

const find = (selector) => document.querySelector(selector);
const readKey = () => readCredential("agency");
const root = find("main");
const fenceText = find("#fence-text");
const published = find("#published");

// Without WebGL 2 not even the library is loaded; the text area does all that the map does.
const canShowMap = document.createElement("canvas").getContext("webgl2") !== null;

let fence = null;
let fenceMap = null;

const preview = new Preview(find("#preview"), readKey, (problem) => {
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
  readKey,
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

/** Say why the server refused: at the key, at each field that it names, or else at the pointer `at`. */
function showRefusal(problem, { at = "", focus = true } = {}) {
  clearErrors(root);
  const unknownKey = problem.status === 401 || problem.status === 403;
  if (unknownKey) showKey(true);
  const whole = [{ pointer: unknownKey ? "/key" : at, detail: problem.message }];
  placeErrors(root, problem.errors.length > 0 ? problem.errors : whole, { focus });
}

async function showPublished(request) {
  clearMap();
  fenceText.value = "";
  setFence(null);
  await requests.load();
  published.hidden = false;
  published.textContent = `Request ${request.id} is public. Owners decide; you will not see who was asked.`;
  const article = document.getElementById(`request-${request.id}`);
  article?.classList.add("new");
  article?.focus();
}

function showOnMap(request) {
  fenceMap?.frame(request.fence);
  find("#map").scrollIntoView({ block: "center" });
}

/** Show the field for the key (`asking`), or only that one is in use. */
function showKey(asking) {
  find("#key-form").hidden = !asking;
  find("#key-kept").hidden = asking;
  find("#key-tail").textContent = `…${(readKey() ?? "").slice(-4)}`;
}

find("#key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = find("#key").value.trim();
  clearErrors(find("#key-form"));
  if (key === "") {
    placeErrors(find("#key-form"), [{ pointer: "/key", detail: "Enter the key that your agency was given." }]);
    return;
  }
  keepCredential("agency", key);
  find("#key").value = "";
  showKey(false);
  preview.update(fence);
});

find("#key-forget").addEventListener("click", () => {
  forgetCredential("agency");
  showKey(true);
  find("#key").focus();
  preview.update(fence);
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

showKey(readKey() === null);
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
