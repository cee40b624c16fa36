// Reports and documents: a report as HTML in a frame that can do nothing, a PDF in the browser's own viewer.

import { byId, make, makeWaiting } from "./dom.js";
import { retrieveDocument, retrieveReport } from "./gateway.js";
import { makeFailure } from "./notices.js";

const REPORT = "text/html";

export class DocumentView {
  #documents = [];
  #index = 0;
  #signal = null;
  #object = ""; // the URL of what the browser shows

  constructor() {
    byId("document-previous").addEventListener("click", () => this.#turn(this.#index - 1));
    byId("document-next").addEventListener("click", () => this.#turn(this.#index + 1));
  }

  /** Show `documents` from the one at `index` on, until `signal` is aborted. */
  show(documents, index, signal) {
    this.#documents = documents;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#close(), { once: true });
    this.#turn(index);
  }

  #close() {
    this.#revoke();
    byId("document-page").replaceChildren();
  }

  async #turn(index) {
    this.#index = index;
    const wanted = this.#documents[index];
    const signal = this.#signal;
    const page = byId("document-page");
    this.#showPosition();
    this.#revoke();
    page.replaceChildren(makeWaiting("Reading the document …"));
    try {
      const frame = wanted.mediaType === REPORT ? await makeReport(wanted, signal) : await this.#make(wanted, signal);
      if (!signal.aborted && this.#index === index) page.replaceChildren(frame);
    } catch (error) {
      if (!signal.aborted) page.replaceChildren(makeFailure(error, () => this.#turn(index)));
    }
  }

  #showPosition() {
    const most = this.#documents.length - 1;
    byId("document-turn").hidden = most === 0;
    byId("document-position").textContent = `Document ${this.#index + 1} of ${most + 1}`;
    byId("document-previous").disabled = this.#index === 0;
    byId("document-next").disabled = this.#index === most;
    byId("document-open").hidden = true;
  }

  async #make({ url, mediaType }, signal) {
    const content = await retrieveDocument(url, mediaType, signal);
    if (signal.aborted) return null;
    this.#object = URL.createObjectURL(new Blob([content], { type: mediaType }));
    const open = byId("document-open");
    Object.assign(open, { href: this.#object, hidden: false });
    return make("iframe", { src: this.#object, title: "Document" });
  }

  #revoke() {
    if (this.#object) URL.revokeObjectURL(this.#object);
    this.#object = "";
  }
}

/**
 * The report comes from whoever wrote it into the archive: its frame has no scripts, no forms, no origin, and the
 * policy of this page forbids the rest.
 */
async function makeReport({ url }, signal) {
  return make("iframe", { srcdoc: await retrieveReport(url, signal), sandbox: "", title: "Report" });
}
