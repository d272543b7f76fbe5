import { AttributionControl, LngLatBounds, Map as MapLibreMap, NavigationControl, ScaleControl } from "maplibre-gl";
import { TerraDraw, TerraDrawPolygonMode, TerraDrawRectangleMode, TerraDrawSelectMode } from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";
import { buildBasemap, repaintBasemap } from "./basemap.js";
import { fenceBounds, roundFence } from "./fence.js";

const DECIMALS = 7; // of a degree: the server's grid, so that nothing is rounded again there
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
    Object.assign(this, { map, onFence, onMode, known: null });
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

  /** Outline the fences of public requests. */
  outline(requests) {
    const features = requests.map(({ id, fence }) => ({ type: "Feature", properties: { id }, geometry: fence }));
    this.map.getSource("requests").setData({ type: "FeatureCollection", features });
  }

  frame(fence) {
    const [west, south, east, north] = fenceBounds(fence);
    this.map.fitBounds(new LngLatBounds([west, south, east, north]), { padding: 60, maxZoom: 17, animate: false });
  }

  goTo({ lon, lat }) {
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
    this.map.addLayer({ id: "requests-line", type: "line", source, paint: { "line-width": 1.5 } }, "places");
    this.paintRequests();
  }

  paintRequests() {
    this.map.setPaintProperty("requests-fill", "fill-color", readColour("--map-request"));
    this.map.setPaintProperty("requests-line", "line-color", readColour("--map-request"));
  }

  repaint() {
    repaintBasemap(this.map);
    this.paintRequests();
    for (const mode of ["polygon", "rectangle"]) this.draw.updateModeOptions(mode, { styles: drawnStyles() });
    this.draw.updateModeOptions("select", { styles: selectedStyles() });
  }
}

function readColour(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
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
