import { svgElement } from "./element.js";
import { fenceBounds } from "./fence.js";

const WIDTH = 240;
const HEIGHT = 170;
const MARGIN = 14;
const FOOT = 30; // room under the outline for the scale bar
const M_PER_DEGREE = 111_320; // along a meridian; fences are a few hundred metres, so a flat map will do

/**
 * Draw a fence as a still picture, north up, with a scale bar.
 *
 * fence  GeoJSON Polygon, degrees
 * label  what a screen reader says instead of the picture
 * places [{lon, lat}], each a dot; all of them are in the picture
 */
export function sketchFence(fence, label, places = []) {
  const [west, south, east, north] = boundsWith(fenceBounds(fence), places);
  const [lon, lat] = [(west + east) / 2, (south + north) / 2];
  const m_per_degree_lon = M_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
  const width_m = Math.max((east - west) * m_per_degree_lon, 1);
  const height_m = Math.max((north - south) * M_PER_DEGREE, 1);
  const px_per_m = Math.min((WIDTH - 2 * MARGIN) / width_m, (HEIGHT - MARGIN - FOOT) / height_m);
  const middle_y = (MARGIN + HEIGHT - FOOT) / 2;
  const place = ([x, y]) => [
    (WIDTH / 2 + (x - lon) * m_per_degree_lon * px_per_m).toFixed(1),
    (middle_y - (y - lat) * M_PER_DEGREE * px_per_m).toFixed(1),
  ];
  const outline = fence.coordinates.map((ring) => `M${ring.map((at) => place(at).join(" ")).join("L")}Z`).join("");
  const bar_m = roundLength((WIDTH * 0.4) / px_per_m);
  const bar_y = HEIGHT - 9;
  return svgElement(
    "svg",
    { class: "sketch", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    svgElement("path", { class: "sketch-fence", d: outline, "fill-rule": "evenodd" }),
    ...places.map((at) => {
      const [cx, cy] = place([at.lon, at.lat]);
      return svgElement("circle", { class: "sketch-place", cx, cy, r: 4 });
    }),
    svgElement("path", {
      class: "sketch-bar",
      d: `M${MARGIN} ${bar_y - 5}v5h${(bar_m * px_per_m).toFixed(1)}v-5`,
    }),
    svgElement("text", { x: MARGIN + bar_m * px_per_m + 6, y: bar_y }, formatLength(bar_m)),
    svgElement("text", { x: WIDTH - MARGIN, y: bar_y, "text-anchor": "end" }, "N ↑"),
  );
}

function boundsWith([west, south, east, north], places) {
  const [lons, lats] = [places.map(({ lon }) => lon), places.map(({ lat }) => lat)];
  return [Math.min(west, ...lons), Math.min(south, ...lats), Math.max(east, ...lons), Math.max(north, ...lats)];
}

/** The longest of 1, 2, 5 × 10ⁿ metres that is not over `length_m`. */
function roundLength(length_m) {
  const power = 10 ** Math.floor(Math.log10(length_m));
  return power * [5, 2, 1].find((digit) => digit * power <= length_m);
}

function formatLength(length_m) {
  return length_m >= 1000 ? `${length_m / 1000} km` : `${length_m} m`;
}
