import { AttributionControl, LngLatBounds, Map as MapLibreMap, NavigationControl, ScaleControl } from "maplibre-gl";
import { TerraDraw, TerraDrawPolygonMode, TerraDrawRectangleMode, TerraDrawSelectMode } from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";
import { buildBasemap, repaintBasemap } from "./basemap.js";
import { fenceBounds, roundFence } from "./fence.js";
import { LawLayers, readColour } from "./law_layers.js";

const DECIMALS = 7; // of a degree: the server's grid, so that nothing is rounded again there
const REQUEST_LAYERS = ["requests-fill", "requests-line", "requests-waiting"];
const IS_WAITING = ["==", ["get", "state"], "review"];
const EDITABLE = { feature: { draggable: true, coordinates: { midpoints: true, draggable: true, deletable: true } } };

/**
 * Make the map in `container` and wait until it can be drawn on.
 *
 * onFence  called with the GeoJSON Polygon whenever the person draws or changes it
 * onMode   called with the new mode whenever drawing itself changes it
 *
 * Errors: rejects where there is no WebGL 2, or when the base map cannot be loaded.
 */
export async function openFenceMap(container, { onFence, onMode }) {
  const map = new MapLibreMap({
    container,
    style: await buildBasemap(),
    center: [0, 25],
    zoom: 1,
    maxZoom: 19,
    attributionControl: false,
    pitchWithRotate: false,
    dragRotate: false,
    touchPitch: false,
  });
  map.addControl(new AttributionControl({ compact: true }));
  map.addControl(new NavigationControl({ showCompass: false }));
  map.addControl(new ScaleControl({ unit: "imperial" }), "top-left");
  map.addControl(new ScaleControl({ unit: "metric" }), "top-left");
  await map.once("load");
  return new FenceMap(map, onFence, onMode);
}

class FenceMap {
  constructor(map, onFence, onMode) {
    Object.assign(this, { map, onFence, onMode, known: null, isVisited: false });
    map.on("movestart", ({ originalEvent }) => (this.isVisited ||= originalEvent !== undefined));
    this.law = new LawLayers(map, "places");
    this.addRequestLayers();
    this.draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({ map, coordinatePrecision: DECIMALS }),
      modes: [
        new TerraDrawPolygonMode({ styles: drawnStyles() }),
        new TerraDrawRectangleMode({ styles: drawnStyles() }),
        new TerraDrawSelectMode({
          flags: { polygon: EDITABLE, rectangle: EDITABLE },
          keyEvents: { deselect: "Escape", delete: null, rotate: null, scale: null },
          styles: selectedStyles(),
        }),
      ],
    });
    this.draw.start();
    this.draw.on("finish", (id, { action }) => {
      if (action === "draw") this.keepOnly(id);
      this.report();
    });
    // A corner deleted in select mode changes the fence without a "finish".
    this.draw.on("change", (_ids, type, context) => {
      if (this.draw.getMode() === "select" && type === "update" && context?.origin !== "api") this.report();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  /** "static" moves the map, "polygon" and "rectangle" draw, "select" changes what is drawn. */
  setMode(mode) {
    this.draw.setMode(mode);
    if (mode === "select" && this.drawn()) this.draw.selectFeature(this.drawn().id);
  }

  /** Put a fence on the map in place of what was drawn; one that can't be drawn (holes) is only framed. */
  show(fence) {
    this.clear();
    const geometry = roundFence(fence);
    this.known = JSON.stringify(geometry.coordinates);
    this.draw.addFeatures([{ type: "Feature", properties: { mode: "polygon" }, geometry }]);
    this.frame(fence);
  }

  clear() {
    this.draw.setMode("static");
    this.draw.clear();
    this.known = null;
  }

  /** Outline the fences of requests, of which one that waits to be published is dashed. */
  outline(requests) {
    const features = requests.map(({ id, state, fence }) => ({ type: "Feature", properties: { id, state }, geometry: fence }));
    this.map.getSource("requests").setData({ type: "FeatureCollection", features });
  }

  /** Show or hide a part of what is under the fence: "outside", "ordinances" or "requests". */
  toggle(part, shown) {
    this.law.toggle(part, shown);
    if (part !== "requests") return;
    for (const id of REQUEST_LAYERS) this.map.setLayoutProperty(id, "visibility", shown ? "visible" : "none");
  }

  /** Bring an agency's border into view, as long as nobody has gone anywhere yet. */
  welcome({ boundary }) {
    if (this.isVisited || this.drawn() !== undefined) return;
    const bounds = new LngLatBounds();
    for (const position of boundary.coordinates.flat(boundary.type === "Polygon" ? 1 : 2)) bounds.extend(position);
    this.map.fitBounds(bounds, { padding: 30, maxZoom: 13, animate: false });
  }

  frame(fence) {
    this.isVisited = true;
    const [west, south, east, north] = fenceBounds(fence);
    this.map.fitBounds(new LngLatBounds([west, south, east, north]), { padding: 60, maxZoom: 17, animate: false });
  }

  goTo({ lon, lat }) {
    this.isVisited = true;
    this.map.jumpTo({ center: [lon, lat], zoom: 14 });
  }

  drawn() {
    return this.draw.getSnapshot().find(({ geometry }) => geometry.type === "Polygon");
  }

  /** There is one fence: a newly drawn one takes the place of the former. */
  keepOnly(id) {
    const former = this.draw.getSnapshot().filter((drawn) => drawn.geometry.type === "Polygon" && drawn.id !== id);
    this.draw.removeFeatures(former.map((drawn) => drawn.id));
    this.setMode("select");
    this.onMode("select");
  }

  /** Tell of the fence when its corners are not those last told or shown: selecting, too, counts as a change. */
  report() {
    const coordinates = this.drawn()?.geometry.coordinates;
    const text = JSON.stringify(coordinates);
    if (coordinates === undefined || text === this.known) return;
    this.known = text;
    this.onFence({ type: "Polygon", coordinates });
  }

  addRequestLayers() {
    const source = "requests";
    this.map.addSource(source, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    this.map.addLayer({ id: "requests-fill", type: "fill", source, paint: { "fill-opacity": 0.12 } }, "places");
    for (const { id, filter, paint } of [
      { id: "requests-line", filter: ["!", IS_WAITING], paint: { "line-width": 1.5 } },
      { id: "requests-waiting", filter: IS_WAITING, paint: { "line-width": 2.5, "line-dasharray": [2, 1.5] } },
    ]) {
      this.map.addLayer({ id, type: "line", source, filter, paint }, "places");
    }
    this.paintRequests();
  }

  paintRequests() {
    this.map.setPaintProperty("requests-fill", "fill-color", readColour("--map-request"));
    for (const id of ["requests-line", "requests-waiting"]) {
      this.map.setPaintProperty(id, "line-color", readColour("--map-request"));
    }
  }

  repaint() {
    repaintBasemap(this.map);
    this.law.paint();
    this.paintRequests();
    for (const mode of ["polygon", "rectangle"]) this.draw.updateModeOptions(mode, { styles: drawnStyles() });
    this.draw.updateModeOptions("select", { styles: selectedStyles() });
  }
}

function drawnStyles() {
  const colour = readColour("--map-fence");
  return { fillColor: colour, fillOpacity: 0.2, outlineColor: colour, outlineWidth: 3, closingPointColor: colour };
}

function selectedStyles() {
  const colour = readColour("--map-fence");
  return {
    selectedPolygonColor: colour,
    selectedPolygonFillOpacity: 0.2,
    selectedPolygonOutlineColor: colour,
    selectedPolygonOutlineWidth: 3,
    selectionPointColor: colour,
    selectionPointWidth: 6,
    midPointColor: colour,
    midPointWidth: 4,
  };
}
