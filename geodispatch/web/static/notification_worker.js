// Runs without a page: shows that somebody asks, and opens the owner's page at the prompt. It knows no token and says
// nothing of who asks or why, as it may be shown on a locked screen.

const PAGE = "/owner";

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("push", (event) => {
  let promptId = "";
  try {
    promptId = event.data.json().prompt_id ?? "";
  } catch {
    // A push without words of ours still has to show something, or the browser shows something of its own.
  }
  event.waitUntil(
    self.registration.showNotification("Somebody asks for your help", {
      body: "Open it to read who asks and why. You decide, and nobody sees if you leave it.",
      icon: "/static/icon.svg",
      tag: promptId, // the same one again replaces the first
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(openPrompt(event.notification.tag));
});

async function openPrompt(promptId) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = windows.find((client) => new URL(client.url).pathname === PAGE);
  if (open === undefined) return self.clients.openWindow(`${PAGE}#prompt=${promptId}`);
  open.postMessage({ promptId }); // the page is outside the worker's scope, which may not navigate it
  return open.focus();
}
