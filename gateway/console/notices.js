// Failures in words, with a way out of them.

import { Failure } from "./gateway.js";
import { make, makeButton } from "./dom.js";

const UNEXPECTED = new Failure("Something went wrong in this page", "Reload it; if this stays, please report it.", 400);

/** The event on the document that tells of a failure that may pass. */
export const FAILED = "console-failed";

/**
 * A failure with a button that tries again. Those that may pass are tried again by `retryFailures` too, once
 * the archive is back.
 */
export function makeFailure(error, retry) {
  const failure = error instanceof Failure ? error : UNEXPECTED;
  if (failure === UNEXPECTED) console.error(error);
  const waits = failure.mayPass ? make("p", { class: "quiet" }, "This page tries again by itself once it can.") : null;
  const notice = make(
    "div",
    { class: "notice failure", role: "alert", "data-may-pass": failure.mayPass },
    make("h3", {}, failure.title),
    make("p", {}, failure.detail),
    waits,
  );
  const press = () => {
    notice.removeAttribute("data-may-pass"); // one attempt at a time
    retry();
  };
  notice.append(makeButton("Try again", press, { class: "retry" }));
  if (failure.mayPass) setTimeout(() => document.dispatchEvent(new Event(FAILED))); // once it is in the page
  return notice;
}

/** What was found but needs a word, such as the texts of Warning fields. */
export function makeWarnings(texts) {
  return texts.map((text) => make("p", { class: "notice warning" }, text));
}

/** Whether the page shows a failure that may have passed. */
export function hasFailed() {
  return document.querySelector("[data-may-pass]") !== null;
}

/** Press every "Try again" of a failure that may have passed. */
export function retryFailures() {
  for (const button of document.querySelectorAll("[data-may-pass] button.retry")) button.click();
}
