const FIELDS = {
  weekday: "short",
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
};

/** A moment (RFC 3339) in the reader's own zone, which is named. */
export function formatMoment(moment) {
  return new Intl.DateTimeFormat(undefined, FIELDS).format(new Date(moment));
}

/** A window {start, end} in the reader's own zone; what start and end share is said once. */
export function formatWindow({ start, end }) {
  return new Intl.DateTimeFormat(undefined, FIELDS).formatRange(new Date(start), new Date(end));
}

/** The reader's zone in words, for example "Europe/Rome (GMT+1)"; the offset is the one at `moment`. */
export function describeZone(moment = new Date()) {
  const format = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" });
  const offset = format.formatToParts(moment).find((part) => part.type === "timeZoneName").value;
  return `${format.resolvedOptions().timeZone} (${offset})`;
}

/** What a datetime-local input holds, read in the reader's zone, as RFC 3339 in UTC; null when it is empty. */
export function readLocalInput(value) {
  return value === "" ? null : new Date(value).toISOString();
}
