// A fence is a GeoJSON Polygon. The server judges it; here it is only read, measured for display and rounded.

const M2_PER_SQ_MI = 2_589_988.110336; // the international mile, 1,609.344 m

/** A text that holds no polygon; `message` says why, in words for the person who pasted it. */
export class UnreadableFence extends Error {}

/**
 * Take the polygon out of a GeoJSON text: a Polygon, a Feature, or a FeatureCollection of one.
 *
 * Errors: `UnreadableFence`.
 */
export function readFence(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UnreadableFence(`This is not JSON: ${error.message}`);
  }
  if (value?.type === "FeatureCollection") {
    if (value.features?.length !== 1) throw new UnreadableFence("A FeatureCollection must hold exactly one feature.");
    [value] = value.features;
  }
  if (value?.type === "Feature") value = value.geometry;
  if (value?.type !== "Polygon") {
    throw new UnreadableFence(`A fence is a GeoJSON Polygon, not ${value?.type ?? "this"}.`);
  }
  if (!value.coordinates?.every?.((ring) => ring?.every?.(isPosition)) || !value.coordinates[0]?.length) {
    throw new UnreadableFence("The coordinates of a Polygon are lists of rings of [longitude, latitude] pairs.");
  }
  return { type: "Polygon", coordinates: value.coordinates };
}

function isPosition(position) {
  return Array.isArray(position) && position.length >= 2 && position.every(Number.isFinite);
}

/** A fence as text, one position a line. */
export function writeFence(fence) {
  const rings = fence.coordinates.map((ring) => ring.map((position) => `    [${position.join(", ")}]`).join(",\n"));
  return `{\n  "type": "Polygon",\n  "coordinates": [[\n${rings.join("\n  ], [\n")}\n  ]]\n}`;
}

/** Round to 1e-7 degrees, the server's own grid (1.1 cm). */
export function roundFence(fence) {
  const round = (degrees) => Math.round(degrees * 1e7) / 1e7;
  const coordinates = fence.coordinates.map((ring) => ring.map(([lon, lat]) => [round(lon), round(lat)]));
  return { type: "Polygon", coordinates };
}

/** [west, south, east, north] in degrees. */
export function fenceBounds(fence) {
  const lons = fence.coordinates[0].map(([lon]) => lon);
  const lats = fence.coordinates[0].map(([, lat]) => lat);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** {lon, lat} of the middle of the bounds, in degrees. */
export function fenceCentre(fence) {
  const [west, south, east, north] = fenceBounds(fence);
  return { lon: (west + east) / 2, lat: (south + north) / 2 };
}

/** An area in m² in both units: "0.31 sq mi (812,346 m²)". */
export function formatArea(area_m2) {
  const two_digits = { minimumSignificantDigits: 2, maximumSignificantDigits: 2 };
  const sq_mi = (area_m2 / M2_PER_SQ_MI).toLocaleString(undefined, two_digits);
  return `${sq_mi} sq mi (${Math.round(area_m2).toLocaleString()} m²)`;
}
