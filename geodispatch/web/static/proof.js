import { call } from "./api.js";

const find = (selector) => document.querySelector(selector);
const status = find("#status");

const decode = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const encode = (bytes) => btoa(String.fromCharCode(...bytes));

async function hash(...parts) {
  const content = new Uint8Array(await new Blob(parts).arrayBuffer());
  return new Uint8Array(await crypto.subtle.digest("SHA-256", content));
}

/** The root that a leaf and its path lead to (RFC 9162, 2.1.3.2); null where the path does not fit the tree. */
async function rootOf({ leaf, index, size, hashes }) {
  let node = await hash(Uint8Array.of(0), new TextEncoder().encode(leaf));
  let place = BigInt(index);
  let last = BigInt(size) - 1n;
  for (const sibling of hashes.map(decode)) {
    if (last === 0n) return null;
    if (place & 1n || place === last) {
      node = await hash(Uint8Array.of(1), sibling, node);
      while (!(place & 1n) && place !== 0n) [place, last] = [place >> 1n, last >> 1n];
    } else node = await hash(Uint8Array.of(1), node, sibling);
    [place, last] = [place >> 1n, last >> 1n];
  }
  return last === 0n ? encode(node) : null;
}

/** Show the leaf that the address names ("#leaf=17"), and whether it is in the tree. */
async function show() {
  const index = new URLSearchParams(location.hash.slice(1)).get("leaf") ?? "";
  find("#proof").hidden = true;
  status.className = "";
  if (!/^\d+$/.test(index)) {
    status.textContent = "The address names no leaf.";
    return;
  }
  try {
    const checkpoint = await fetchCheckpoint();
    const size = checkpoint === null ? "" : `?size=${checkpoint.split("\n")[1]}`;
    const proof = await call("GET", `record/proof/inclusion/${index}${size}`);
    find("#proof-title").textContent = `Leaf ${proof.index} of ${proof.size}`;
    find("#leaf").textContent = JSON.stringify(JSON.parse(proof.leaf), null, 2);
    find("#checkpoint").textContent = checkpoint ?? "The operator has set no key: nothing is signed here.";
    find("#as-json").href = `/api/v1/record/proof/inclusion/${index}?size=${proof.size}`;
    find("#proof").hidden = false;
    await judge(proof, checkpoint);
  } catch (problem) {
    status.textContent = problem.message;
    status.className = "error";
  }
}

/** The signed note of the tree as it is now; null where the operator has set no key. */
async function fetchCheckpoint() {
  const answer = await fetch("/api/v1/record/checkpoint", { cache: "no-store" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`The checkpoint could not be had: the server answered with status ${answer.status}.`);
  return answer.text();
}

async function judge(proof, checkpoint) {
  if (crypto.subtle === undefined) {
    status.textContent = "This browser computes hashes on https:// pages only, so nothing was checked.";
    return;
  }
  const root = await rootOf(proof);
  const isProven = root !== null && (checkpoint === null || checkpoint.split("\n")[2] === root);
  status.className = isProven ? "" : "error";
  if (!isProven) status.textContent = "This leaf is not in the tree. Somebody should be told.";
  else if (checkpoint === null) status.textContent = `The leaf leads to the root ${root}, which nobody has signed.`;
  else status.textContent = "The leaf is in the tree that the checkpoint below is about.";
}

addEventListener("hashchange", show);
await show();
