import { call } from "./api.js";
import { element } from "./element.js";
import { attachStep } from "./form_step.js";
import { line } from "./people.js";
import { callSigned, loadSession, readSession } from "./session.js";

const KINDS = { policy: "Policy", ordinance: "Ordinance" };
const SECTIONS = {
  costs: "Costs, and who pays them",
  effectiveness: "Effectiveness",
  outside_sharing: "What was passed on to others",
  internal_audits: "Internal audits and violations of the policy",
  breaches: "Breaches and unauthorised access",
  records_requests: "Public records requests",
  planned_changes: "Changes asked for in the policy",
};
const find = (selector) => document.querySelector(selector);
const fieldsOf = (form) => find(form).elements;
const formatDay = (day) => new Date(`${day}T00:00`).toLocaleDateString();

/** What was typed, or null: an optional member that is empty is not sent as an empty text. */
const read = (field) => field.value.trim() || null;

function documentLine({ id, kind, versions }) {
  const [newest] = versions;
  const ends = newest.ends_on === null ? "" : ` until ${formatDay(newest.ends_on)}`;
  const about = `${KINDS[kind]}, in force from ${formatDay(newest.in_force_on)}${ends}; version ${newest.number}`;
  return line(newest.title, about, element("a", { href: `/documents/${id}` }, "Read"));
}

function donationLine({ donor, device_count: count, description, received_on, replaced_by }) {
  const corrected = replaced_by === null ? "" : "; corrected since";
  return line(donor, `${count} devices: ${description}, ${formatDay(received_on)}${corrected}`);
}

async function showAll() {
  const { agency } = readSession();
  const { documents, donations } = await call("GET", `public/agencies/${agency}?limit=1`);
  find("#profile").href = `/agencies/${agency}`;
  find("#documents").replaceChildren(...documents.map(documentLine));
  find("#donations").replaceChildren(...donations.map(donationLine));
  offer(fieldsOf("#document").document, documents.map(({ id, versions }) => [id, `The next version of: ${versions[0].title}`]));
  const standing = donations.filter(({ replaced_by }) => replaced_by === null);
  offer(fieldsOf("#donation").replaces, standing.map(({ id, donor, received_on }) => [id, `${donor}, ${formatDay(received_on)}`]));
  choose();
}

/** Offer these, after the first that is always there. */
function offer(select, options) {
  const [first] = select.options;
  select.replaceChildren(first, ...options.map(([value, name]) => element("option", { value }, name)));
  select.value = "";
}

/** The kind of a document is said once, with its first version. */
function choose() {
  const { document: which, kind } = fieldsOf("#document");
  kind.disabled = which.value !== "";
}

async function showStatements() {
  const { agency } = readSession();
  const year = fieldsOf("#statement").year.value;
  const report = await call("GET", `public/agencies/${agency}/reports/${year}`).catch(() => null);
  const said = Object.entries(report?.statements ?? {});
  find("#statements").replaceChildren(
    ...said.map(([section, [newest]]) => line(`${SECTIONS[section] ?? section}, ${year}`, newest.text)),
  );
}

function say(text) {
  find("#said").textContent = text;
  find("#said").hidden = false;
  find("#said").focus();
}

/** Publish what a form holds, show it, and empty the form. */
function attach(form, publish, done) {
  attachStep(find(form), async () => {
    await publish(fieldsOf(form));
    find(form).reset();
    await showAll();
    say(done);
  });
}

async function openForms() {
  fieldsOf("#document").document.addEventListener("change", choose);
  fieldsOf("#statement").section.append(
    ...Object.entries(SECTIONS).map(([value, name]) => element("option", { value }, name)),
  );
  const thisYear = String(new Date().getFullYear());
  fieldsOf("#statement").year.defaultValue = thisYear;
  fieldsOf("#statement").year.addEventListener("change", showStatements);
  attach(
    "#document",
    async ({ document: which, kind, title, in_force_on, ends_on, link, text }) => {
      const version = {
        title: title.value.trim(),
        in_force_on: in_force_on.value,
        ends_on: read(ends_on),
        link: read(link),
        text: read(text),
      };
      if (which.value === "") await send("documents", { ...version, kind: kind.value });
      else await send(`documents/${which.value}/versions`, version);
    },
    "The document is public.",
  );
  attach(
    "#donation",
    async ({ replaces, donor, device_count, description, received_on }) => {
      await send("donations", {
        donor: donor.value.trim(),
        device_count: device_count.valueAsNumber,
        description: description.value.trim(),
        received_on: received_on.value,
        replaces: replaces.value === "" ? null : Number(replaces.value),
      });
    },
    "The donation is disclosed.",
  );
  attach(
    "#statement",
    async ({ year, section, text }) => {
      await send(`reports/${year.value}/statements`, { section: section.value, text: text.value.trim() });
      await showStatements();
    },
    "The statement is public.",
  );
  await Promise.all([showAll(), showStatements()]);
  find("#part").hidden = false; // at once: what comes one by one would move what somebody is about to press
}

async function send(path, body) {
  await callSigned("POST", path, { body: JSON.stringify(body) });
}

await loadSession();
const session = readSession();
if (session === null) {
  find("#status").replaceChildren(element("a", { href: "/sign-in" }, "Sign in first."));
} else if (session.role !== "admin") {
  find("#status").textContent = "Only an admin of an agency publishes these; everybody reads them.";
} else {
  try {
    await openForms();
    find("#status").textContent = session.agency_name;
  } catch (problem) {
    find("#status").textContent = `They could not be loaded. ${problem.message}`;
  }
}
