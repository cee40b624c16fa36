// The table of studies: one page of a search, and what opens below a study.

import { makeActions } from "./actions.js";
import { TAG, date, number, personName, text, time, values } from "./dicom.js";
import { announce, byId, count, make, makeWaiting } from "./dom.js";
import { resourceUrl, search } from "./gateway.js";
import { makeFailure, makeWarnings } from "./notices.js";
import { studyParameters } from "./search.js";
import { makeSeriesList } from "./series.js";

const PAGE = 25;
const COLUMNS = ["Patient", "Patient ID", "Born", "Study date", "Modalities", "Description", "Accession", "Contents"];

/** The studies of the chosen backend, page by page. */
export class Studies {
  #backend = null;
  #matching = [];
  #offset = 0;
  #running = new AbortController();

  constructor() {
    byId("next").addEventListener("click", () => this.#turn(this.#offset + PAGE));
    byId("previous").addEventListener("click", () => this.#turn(Math.max(0, this.#offset - PAGE)));
  }

  /** Show the first page of the studies of `backend` that match. */
  async show(backend, matching) {
    if (backend !== this.#backend) byId("studies").replaceChildren();
    this.#backend = backend;
    this.#matching = matching;
    this.#offset = 0;
    await this.#load();
  }

  async #turn(offset) {
    this.#offset = offset;
    await this.#load();
    byId("results").focus();
  }

  async #load() {
    this.#running.abort(); // the gateway tells the archive to stop
    const { signal } = (this.#running = new AbortController());
    const backend = this.#backend;
    byId("studies").setAttribute("aria-busy", "true");
    byId("summary").replaceChildren(makeWaiting(`Asking ${backend.name} …`));
    try {
      const parameters = studyParameters(this.#matching, PAGE, this.#offset);
      const found = await search(`${resourceUrl(backend)}/studies`, parameters, signal);
      if (!signal.aborted) this.#fill(backend, found, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
    if (!signal.aborted) byId("studies").setAttribute("aria-busy", "false");
  }

  #fill(backend, { items, warnings }, signal) {
    const studies = items.slice(0, PAGE);
    const content = studies.length ? makeTable(backend, studies, signal) : this.#makeNothing();
    byId("studies").replaceChildren(...makeWarnings(warnings), content);
    this.#showPages(studies.length, items.length > PAGE);
  }

  #makeNothing() {
    const advice = this.#matching.length ? "Try fewer or shorter search terms." : "Studies show here once it has some.";
    return make("div", { class: "nothing" }, make("p", {}, "No studies found."), make("p", { class: "quiet" }, advice));
  }

  #showPages(shown, hasMore) {
    const first = this.#offset + 1;
    const range = shown ? `${first}–${this.#offset + shown}` : "";
    byId("summary").textContent = writeSummary(shown, this.#offset, hasMore);
    byId("pages").hidden = !hasMore && this.#offset === 0;
    byId("previous").disabled = this.#offset === 0;
    byId("next").disabled = !hasMore;
    byId("page").textContent = range;
  }

  #fail(error) {
    byId("summary").textContent = "";
    byId("pages").hidden = true;
    byId("studies").replaceChildren(makeFailure(error, () => this.#load()));
  }
}

function writeSummary(shown, offset, hasMore) {
  if (shown === 0) return "";
  if (offset === 0 && !hasMore) return count(shown, "study", "studies");
  return `${offset + 1} to ${offset + shown}${hasMore ? ", and more" : ", the last ones"}`;
}

// Roles are written out, since narrow screens lay the table out as cards, which takes its meaning away otherwise.
function makeTable(backend, studies, signal) {
  const heads = COLUMNS.map((label) => make("th", { scope: "col", role: "columnheader" }, label));
  return make(
    "table",
    { class: "studies card", role: "table", "aria-labelledby": "results-title" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)),
    make("tbody", { role: "rowgroup" }, studies.flatMap((study) => makeRows(backend, study, signal))),
  );
}

/** The row of a study and the one below it, which is filled when the study is opened. */
function makeRows(backend, study, signal) {
  const id = `study-${text(study, TAG.studyInstanceUid)}`;
  const opener = makeOpener(study, id);
  const cells = [opener, ...describe(study)].map((content, index) => makeCell(COLUMNS[index], content));
  const row = make("tr", { class: "study", role: "row" }, cells);
  const panel = make("td", { colspan: COLUMNS.length, role: "cell" });
  const detail = make("tr", { class: "detail", role: "row", id, hidden: true }, panel);
  row.addEventListener("click", (event) => {
    if (!isSelecting() || event.target.closest("button")) toggle(opener, detail, () => fillPanel(panel, backend, study, signal));
  });
  return [row, detail];
}

function makeOpener(study, id) {
  const { main, others } = personName(study, TAG.patientName);
  const names = others.map((name) => make("span", { class: "other-name quiet" }, name));
  const attributes = { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": id };
  return make("button", attributes, make("span", { class: "name" }, main || "No name"), ...names);
}

/** The cells after the name. */
function describe(study) {
  return [
    text(study, TAG.patientId),
    date(study, TAG.birthDate),
    [date(study, TAG.studyDate), make("span", { class: "quiet time" }, time(study, TAG.studyTime))],
    values(study, TAG.modalitiesInStudy).map((modality) => make("span", { class: "modality" }, modality)),
    text(study, TAG.studyDescription),
    text(study, TAG.accessionNumber),
    writeContents(study),
  ];
}

function makeCell(label, content) {
  const isEmpty = content === "" || (Array.isArray(content) && content.length === 0);
  const shown = isEmpty ? make("span", { class: "quiet", "aria-label": "none" }, "–") : content;
  return make("td", { "data-label": label, role: "cell" }, make("div", {}, shown));
}

function writeContents(study) {
  const counts = [
    [number(study, TAG.seriesOfStudy), "series", "series"],
    [number(study, TAG.instancesOfStudy), "instance", "instances"],
  ];
  const known = counts.filter(([value]) => !Number.isNaN(value));
  return known.map(([value, one, many]) => make("span", { class: "count" }, count(value, one, many)));
}

/** Whether the click ends the selection of some text, which is not meant to open anything. */
function isSelecting() {
  return String(window.getSelection()) !== "";
}

function toggle(opener, detail, fill) {
  const opens = detail.hidden;
  detail.hidden = !opens;
  opener.setAttribute("aria-expanded", String(opens));
  if (opens && !detail.dataset.filled) fill();
  detail.dataset.filled = "yes";
  announce(opens ? "Study opened" : "Study closed");
}

function fillPanel(panel, backend, study, signal) {
  const uid = text(study, TAG.studyInstanceUid);
  const resource = { kind: "study", url: resourceUrl(backend, uid), uid, title: "Study" };
  const head = make("div", { class: "level-head" }, make("code", { class: "uid quiet" }, uid), makeActions(resource));
  panel.replaceChildren(make("div", { class: "panel" }, head, makeSeriesList(backend, uid, signal)));
}
