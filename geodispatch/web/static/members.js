import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { callSigned, describeSession, loadSession, readSession } from "./session.js";

const ROLES = ["viewer", "requester", "supervisor", "admin"];
const find = (selector) => document.querySelector(selector);
const send = (method, path, body = null) =>
  callSigned(method, path, { body: body === null ? null : JSON.stringify(body) });

/** One line: what it is, something quiet about it, and what can be done. */
function line(name, about, ...controls) {
  return element(
    "div",
    { className: "card person" },
    element("div", {}, element("strong", {}, name), element("p", { className: "quiet" }, about)),
    element("div", { className: "person-controls" }, ...controls),
  );
}

/** A button that acts, shows everything anew, and says why not if it was refused. */
function button(label, name, act) {
  const made = element("button", { type: "button", className: "small", "aria-label": `${label}: ${name}` }, label);
  made.addEventListener("click", () => attempt(act));
  return made;
}

async function attempt(act) {
  find("#refusal").textContent = "";
  try {
    await act();
  } catch (problem) {
    find("#refusal").textContent = problem.message;
    find("#refusal").focus();
  }
  await showAll();
}

function memberLine({ id, name, role, email, disabled_at, last_seen_at }, isAdmin) {
  const seen = last_seen_at === null ? "" : `, last here ${new Date(last_seen_at).toLocaleDateString()}`;
  const about = `${email ?? "keys only"}${seen}${disabled_at === null ? "" : ", disabled"}`;
  if (!isAdmin) return line(name, `${role}, ${about}`);
  const choice = element(
    "select",
    { "aria-label": `Role of ${name}` },
    ...ROLES.map((each) => element("option", { value: each, selected: each === role }, each)),
  );
  choice.addEventListener("change", () => attempt(() => send("PATCH", `members/${id}`, { role: choice.value })));
  const disabled = disabled_at === null;
  return line(
    name,
    about,
    choice,
    button(disabled ? "Disable" : "Enable", name, () => send("PATCH", `members/${id}`, { disabled })),
    email === null ? null : button("Invite again", name, async () => showLink(await send("POST", `members/${id}/invitation`))),
  );
}

/** Show what is shown only once: the link of an invitation. */
function showLink({ email, path }) {
  const shown = find("#shown-once");
  shown.replaceChildren(`Send this to ${email} yourself; it is not shown again: `, element("code", {}, location.origin + path));
  shown.hidden = false;
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
  find("#status").textContent = `${describeSession(session)}.`;
  find("#part").hidden = false;
  find("#admin-part").hidden = !isAdmin;
  if (!isAdmin) return;
  const [{ invitations }, { keys }] = await Promise.all([send("GET", "invitations"), send("GET", "keys")]);
  find("#invitations").replaceChildren(
    ...invitations.map(({ id, name, email, role, expires_at }) =>
      line(
        name,
        `${email}, as ${role}, until ${new Date(expires_at).toLocaleDateString()}`,
        button("Take back", name, () => send("DELETE", `invitations/${id}`)),
      ),
    ),
  );
  find("#keys").replaceChildren(
    ...keys.map(({ id, name, scopes, member_name }) =>
      line(
        name || `Key ${id}`,
        `${scopes.join(", ")}; ${member_name} answers for it`,
        button("End", name || `key ${id}`, () => send("DELETE", `keys/${id}`)),
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
  showLink(sent);
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
await showAll();
