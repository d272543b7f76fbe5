import { call } from "./api.js";
import { forgetCredential, readCredential, takeFragmentToken } from "./credential.js";
import { placeErrors } from "./field_errors.js";
import { attachStep } from "./form_step.js";
import { takeStep } from "./session.js";

const find = (selector) => document.querySelector(selector);
const form = find("#accept");

takeFragmentToken("invitation");
const token = readCredential("invitation");

async function showInvitation() {
  if (token === null) {
    find("#status").textContent = "Open the link that you were sent.";
    return;
  }
  try {
    const body = JSON.stringify({ token });
    const { email, name, agency_name, role } = await call("POST", "invitations/look", { body });
    const where = agency_name === null ? `as ${role}` : `to ${agency_name} as ${role}`;
    find("#invited").textContent = `${name}, you are invited ${where}.`;
    find("#email").value = email;
    find("#status").hidden = true;
    form.hidden = false;
    find("#password").focus();
  } catch (problem) {
    find("#status").textContent = problem.message;
  }
}

attachStep(form, async () => {
  const password = find("#password").value;
  if (password !== find("#again").value) {
    placeErrors(form, [{ pointer: "/again", detail: "The two differ." }]);
    return;
  }
  await takeStep("POST", "invitations/accept", { token, password });
  forgetCredential("invitation");
  location.assign("/sign-in");
});

await showInvitation();
