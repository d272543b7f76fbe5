// The stream is read with fetch and not with EventSource, which cannot send a key but in the address.

const RETRY_FIRST_MS = 3000;
const RETRY_MAX_MS = 60_000;

/** Wait, or until the signal aborts. */
function pause(duration_ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, duration_ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Yield the events of a response as { event, id, data }; comments and unknown fields are skipped. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let fields = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (fields.event !== undefined) yield fields;
        fields = {};
      } else if (!line.startsWith(":")) {
        const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line);
        fields[name] = text;
      }
    }
  }
}

/**
 * Call `onChange` when an owner's inbox is another than it was, now and from then on, until `signal` aborts.
 *
 * A stream that ends is opened again with the last event's id, so that nothing is missed and nothing is told twice; one
 * that fails is, too, after a while. Ends by itself when the key is no longer taken.
 */
export async function followInbox(key, onChange, signal) {
  let known = null;
  let wait_ms = RETRY_FIRST_MS;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", Authorization: `Bearer ${key}` };
      if (known !== null) headers["Last-Event-ID"] = known;
      const answer = await fetch("/api/v1/prompts/events", { headers, signal, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return;
      if (answer.ok) {
        wait_ms = RETRY_FIRST_MS;
        for await (const event of readEvents(answer.body)) {
          known = event.id;
          await onChange();
        }
      }
    } catch {
      // The server went away, or we do; the next round finds out which.
    }
    await pause(wait_ms, signal);
    wait_ms = Math.min(2 * wait_ms, RETRY_MAX_MS);
  }
}
