import { openPublicRequests } from "./requests.js";

const find = (selector) => document.querySelector(selector);

const requests = openPublicRequests({
  list: find("#requests"),
  status: find("#requests-status"),
  more: find("#requests-more"),
});

/** Go to the request that the address names ("#request-17"), which may be older than the first page. */
async function goToNamed() {
  const id = Number(location.hash.match(/^#request-(\d+)$/)?.[1]);
  if (!id) return;
  await requests.include(id);
  const article = document.getElementById(`request-${id}`);
  article?.scrollIntoView();
  article?.focus({ preventScroll: true });
}

addEventListener("hashchange", goToNamed);
await requests.load();
await goToNamed();
