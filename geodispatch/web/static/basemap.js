import feature from "topojson-client/feature.js";
import mesh from "topojson-client/mesh.js";
import { loadPlaces } from "./places.js";

// The United States and its territories come from the Census, all else from Natural Earth: two coastlines of the
// same shore would cross each other. Codes are ISO 3166-1 numeric.
const CENSUS_COUNTRIES = new Set(["840", "016", "316", "580", "630", "850"]);

// Its ring goes round the pole, which a flat map cannot draw as the atlas has it; nobody has a camera there.
const ANTARCTICA = "010";

const ATTRIBUTION = "Borders: US Census Bureau, Natural Earth. Places: GeoNames (CC BY 4.0).";

// How many of the most populous places a zoom level shows at most; MapLibre drops those that would collide.
const SHOWN_PLACES = ["step", ["zoom"], 40, 3, 150, 4, 500, 5, 1500, 6, 100_000];

/** A MapLibre style of land, borders and names, all from this origin; without `glyphs`, text is in local fonts. */
export async function buildBasemap() {
  const [world, states, places] = await Promise.all([
    loadTopology("world-atlas/countries-50m.json"),
    loadTopology("us-atlas/states-10m.json"),
    loadPlaces(),
  ]);
  const isOther = ({ id }) => !CENSUS_COUNTRIES.has(id) && id !== ANTARCTICA;
  const countries = feature(world, world.objects.countries).features.filter(isOther);
  const land = [...countries, ...feature(states, states.objects.states).features];
  const borders = [
    mesh(world, world.objects.countries, (a, b) => a !== b && isOther(a) && isOther(b)),
    mesh(states, states.objects.nation),
  ];
  return {
    version: 8,
    sources: {
      land: geojson(land.map(unwrapFeature), ATTRIBUTION),
      borders: geojson(borders.map(lineFeature)),
      states: geojson([lineFeature(mesh(states, states.objects.states, (a, b) => a !== b))]),
      places: geojson(places.map(placeFeature)),
    },
    layers: LAYERS.map(paintLayer),
  };
}

/** Give the map the page's present colours; for when the reader changes between light and dark. */
export function repaintBasemap(map) {
  for (const layer of LAYERS.map(paintLayer)) {
    for (const [name, value] of Object.entries(layer.paint)) map.setPaintProperty(layer.id, name, value);
  }
}

async function loadTopology(specifier) {
  // The import map alone knows the version, and so the folder, of what is vendored.
  const answer = await fetch(import.meta.resolve(specifier));
  if (!answer.ok) throw new Error(`${specifier}: ${answer.status}`);
  return answer.json();
}

function geojson(features, attribution = "") {
  return { type: "geojson", data: { type: "FeatureCollection", features }, attribution };
}

function lineFeature(geometry) {
  return { type: "Feature", properties: {}, geometry };
}

/**
 * The feature with rings that run on past 180 degrees where the atlas steps from 180 to -180; MapLibre, being flat,
 * would draw that step as an edge across the whole world.
 */
function unwrapFeature({ geometry: { type, coordinates } }) {
  const polygons = type === "Polygon" ? [coordinates] : coordinates;
  const unwrapped = polygons.map((rings) => rings.map(unwrapRing));
  return { type: "Feature", properties: {}, geometry: { type: "MultiPolygon", coordinates: unwrapped } };
}

function unwrapRing(ring) {
  let turn = 0;
  return ring.map(([lon, lat], i) => {
    const step = i === 0 ? 0 : lon - ring[i - 1][0];
    if (Math.abs(step) > 180) turn -= 360 * Math.sign(step);
    return [lon + turn, lat];
  });
}

function placeFeature({ city, lon, lat }, rank) {
  return { type: "Feature", properties: { city, rank }, geometry: { type: "Point", coordinates: [lon, lat] } };
}

const LAYERS = [
  { id: "water", type: "background", colours: { "background-color": "--map-water" } },
  {
    id: "land",
    type: "fill",
    source: "land",
    colours: { "fill-color": "--map-land" },
    paint: { "fill-antialias": false }, // its soft edges would show the seams between tiles
  },
  {
    id: "states",
    type: "line",
    source: "states",
    minzoom: 3,
    colours: { "line-color": "--map-border" },
    paint: { "line-width": 0.6 },
  },
  {
    id: "borders",
    type: "line",
    source: "borders",
    colours: { "line-color": "--map-border" },
    paint: { "line-width": 1 },
  },
  {
    id: "places",
    type: "symbol",
    source: "places",
    filter: ["<", ["get", "rank"], SHOWN_PLACES],
    layout: {
      "text-field": ["get", "city"],
      "text-font": ["sans-serif"],
      "text-size": 12,
      "symbol-sort-key": ["get", "rank"],
    },
    colours: { "text-color": "--map-text", "text-halo-color": "--map-land" },
    paint: { "text-halo-width": 1.4 },
  },
];

/** The layer with its colours read from the style sheet, where light and dark are decided. */
function paintLayer({ colours, paint = {}, ...layer }) {
  const style = getComputedStyle(document.documentElement);
  const read = Object.entries(colours).map(([name, variable]) => [name, style.getPropertyValue(variable).trim()]);
  return { ...layer, paint: { ...paint, ...Object.fromEntries(read) } };
}
