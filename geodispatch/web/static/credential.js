// A key lives in sessionStorage: it goes with the tab, is never part of a URL, and other tabs don't see it.

/** The kept key of this kind ("owner" or "invitation"), or null. */
export function readCredential(kind) {
  return sessionStorage.getItem(`geodispatch.${kind}`);
}

export function keepCredential(kind, key) {
  sessionStorage.setItem(`geodispatch.${kind}`, key);
}

export function forgetCredential(kind) {
  sessionStorage.removeItem(`geodispatch.${kind}`);
}

/**
 * Move `#token=…` out of the address bar into sessionStorage.
 *
 * A fragment never reaches a server; taking it out also keeps it from the history and from a copied link.
 */
export function takeFragmentToken(kind) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (token !== "") keepCredential(kind, token.trim());
}
