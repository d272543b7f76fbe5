import { openAudit } from "./audit.js";
import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { People, line, showLink } from "./people.js";
import { callSigned, describeSession, loadSession, readSession } from "./session.js";

const ROLES = ["viewer", "requester", "supervisor", "admin"];
const find = (selector) => document.querySelector(selector);
const send = (method, path, body = null) =>
  callSigned(method, path, { body: body === null ? null : JSON.stringify(body) });

const people = new People({ refusal: find("#refusal"), renew: () => showAll() });

function memberLine({ id, name, role, email, disabled_at, last_seen_at }, isAdmin) {
  const seen = last_seen_at === null ? "" : `, last here ${new Date(last_seen_at).toLocaleDateString()}`;
  const about = `${email ?? "keys only"}${seen}${disabled_at === null ? "" : ", disabled"}`;
  if (!isAdmin) return line(name, `${role}, ${about}`);
  const choice = element(
    "select",
    { "aria-label": `Role of ${name}` },
    ...ROLES.map((each) => element("option", { value: each, selected: each === role }, each)),
  );
  choice.addEventListener("change", () => people.attempt(() => send("PATCH", `members/${id}`, { role: choice.value })));
  const disabled = disabled_at === null;
  return line(
    name,
    about,
    choice,
    people.button(disabled ? "Disable" : "Enable", name, () => send("PATCH", `members/${id}`, { disabled })),
    email === null
      ? null
      : people.button("Invite again", name, async () =>
          showLink(find("#shown-once"), await send("POST", `members/${id}/invitation`)),
        ),
  );
}

async function showAll() {
  const session = readSession();
  if (session === null || session.agency === null) {
    find("#part").hidden = true;
    find("#status").replaceChildren(
      session === null ? element("a", { href: "/sign-in" }, "Sign in first.") : "This is for members of an agency.",
    );
    return;
  }
  const isAdmin = session.role === "admin";
  const { members } = await send("GET", "members");
  find("#members").replaceChildren(...members.map((member) => memberLine(member, isAdmin)));
  find("#admin-part").hidden = !isAdmin;
  if (isAdmin) await showInvitationsAndKeys();
  find("#status").textContent = `${describeSession(session)}.`;
  find("#part").hidden = false; // at once: what comes one by one would move what somebody is about to press
}

async function showInvitationsAndKeys() {
  const [{ invitations }, { keys }] = await Promise.all([send("GET", "invitations"), send("GET", "keys")]);
  find("#invitations").replaceChildren(
    ...invitations.map(({ id, name, email, role, expires_at }) =>
      line(
        name,
        `${email}, as ${role}, until ${new Date(expires_at).toLocaleDateString()}`,
        people.button("Take back", name, () => send("DELETE", `invitations/${id}`)),
      ),
    ),
  );
  find("#keys").replaceChildren(
    ...keys.map(({ id, name, scopes, member_name }) =>
      line(
        name || `Key ${id}`,
        `${scopes.join(", ")}; ${member_name} answers for it`,
        people.button("End", name || `key ${id}`, () => send("DELETE", `keys/${id}`)),
      ),
    ),
  );
}

find("#invite-role").append(...ROLES.map((role) => element("option", { value: role }, role)));
attachStep(find("#invite"), async () => {
  const { name, email, role } = find("#invite").elements;
  const sent = await send("POST", "invitations", { name: name.value.trim(), email: email.value, role: role.value });
  find("#invite").reset();
  await showAll();
  showLink(find("#shown-once"), sent);
});
attachStep(find("#make-key"), async () => {
  const form = new FormData(find("#make-key"));
  const { key } = await send("POST", "keys", { name: form.get("name").trim(), scopes: form.getAll("scopes") });
  find("#make-key").reset();
  await showAll();
  const shown = find("#key-shown-once");
  shown.replaceChildren("Keep this key; it is not shown again: ", element("code", {}, key));
  shown.hidden = false;
});
await loadSession();
try {
  await showAll();
  if (readSession()?.role === "admin") await openAudit(find("#audit"));
} catch (problem) {
  find("#status").textContent = `The members could not be loaded. ${problem.message}`;
}
