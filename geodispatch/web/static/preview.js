import { isOfFence } from "./checks.js";
import { descriptions } from "./element.js";
import { formatArea } from "./fence.js";
import { callSigned } from "./session.js";

const DEBOUNCE_MS = 300; // a dragged corner moves many times a second; the server is asked when it rests

/** The live answer to "may I ask this here, and roughly how many owners would it reach?" */
export class Preview {
  /**
   * panel      a live region that shows the answer; what is wrong with the fence has its place in there
   * checks     shows what is wrong, there and elsewhere
   * readDraft  returns as much of the request as there is, with `null` for the rest
   * whyNot     returns why nobody can be asked (nobody is signed in, …), or null
   * onRefusal  called with the `Problem` when the server refuses the caller rather than the request
   */
  constructor({ panel, checks, readDraft, whyNot, onRefusal }) {
    Object.assign(this, { panel, checks, readDraft, whyNot, onRefusal, timer: null, asking: null });
    this.verdict = panel.querySelector("[data-verdict]");
    this.facts = panel.querySelector("[data-facts]");
  }

  /** The fence has changed: nothing that was said of the former one stays. */
  restart() {
    this.checks.clear();
    this.say("Checking…");
    this.update();
  }

  /** Something has changed: ask anew when it rests. An answer still under way to an earlier question is dropped. */
  update() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const draft = this.readDraft();
    const reason = this.whyNot();
    if (reason !== null || isEmpty(draft)) {
      this.checks.clear();
      this.say(reason ?? "Draw a fence to see its area and roughly how many owners it reaches.");
      return;
    }
    this.panel.setAttribute("aria-busy", "true");
    this.timer = setTimeout(() => this.ask(draft), DEBOUNCE_MS);
  }

  async ask(draft) {
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const answer = await callSigned("POST", "preview", { body: JSON.stringify(draft), signal });
      this.render(draft, answer);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.refuse(draft, problem);
    }
  }

  /** Show why a request was refused: by the rules that it breaks, or for who asks. */
  refuse(draft, problem) {
    if (problem.errors?.length > 0) {
      this.render(draft, { area_m2: null, violations: problem.errors });
    } else {
      this.checks.clear();
      this.say("This cannot be checked now.");
      this.onRefusal(problem);
    }
  }

  say(text) {
    this.panel.removeAttribute("aria-busy");
    this.panel.className = "preview";
    this.verdict.className = "quiet";
    write(this.verdict, text);
    this.facts.replaceChildren();
  }

  render({ fence }, { area_m2, vertex_count, band, band_note, violations, needs_approval }) {
    this.say(judge(fence, violations, needs_approval));
    this.verdict.className = "verdict";
    this.checks.show(violations);
    if (violations.length > 0) this.panel.classList.add("refused");
    else if (fence !== null) this.panel.classList.add("allowed");
    if (area_m2 === null) return;
    // A fence that breaks a rule has neither a band nor a reason for having none.
    const reach = band === null ? band_note : describeBand(band);
    this.facts.append(
      descriptions([
        ["Area", formatArea(area_m2)],
        ...(reach === null ? [] : [["Reaches", reach]]),
        ["Corners", String(vertex_count)],
      ]),
    );
  }
}

/** Say in one sentence or two what may be done. */
function judge(fence, violations, needsApproval) {
  const elsewhereCount = violations.filter((breach) => !isOfFence(breach)).length;
  const elsewhere = elsewhereCount === 0 ? "" : ` ${elsewhereCount === 1 ? "One rule is" : `${elsewhereCount} rules are`} broken further down:`;
  if (elsewhereCount < violations.length) return `This fence cannot be used.${elsewhere}`;
  if (fence === null) return `There is no fence yet.${elsewhere}`;
  const rank = needsApproval ? "; a supervisor must approve the request" : "";
  return `This fence is allowed${rank}.${elsewhere}`;
}

/** A live region is read out whenever its nodes change, though they may say the same. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function isEmpty({ contact, window, ...members }) {
  return [...Object.values(members), window, contact?.name ?? null, contact?.email ?? null].every((each) => each === null);
}

/** "roughly 50-99 owners"; the open bands at both ends ("under 10") say by themselves that they are rough. */
function describeBand(band) {
  return `${band.includes("-") ? "roughly " : ""}${band} owners`;
}
