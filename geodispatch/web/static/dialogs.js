for (const button of document.querySelectorAll("dialog button")) {
  button.addEventListener("click", () => button.closest("dialog").close(button.value));
}

/** Ask once more, in a dialog whose way on has a value; true when the person goes ahead. */
export function agrees(dialog) {
  dialog.returnValue = "";
  dialog.dispatchEvent(new Event("close")); // a dialog tells late that it was closed: who asked before heard a no
  dialog.showModal();
  return new Promise((resolve) => {
    const end = () => {
      if (dialog.open) return; // so this is the end of what was asked before
      dialog.removeEventListener("close", end);
      resolve(dialog.returnValue !== "");
    };
    dialog.addEventListener("close", end);
  });
}
