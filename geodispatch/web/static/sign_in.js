import { call } from "./api.js";
import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { callSigned, describeSession, loadSession, signOut, takeStep } from "./session.js";

const find = (selector) => document.querySelector(selector);
const STEPS = ["#password-step", "#set-up-step", "#code-step", "#codes-step", "#done-step"];

function show(...steps) {
  for (const step of STEPS) find(step).hidden = !steps.includes(step);
}

/** Show what is next for this session, null for nobody's. */
async function showNext(session) {
  if (session === null) {
    show("#password-step");
    find("#email").focus();
  } else if (session.next === "set_up") {
    const { secret, qr_svg } = await callSigned("POST", "session/second-factor");
    find("#secret").textContent = secret.replace(/(.{4})(?=.)/g, "$1 ");
    find("#code-hint").hidden = true;
    find("#qr").replaceChildren(new DOMParser().parseFromString(qr_svg, "image/svg+xml").documentElement);
    show("#set-up-step", "#code-step");
    find("#code").focus();
  } else if (session.next === "code") {
    show("#code-step");
    find("#code").focus();
  } else if (session.recovery_codes.length > 0) {
    find("#codes").replaceChildren(...session.recovery_codes.map((code) => element("li", {}, element("code", {}, code))));
    show("#codes-step");
    find("#codes-title").focus();
  } else {
    find("#who").textContent = `${describeSession(session)}.`;
    find("#to-agency").hidden = find("#to-members").hidden = session.agency === null;
    find("#to-review").hidden = session.staff_role !== "moderator";
    show("#done-step");
    find("#done-title").focus();
  }
}

attachStep(find("#password-step"), async () => {
  const session = await takeStep("POST", "session", { email: find("#email").value, password: find("#password").value });
  find("#password").value = "";
  await showNext(session);
});

attachStep(find("#code-step"), async () => {
  const isFirst = !find("#set-up-step").hidden;
  const session = await takeStep("POST", "session/code", { code: find("#code").value });
  find("#code").value = "";
  // A member comes for the map, a moderator for the queue; recovery codes have to be seen first.
  if (!isFirst && session.agency !== null) location.assign("/agency");
  else if (!isFirst && session.staff_role === "moderator") location.assign("/review");
  else if (!isFirst && session.staff_role === "operator") location.assign("/staff");
  else await showNext(session);
});

find("#codes-kept").addEventListener("click", async () => {
  find("#codes").replaceChildren();
  await showNext(await loadSession());
});

find("#sign-out").addEventListener("click", async () => {
  await signOut();
  await showNext(null);
});

call("GET", "session/ways").then(({ provider }) => {
  find("#provider").hidden = !provider;
});
await showNext(await loadSession());
