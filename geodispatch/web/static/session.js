import { call, Problem } from "./api.js";

// The session itself is a cookie that no script can read; what is kept here proves that a page of ours asks.
let current = null;

/** Who is signed in, second factor and all, as far as this page knows; null for nobody. */
export function readSession() {
  return current?.next === "nothing" ? current : null;
}

/** Ask the server who is signed in. */
export async function loadSession() {
  try {
    current = await call("GET", "session");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    current = null;
  }
  return current;
}

/** Call the service as whoever is signed in; see `call`. */
export async function callSigned(method, path, { headers = {}, ...options } = {}) {
  const proof = current === null ? {} : { "X-CSRF-Token": current.csrf_token };
  return await call(method, path, { ...options, headers: { ...headers, ...proof } });
}

/** Take a step of signing in, which answers with the session. */
export async function takeStep(method, path, body) {
  current = await callSigned(method, path, { body: JSON.stringify(body) });
  return current;
}

export async function signOut() {
  await callSigned("DELETE", "session");
  current = null;
}

/** "Det. A. Rossi, requester at Springfield Police" */
export function describeSession({ name, role, staff_role, agency_name }) {
  return agency_name === null ? `${name}, ${staff_role}` : `${name}, ${role} at ${agency_name}`;
}
