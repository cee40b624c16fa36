// The dialog in which a series or an instance is looked at.

import { byId, make, makeWaiting } from "./dom.js";
import { DocumentView } from "./document-view.js";
import { makeFailure } from "./notices.js";
import { StackView } from "./stack-view.js";
import { loadStack } from "./stack.js";

let running = new AbortController();
let views = null;

/** Hook up the dialog's own controls; once. */
export function prepareViewer() {
  const dialog = byId("viewer");
  views = { stack: new StackView(), document: new DocumentView() };
  byId("viewer-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => running.abort());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  dialog.addEventListener("keydown", pressKey);
}

/** Look at {url, title, facts}, a series; from the instance on whose URL is `instance`, if that is given. */
export function showSeries({ url, title, facts, instance }) {
  const dialog = byId("viewer");
  byId("viewer-title").textContent = title;
  byId("viewer-facts").textContent = facts ?? "";
  if (!dialog.open) dialog.showModal();
  load(url, instance);
}

async function load(url, instance) {
  running.abort();
  const { signal } = (running = new AbortController());
  showPart("notice", makeWaiting("Asking for the series …"));
  try {
    const stack = await loadStack(url, signal);
    if (!signal.aborted) show(stack, instance, signal);
  } catch (error) {
    if (!signal.aborted) showPart("notice", makeFailure(error, () => load(url, instance)));
  }
}

/** Pictures, unless a document was asked for or is all there is. */
function show({ pictures, documents }, instance, signal) {
  const wanted = documents.findIndex(({ url }) => url === instance);
  if (wanted >= 0 || (pictures.length === 0 && documents.length > 0)) {
    showPart("document");
    views.document.show(documents, Math.max(0, wanted), signal);
  } else if (pictures.length > 0) {
    showPart("stack");
    views.stack.show(pictures, Math.max(0, pictures.findIndex(({ url }) => url === instance)), signal);
  } else {
    showPart("notice", make("p", { class: "quiet" }, "Nothing in here can be shown as a picture or a text."));
  }
}

function showPart(name, ...notice) {
  byId("stack").hidden = name !== "stack";
  byId("document").hidden = name !== "document";
  byId("viewer-notice").replaceChildren(...notice);
}

function pressKey(event) {
  if (byId("stack").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input")) return;
  if (event.target.closest("button") && (event.key === " " || event.key === "Enter")) return;
  if (views.stack.press(event.key)) event.preventDefault();
}
