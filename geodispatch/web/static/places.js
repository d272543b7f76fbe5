// Places are GeoNames cities, most populous first: see vendor/README.md for where the file comes from.

const EARTH_RADIUS_KM = 6371;
const NAMES = new Intl.DisplayNames("en", { type: "region", fallback: "code" });

let loading = null;

/** All places as {name, lon, lat, search}, most populous first; fetched once per page. */
export function loadPlaces() {
  loading ??= fetchPlaces().catch((error) => {
    loading = null; // a failure is not kept: the next caller tries again
    throw error;
  });
  return loading;
}

async function fetchPlaces() {
  const answer = await fetch(new URL("places.json", import.meta.url));
  if (!answer.ok) throw new Error(`places.json: ${answer.status}`);
  const { places } = await answer.json();
  return places.map(readPlace);
}

function readPlace([city, country, region, lon, lat]) {
  const name = [city, region, NAMES.of(country)].filter(Boolean).join(", ");
  return { city, name, lon, lat, search: fold(name) };
}

/** Lower case without diacritics, so that "Zurich" finds "Zürich". */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/**
 * The places whose name begins with the query, then those with a word that does; most populous first.
 * Two numbers are read as "latitude, longitude", as map programs write them.
 */
export function findPlaces(places, query, limit = 8) {
  const at = readPosition(query);
  if (at !== null) return [at];
  const wanted = fold(query.trim());
  if (wanted === "") return [];
  const first = places.filter(({ search }) => search.startsWith(wanted));
  const later = places.filter(({ search }) => !search.startsWith(wanted) && search.includes(` ${wanted}`));
  return [...first, ...later].slice(0, limit);
}

function readPosition(query) {
  const numbers = query.match(/^\s*(-?\d+(?:\.\d+)?)[\s,;]+(-?\d+(?:\.\d+)?)\s*$/);
  if (numbers === null) return null;
  const [lat, lon] = [Number(numbers[1]), Number(numbers[2])];
  if (Math.abs(lat) > 90 || Math.abs(lon) > 180) return null;
  return { name: `Latitude ${lat}, longitude ${lon}`, lon, lat };
}

/** Where a position is, in words: "2 km north-east of Milan, Italy". Cost: one pass over the places. */
export function describePosition(places, { lon, lat }) {
  let nearest = null;
  let nearest_km = Infinity;
  for (const place of places) {
    const distance_km = measureDistance(place, { lon, lat });
    if (distance_km < nearest_km) [nearest, nearest_km] = [place, distance_km];
  }
  if (nearest_km < 1) return `in the centre of ${nearest.name}`;
  return `${Math.round(nearest_km)} km ${nameDirection(nearest, { lon, lat })} of ${nearest.name}`;
}

/** Haversine distance in km. */
function measureDistance(from, to) {
  const radians = Math.PI / 180;
  const half_lat = Math.sin(((to.lat - from.lat) * radians) / 2);
  const half_lon = Math.sin(((to.lon - from.lon) * radians) / 2);
  const chord = half_lat ** 2 + Math.cos(from.lat * radians) * Math.cos(to.lat * radians) * half_lon ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(chord));
}

function nameDirection(from, to) {
  const east = (to.lon - from.lon) * Math.cos((to.lat * Math.PI) / 180);
  const turn = Math.round(Math.atan2(east, to.lat - from.lat) / (Math.PI / 4));
  return ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"][(turn + 8) % 8];
}
