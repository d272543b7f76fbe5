/** What the server refused (RFC 9457), or that it could not be reached (`status` 0). */
export class Problem extends Error {
  constructor(status, { type = "", title = "", detail = "", errors = [] } = {}, retryAfter_s = null) {
    super(detail || title || `The server answered with status ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.type = type;
    this.errors = errors;
    this.retryAfter_s = retryAfter_s;
  }
}

/**
 * Call the service and return its JSON answer.
 *
 * cache   how the browser may keep it; "no-cache" asks whether what it keeps is still so
 *
 * Errors: `Problem` for every answer that is not a success and for an unreachable server;
 *         an `AbortError` when `signal` aborts.
 */
export async function call(
  method,
  path,
  { key = null, body = null, headers = {}, signal = null, cache = "no-store" } = {},
) {
  const request = { method, headers: { Accept: "application/json", ...headers }, signal, cache };
  if (key !== null) request.headers.Authorization = `Bearer ${key}`;
  if (body !== null) {
    request.headers["Content-Type"] = "application/json";
    request.body = body;
  }
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The server cannot be reached. Check the connection and try again." });
  }
  // A proxy in between may answer with HTML; the status alone must then do.
  const content = await answer.json().catch(() => ({}));
  signal?.throwIfAborted(); // an answer that was broken off on its way is none
  if (!answer.ok) throw new Problem(answer.status, content, Number(answer.headers.get("Retry-After")) || null);
  return content;
}
