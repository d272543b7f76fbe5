// The law on the map, under the fences. Each part can be switched off; what it says stands beside the map in words.

// Web Mercator ends here; a ring along its edge has the whole map inside.
const WORLD = [
  [-180, -85.06],
  [180, -85.06],
  [180, 85.06],
  [-180, 85.06],
  [-180, -85.06],
];

const LAYERS = [
  { id: "outside", part: "outside", type: "fill", source: "outside", paint: { "fill-opacity": 0.28 }, colour: "fill-color" },
  { id: "border", part: "outside", type: "line", source: "border", paint: { "line-width": 2 }, colour: "line-color" },
  { id: "ordinances", part: "ordinances", type: "fill", source: "ordinances", paint: { "fill-opacity": 0.18 } },
  {
    id: "ordinance-borders",
    part: "ordinances",
    type: "line",
    source: "ordinances",
    paint: { "line-width": 2, "line-dasharray": [3, 2] },
  },
  {
    id: "ordinance-words",
    part: "ordinances",
    type: "symbol",
    source: "ordinances",
    layout: { "text-field": ["get", "words"], "text-font": ["sans-serif"], "text-size": 12, "text-max-width": 16 },
    paint: { "text-halo-width": 1.6 },
  },
];

export class LawLayers {
  /** Put empty layers on a map, under its layer `before`; words come on top, for the law goes before names of places. */
  constructor(map, before) {
    this.map = map;
    for (const id of ["outside", "border", "ordinances"]) map.addSource(id, { type: "geojson", data: collect([]) });
    for (const { part: _part, colour: _colour, ...layer } of LAYERS) map.addLayer(layer, layer.type === "symbol" ? undefined : before);
    this.paint();
  }

  /** Shade all that is outside an agency's border; null shades nothing. */
  showTerritory(border) {
    const polygons = border === null ? [] : polygonsOf(border.boundary);
    // What lies inside a border's hole is outside of it again.
    const outside = [[WORLD, ...polygons.map(([shell]) => shell)], ...polygons.flatMap(([, ...holes]) => holes.map((hole) => [hole]))];
    const shaded = border === null ? [] : [feature({ type: "MultiPolygon", coordinates: outside })];
    this.map.getSource("outside").setData(collect(shaded));
    this.map.getSource("border").setData(collect(border === null ? [] : [feature(border.boundary)]));
  }

  /** Show each area of which ordinances say something, with their words. */
  showLaw({ ordinances, areas }) {
    const features = areas.map(({ slug, name, boundary }) => {
      const here = ordinances.filter(({ area }) => area === slug);
      const words = [name, ...here.map(({ says, in_force }) => (in_force ? says : `(not in force) ${says}`))].join("\n");
      return feature(boundary, { words, forbids: here.some(({ forbids }) => forbids) });
    });
    this.map.getSource("ordinances").setData(collect(features));
  }

  /** Show or hide a part: "outside" or "ordinances". */
  toggle(part, shown) {
    for (const layer of LAYERS) {
      if (layer.part === part) this.map.setLayoutProperty(layer.id, "visibility", shown ? "visible" : "none");
    }
  }

  /** Take the page's present colours. */
  paint() {
    const byRule = ["case", ["get", "forbids"], readColour("--map-forbids"), readColour("--map-ordinance")];
    for (const { id, colour } of LAYERS) {
      if (colour !== undefined) this.map.setPaintProperty(id, colour, readColour("--map-outside"));
    }
    this.map.setPaintProperty("ordinances", "fill-color", byRule);
    this.map.setPaintProperty("ordinance-borders", "line-color", byRule);
    this.map.setPaintProperty("ordinance-words", "text-color", readColour("--map-text"));
    this.map.setPaintProperty("ordinance-words", "text-halo-color", readColour("--map-land"));
  }
}

function polygonsOf({ type, coordinates }) {
  return type === "Polygon" ? [coordinates] : coordinates;
}

function feature(geometry, properties = {}) {
  return { type: "Feature", properties, geometry };
}

function collect(features) {
  return { type: "FeatureCollection", features };
}

/** A colour of the style sheet, where light and dark are decided. */
export function readColour(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
