import { call } from "./api.js";
import { forgetCredential, keepCredential, readCredential, takeFragmentToken } from "./credential.js";
import { agrees } from "./dialogs.js";
import { descriptions, element } from "./element.js";
import { followInbox } from "./inbox_stream.js";
import { Notifications } from "./notifications.js";
import { showOpenings } from "./openings.js";
import { Past } from "./past.js";
import { factsOfRequest, loadGazette, sketchRequest, titleRequest } from "./requests.js";
import { formatMoment } from "./time_window.js";
import { Wishes } from "./wishes.js";

const find = (selector) => document.querySelector(selector);
const status = find("#status");
const list = find("#prompts");
const readToken = () => readCredential("owner");
const wishes = new Wishes({ form: find("#wishes"), readToken, explain });
const past = new Past({ list: find("#past"), status: find("#past-status"), more: find("#past-more"), readToken });
const notifications = new Notifications({
  button: find("#device-switch"),
  status: find("#device-status"),
  readToken,
  onOpen: showPrompt,
});

/** What to tell an owner when the service says no. */
function explain(problem) {
  if (problem.status === 401 || problem.status === 403) {
    return "This link does not work any more. Open the newest one that you were sent, or enter its token here.";
  }
  if (problem.status === 503) {
    const wait = problem.retryAfter_s === null ? "in a moment" : `in ${problem.retryAfter_s} seconds`;
    return `The service is not available just now. Nothing was lost; please try again ${wait}.`;
  }
  return problem.message;
}

let following = new AbortController();
let wanted = null; // the prompt that a notification was about; the notification may be here before the prompt

/** Move to a prompt, now or as soon as it comes. */
function showPrompt(promptId) {
  wanted = promptId;
  showWanted();
}

function showWanted() {
  const card = [...list.children].find(({ dataset }) => dataset.prompt === wanted);
  if (card === undefined) return;
  wanted = null;
  card.focus();
}

async function load() {
  const token = readToken();
  following.abort();
  wishes.clear();
  find("#token-form").hidden = token !== null;
  find("#owner-part").hidden = token === null;
  find("#retry").hidden = true;
  list.replaceChildren();
  if (token === null) return;
  status.textContent = "Loading…";
  try {
    const [{ prompts }, gazette] = await Promise.all([call("GET", "prompts", { key: token }), loadGazette()]);
    status.textContent = prompts.length === 0 ? "Nobody has asked you for anything. There is nothing to do." : "";
    list.replaceChildren(...prompts.map((prompt) => renderPrompt(prompt, gazette)));
    showWanted();
    following = new AbortController();
    followInbox(token, () => renew(token, gazette), following.signal);
    const openings = { list: find("#openings"), status: find("#openings-status"), token };
    await Promise.all([past.load(gazette), notifications.load(), showOpenings(openings)]);
    await wishes.load(gazette, namesOfAgencies(prompts));
  } catch (problem) {
    status.textContent = explain(problem);
    if (problem.status === 401 || problem.status === 403) {
      forgetCredential("owner");
      find("#token-form").hidden = false;
    } else find("#retry").hidden = false;
  }
}

/** Show what came or changed since, and leave all else as it is: somebody may be reading it, or about to answer. */
async function renew(token, gazette) {
  const { prompts } = await call("GET", "prompts", { key: token });
  if (readToken() !== token) return;
  status.textContent = prompts.length === 0 ? status.textContent : "";
  const cards = new Map([...list.children].map((card) => [card.dataset.prompt, card]));
  prompts.forEach((prompt, place) => {
    let card = cards.get(prompt.id);
    cards.delete(prompt.id);
    if (card === undefined) card = renderPrompt(prompt, gazette);
    else if (card.dataset.version !== versionOf(prompt)) {
      card.dataset.version = versionOf(prompt);
      card.lastElementChild.replaceWith(renderAnswer(prompt, card));
    }
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  for (const card of cards.values()) card.remove();
  showWanted();
  await past.renew();
  if (readToken() === token) wishes.addAgencies(namesOfAgencies(prompts));
}

/** Those who can be muted, as {slug: name}: who asked, and who wished to and was held back. */
function namesOfAgencies(prompts) {
  return Object.fromEntries([...prompts, ...past.items].map(({ request: { agency } }) => [agency.slug, agency.name]));
}

/** What of a prompt can change. */
function versionOf(prompt) {
  return JSON.stringify([prompt.state, prompt.request.state, prompt.answer]);
}

function renderPrompt(prompt, gazette) {
  const { request } = prompt;
  const card = element(
    "article",
    { className: "prompt card", tabIndex: -1 },
    element("h2", {}, titleRequest(request, gazette)),
    element("p", { className: "quiet" }, `You were asked on ${formatMoment(prompt.delivered_at)}.`),
    element("div", { className: "request-where" }, sketchRequest(request, gazette)),
    element(
      "div",
      { className: "request-what" },
      element("p", { className: "request-text" }, request.text),
      descriptions(factsOfRequest(request)),
      element(
        "p",
        { className: "quiet" },
        "To verify, call the agency on the number that it publishes and ask for this contact. ",
        element("a", { href: `/#request-${request.id}` }, `Public request ${request.id}`),
        " says the same, ",
        element("a", { href: `/proof#leaf=${request.leaf_index}` }, "and cannot be changed"),
        ".",
      ),
    ),
  );
  card.append(renderAnswer(prompt, card));
  card.dataset.prompt = prompt.id;
  card.dataset.version = versionOf(prompt);
  return card;
}

/** The buttons, or what became of the prompt. */
function renderAnswer(prompt, card) {
  if (prompt.answer !== null) return renderGiven(prompt, card);
  if (prompt.state !== "delivered" || prompt.request.state !== "open") {
    return element("p", { className: "answer" }, "This request has ended. There is nothing to do.");
  }
  const trouble = element("p", { className: "error", role: "alert" });
  const share = element("button", { type: "button" }, "Share");
  const decline = element("button", { type: "button" }, "Decline");
  const answer = async (choice) => {
    share.disabled = decline.disabled = true;
    trouble.replaceChildren();
    try {
      const body = JSON.stringify({ choice });
      const given = await call("POST", `prompts/${prompt.id}/answer`, { key: readToken(), body });
      card.lastElementChild.replaceWith(renderAnswer({ ...prompt, answer: given }, card));
      card.focus();
    } catch (problem) {
      share.disabled = decline.disabled = false;
      trouble.replaceChildren(element("span", {}, explain(problem)));
      // Someone else with this token answered, or the request ended: neither button can work any more.
      if (problem.status === 409) share.disabled = decline.disabled = true;
    }
  };
  share.addEventListener("click", async () => {
    find("#confirm-who").textContent = `${prompt.request.agency.name}, case ${prompt.request.case_number}`;
    if (await agrees(find("#confirm"))) await answer("share");
  });
  decline.addEventListener("click", () => answer("decline"));
  return element(
    "div",
    { className: "answer" },
    element("div", { className: "choices" }, share, decline),
    trouble,
    element("p", { className: "quiet" }, "You may also ignore this; the agency cannot see that you were asked."),
  );
}

/** The answer that was given, and the way back. */
function renderGiven(prompt, card) {
  const { choice, answered_at: answeredAt, withdrawn_at: withdrawnAt } = prompt.answer;
  const said = `${choice === "share" ? "You agreed to share" : "You declined"} on ${formatMoment(answeredAt)}`;
  if (withdrawnAt !== null) {
    return element("p", { className: "answer" }, `${said}, and withdrew it on ${formatMoment(withdrawnAt)}.`);
  }
  if (choice !== "share") return element("p", { className: "answer" }, `${said}.`);
  const trouble = element("p", { className: "error", role: "alert" });
  const button = element("button", { type: "button", className: "small" }, "Withdraw it");
  button.addEventListener("click", async () => {
    if (!(await agrees(find("#withdraw")))) return;
    button.disabled = true;
    try {
      const given = await call("DELETE", `prompts/${prompt.id}/answer`, { key: readToken() });
      card.lastElementChild.replaceWith(renderAnswer({ ...prompt, answer: given }, card));
      card.focus();
    } catch (problem) {
      button.disabled = false;
      trouble.textContent = explain(problem);
    }
  });
  return element("div", { className: "answer" }, element("p", {}, `${said}. `, button), trouble);
}

find("#token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = find("#token").value.trim();
  find("#token").value = "";
  if (token === "") return;
  keepCredential("owner", token);
  load();
});
find("#retry").addEventListener("click", load);
find("#leave").addEventListener("click", () => {
  forgetCredential("owner");
  status.textContent = "";
  load();
});

/** Take from the address who the owner is and which prompt is meant, and show it. */
function arrive() {
  takeFragmentToken("owner");
  wanted = new URLSearchParams(location.hash.slice(1)).get("prompt");
  load();
}

// A second link opened in this tab changes only the fragment, which loads nothing anew.
addEventListener("hashchange", arrive);
arrive();
