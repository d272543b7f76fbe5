import { call } from "./api.js";

const WORKER = "/static/notification_worker.js";

const WORDS = {
  on: "This device shows a notification when somebody asks you. It says no more than that. Keep your link: a new tab asks for it.",
  off: "This device does not tell you of new requests.",
  blocked: "This browser blocks notifications from this site. Allow them in its settings, then come back.",
  unsupported: "This browser cannot show notifications.",
  unavailable: "Notifications are not set up on this server.",
};

/** Notifications on this device: a switch that is on while the browser is subscribed and the server knows it. */
export class Notifications {
  /**
   * button, status  the switch, and where its state is said
   * readToken       returns the owner's token or null
   * onOpen          called with a prompt's id when its notification was clicked
   */
  constructor({ button, status, readToken, onOpen }) {
    Object.assign(this, { button, status, readToken, state: "off", serverKey: null });
    button.addEventListener("click", () => this.toggle());
    navigator.serviceWorker?.addEventListener("message", ({ data }) => onOpen(data.promptId));
  }

  /** Find out how it stands. */
  async load() {
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
      this.show("unsupported");
      return;
    }
    this.serverKey = (await call("GET", "push/key")).key;
    if (this.serverKey === null) {
      this.show("unavailable");
      return;
    }
    if (Notification.permission === "denied") this.show("blocked");
    else this.show((await this.isKnown(await this.subscription())) ? "on" : "off");
  }

  /** True where the server notifies this owner by the subscription: it may be another owner's, or be forgotten. */
  async isKnown(subscription) {
    if (subscription === null) return false;
    const { endpoints } = await call("GET", "push/subscriptions", { key: this.readToken() });
    return endpoints.includes(subscription.endpoint);
  }

  show(state, trouble = "") {
    this.state = state;
    this.button.hidden = !["on", "off"].includes(state);
    this.button.textContent = state === "on" ? "Stop notifying this device" : "Notify me on this device";
    this.status.textContent = trouble ? `${WORDS[state]} ${trouble}` : WORDS[state];
  }

  async subscription() {
    const registration = await navigator.serviceWorker.getRegistration(WORKER);
    return (await registration?.pushManager.getSubscription()) ?? null;
  }

  async toggle() {
    this.button.disabled = true;
    const before = this.state;
    try {
      await (before === "on" ? this.turnOff() : this.turnOn());
    } catch (error) {
      this.show(before, `It could not be changed: ${error.message}`);
    }
    this.button.disabled = false;
  }

  async turnOn() {
    // Asked for by a click and never before: who is asked at once says no for good.
    if ((await Notification.requestPermission()) !== "granted") {
      this.show(Notification.permission === "denied" ? "blocked" : "off");
      return;
    }
    const registration = await navigator.serviceWorker.register(WORKER);
    await activated(registration);
    // One that is left from another owner, or was made with another key of the server, is of no use.
    await (await registration.pushManager.getSubscription())?.unsubscribe();
    const options = { userVisibleOnly: true, applicationServerKey: bytesOf(this.serverKey) };
    const subscription = await registration.pushManager.subscribe(options);
    try {
      const body = JSON.stringify(subscription.toJSON());
      await call("POST", "push/subscriptions", { key: this.readToken(), body });
    } catch (problem) {
      await subscription.unsubscribe(); // or the browser would say that it is on
      throw problem;
    }
    this.show("on");
  }

  async turnOff() {
    const subscription = await this.subscription();
    if (subscription !== null) {
      const query = new URLSearchParams({ endpoint: subscription.endpoint });
      await call("DELETE", `push/subscriptions?${query}`, { key: this.readToken() }).catch((problem) => {
        if (problem.status !== 404) throw problem; // the server had forgotten it already
      });
      await subscription.unsubscribe();
    }
    this.show("off");
  }
}

/** Wait until a worker is in charge: `navigator.serviceWorker.ready` would wait for one of this page's own folder. */
async function activated(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (worker.state === "activated") return;
  await new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("the browser refused the worker"));
    });
  });
}

function bytesOf(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
