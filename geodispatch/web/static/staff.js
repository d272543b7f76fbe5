import { Accesses } from "./accesses.js";
import { call } from "./api.js";
import { openAudit } from "./audit.js";
import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { People, line, showLink } from "./people.js";
import { callSigned, describeSession, loadSession, readSession, signOut } from "./session.js";
import { formatMoment } from "./time_window.js";

const REASONS = {
  wrong_facts: "It says what is not so",
  personal_data: "It names or shows a private person",
  pressure: "It presses people to share",
  bias: "It describes people by race or origin",
  not_allowed: "The law or the agency's policy does not allow it",
  other: "Something else",
};
const find = (selector) => document.querySelector(selector);
const send = (method, path, body = null) =>
  callSigned(method, path, { body: body === null ? null : JSON.stringify(body) });
const people = new People({ refusal: find("#refusal"), renew: () => showPeople() });

/** A flag with the form of its outcome. */
function flagCard({ id, reason, flagged_at, request_id, post_id, detail, contact }) {
  const path = request_id === null ? `/posts/${post_id}` : `/requests/${request_id}`;
  const what = request_id === null ? `Post ${post_id}` : `Request ${request_id}`;
  const field = `outcome-${id}`;
  const form = element(
    "form",
    { noValidate: true },
    element("label", { htmlFor: field }, "What came of it"),
    element("textarea", {
      id: field,
      name: "text",
      rows: 2,
      required: true,
      minLength: 3,
      maxLength: 2000,
      "data-pointer": "/text",
      "aria-describedby": `${field}-error`,
    }),
    element("p", { className: "error", id: `${field}-error`, "data-error": "/text" }),
    element("p", { className: "error", "data-error": "", role: "alert", tabIndex: -1 }),
    element("button", { type: "submit", className: "small", "aria-label": `Publish the outcome: flag ${id}` }, "Publish the outcome"),
  );
  attachStep(form, async () => {
    await send("POST", `flags/${id}/outcomes`, { text: form.elements.text.value.trim() });
    await showFlags();
    find("#status").textContent = `Flag ${id} has an outcome.`;
    find("#status").focus();
  });
  return element(
    "article",
    { className: "card flag", id: `flag-${id}` },
    element("h3", {}, element("a", { href: `${path}#flag-${id}` }, what), `: ${REASONS[reason] ?? reason}`),
    element("p", { className: "quiet" }, `${formatMoment(flagged_at)}; ${contact ?? "no way to reach the reader"}`),
    element("p", { className: "request-text" }, detail),
    form,
  );
}

async function showFlags() {
  const { flags } = await send("GET", "flags?undecided=true&limit=200");
  find("#flags").replaceChildren(...flags.map(flagCard));
  if (flags.length === 0) find("#flags").append(element("p", {}, "There are none."));
}

async function showPeople() {
  const [{ staff }, { invitations }] = await Promise.all([send("GET", "staff"), send("GET", "staff/invitations")]);
  find("#accounts").replaceChildren(...staff.map(accountLine));
  find("#invitations").replaceChildren(
    ...invitations.map(({ id, name, email, expires_at }) =>
      line(
        name,
        `${email}, until ${new Date(expires_at).toLocaleDateString()}`,
        people.button("Take back", name, () => send("DELETE", `staff/invitations/${id}`)),
      ),
    ),
  );
}

function accountLine({ id, name, email, staff_role, disabled_at, last_seen_at }) {
  const isEnabled = disabled_at === null;
  return line(
    name,
    `${staff_role}, ${email}, last here ${new Date(last_seen_at).toLocaleDateString()}${isEnabled ? "" : ", disabled"}`,
    people.button(isEnabled ? "Disable" : "Enable", email, () => send("PATCH", `staff/${id}`, { disabled: isEnabled })),
    people.button("Invite again", email, async () =>
      showLink(find("#shown-once"), await send("POST", `staff/${id}/invitation`)),
    ),
  );
}

async function offerAgencies() {
  const choice = find("#audit-agency");
  let after = "";
  do {
    const page = await call("GET", `public/agencies?limit=200${after}`);
    choice.append(...page.agencies.map(({ slug, name }) => element("option", { value: slug }, name)));
    after = page.next_after === null ? null : `&after=${page.next_after}`;
  } while (after !== null);
  choice.addEventListener("change", () => openAudit(find("#audit"), choice.value || null));
}

attachStep(find("#invite"), async () => {
  const { name, email, staff_role } = find("#invite").elements;
  const sent = await send("POST", "staff/invitations", {
    name: name.value.trim(),
    email: email.value,
    staff_role: staff_role.value,
  });
  find("#invite").reset();
  await showPeople();
  showLink(find("#shown-once"), sent);
});
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
  const isOperator = session.staff_role === "operator";
  const accesses = new Accesses(find("#accesses"));
  for (const section of document.querySelectorAll("[data-operators]")) section.hidden = !isOperator;
  if (session.staff_role === null) {
    find("#status").textContent = "This is for operators and moderators.";
  } else {
    const waits = isOperator ? "" : element("a", { href: "/review" }, "What waits for you is here.");
    const operators = isOperator ? [showFlags(), showPeople(), offerAgencies(), openAudit(find("#audit"))] : [];
    // It appears at once: what comes one by one would move what somebody is about to press.
    try {
      await Promise.all([accesses.load(), ...operators]);
      find("#status").replaceChildren(waits);
    } catch (problem) {
      find("#status").replaceChildren(`Not all of it could be loaded. ${problem.message} `, waits);
    }
    find("#part").hidden = false;
  }
}
