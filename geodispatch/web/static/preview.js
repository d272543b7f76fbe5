import { descriptions, element } from "./element.js";
import { formatArea } from "./fence.js";
import { callSigned, readSession } from "./session.js";

const DEBOUNCE_MS = 300; // a dragged corner moves many times a second; the server is asked when it rests

/** The live answer to "may I ask here, and roughly how many owners would it reach?" */
export class Preview {
  /**
   * panel      a live region that shows the answer
   * onRefusal  called with the `Problem` when the server refuses the fence or the caller
   */
  constructor(panel, onRefusal) {
    Object.assign(this, { panel, onRefusal, timer: null, asking: null });
    this.update(null);
  }

  /** Show the preview of this fence (null for none); an answer still under way for another one is dropped. */
  update(fence) {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.panel.removeAttribute("aria-busy");
    if (fence === null) this.say("Draw a fence to see its area and roughly how many owners it reaches.");
    else if (readSession() === null) this.say("Sign in to see whether this fence is allowed.");
    else this.timer = setTimeout(() => this.ask(fence), DEBOUNCE_MS);
  }

  async ask(fence) {
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.panel.setAttribute("aria-busy", "true");
    try {
      const body = JSON.stringify({ fence });
      const answer = await callSigned("POST", "preview", { body, signal });
      this.render(answer);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.say("There is no preview of this fence.");
      this.onRefusal(problem);
    }
    this.panel.removeAttribute("aria-busy");
  }

  say(text) {
    this.panel.className = "preview";
    this.panel.replaceChildren(element("p", { className: "quiet" }, text));
  }

  render({ area_m2, vertex_count, band, band_note, allowed, violations, needs_approval }) {
    const good = `This fence is allowed${needs_approval ? "; a supervisor must approve the request" : ""}.`;
    this.panel.className = `preview ${allowed ? "allowed" : "refused"}`;
    this.panel.replaceChildren(
      element("p", { className: "verdict" }, allowed ? good : "This fence cannot be used:"),
      element("ul", { className: "violations" }, ...violations.map(({ detail }) => element("li", {}, detail))),
      descriptions([
        ["Area", formatArea(area_m2)],
        ["Reaches", band === null ? band_note : describeBand(band)],
        ["Corners", String(vertex_count)],
      ]),
    );
  }
}

/** "roughly 50-99 owners"; the open bands at both ends ("under 10") say by themselves that they are rough. */
function describeBand(band) {
  return `${band.includes("-") ? "roughly " : ""}${band} owners`;
}
