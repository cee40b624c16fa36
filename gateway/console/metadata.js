// The metadata of a resource as a tree in a dialog. Parts that are closed are made when they are opened.

import { attributeName, personName, writeTag } from "./dicom.js";
import { byId, count, make, makeWaiting } from "./dom.js";
import { loadNames, retrieveMetadata } from "./gateway.js";
import { makeFailure, makeWarnings } from "./notices.js";

const LONG = 300; // characters of a value shown at once

let running = new AbortController();

/** Open the dialog for a resource. */
export function showMetadata(resource) {
  const dialog = byId("metadata");
  byId("metadata-title").textContent = resource.title;
  byId("metadata-filter").value = "";
  if (!dialog.open) dialog.showModal();
  load(resource);
}

/** Hook up the dialog's own controls; once. */
export function prepareMetadata() {
  const dialog = byId("metadata");
  byId("metadata-close").addEventListener("click", () => dialog.close());
  byId("metadata-filter").addEventListener("input", filter);
  dialog.addEventListener("close", () => {
    running.abort();
    byId("metadata-tree").replaceChildren();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
}

async function load(resource) {
  running.abort();
  const { signal } = (running = new AbortController());
  const tree = byId("metadata-tree");
  tree.replaceChildren(makeWaiting("Reading the metadata …"));
  try {
    const [{ items, warnings }, names] = await Promise.all([retrieveMetadata(resource.url, signal), loadNames()]);
    if (!signal.aborted) tree.replaceChildren(...makeWarnings(warnings), ...makeDataSets(items, names));
  } catch (error) {
    if (!signal.aborted) tree.replaceChildren(makeFailure(error, () => load(resource)));
  }
}

/** One data set lies open; many are listed closed. */
function makeDataSets(items, names) {
  if (items.length === 0) return [make("p", { class: "quiet" }, "The archive has no metadata for this.")];
  if (items.length === 1) return [makeAttributes(items[0], names)];
  const title = (item, index) => `Instance ${item["00200013"]?.Value?.[0] ?? index + 1}`;
  return items.map((item, index) => makeLazy([title(item, index)], () => makeAttributes(item, names)));
}

/** A part that is closed at first. */
function makeLazy(summary, makeContent, attributes = {}) {
  const details = make("details", attributes, make("summary", {}, ...summary));
  details.addEventListener("toggle", () => details.append(makeContent()), { once: true });
  return details;
}

function makeAttributes(dataSet, names) {
  const tags = Object.keys(dataSet).sort();
  return make("ul", { class: "attributes" }, tags.map((tag) => makeAttribute(tag, dataSet[tag], dataSet, names)));
}

function makeAttribute(tag, attribute, dataSet, names) {
  const head = [
    make("code", { class: "tag" }, writeTag(tag)),
    make("span", { class: "name" }, attributeName(tag, names)),
    make("abbr", { class: "vr" }, attribute.vr ?? ""),
  ];
  const isSequence = attribute.vr === "SQ" && attribute.Value?.length > 0;
  const content = isSequence
    ? makeLazy(
        [...head, make("span", { class: "value quiet" }, count(attribute.Value.length, "item", "items"))],
        () => makeItems(attribute.Value, names),
      )
    : make("div", { class: "attribute" }, ...head, makeValue(tag, attribute, dataSet, names));
  return make("li", {}, content);
}

function makeItems(items, names) {
  const item = (dataSet, index) =>
    make("li", {}, make("p", { class: "quiet" }, `Item ${index + 1}`), makeAttributes(dataSet ?? {}, names));
  return make("ol", { class: "items" }, items.map(item));
}

function makeValue(tag, attribute, dataSet, names) {
  if (attribute.BulkDataURI !== undefined) {
    return make("span", { class: "value quiet" }, "Bulk data at ", make("code", {}, attribute.BulkDataURI));
  }
  if (attribute.InlineBinary !== undefined) {
    const bytes = Math.floor((attribute.InlineBinary.length * 3) / 4) - (/=*$/.exec(attribute.InlineBinary)[0].length);
    return make("span", { class: "value quiet" }, count(bytes, "byte", "bytes"));
  }
  const words = writeValue(tag, attribute, dataSet, names);
  const shown = words.length > LONG ? `${words.slice(0, LONG)} …` : words;
  return make("span", { class: words ? "value" : "value quiet" }, shown || "empty");
}

function writeValue(tag, attribute, dataSet, names) {
  const list = attribute.Value ?? [];
  if (attribute.vr === "PN") {
    const name = personName(dataSet, tag);
    return [name.main, ...name.others].filter(Boolean).join(" · ");
  }
  const known = attribute.vr === "UI" ? names.uids[list[0]] : undefined;
  return list.map((value) => value ?? "").join(" \\ ") + (known ? `  ${known}` : "");
}

/** Show only the attributes whose line has the words; sequences are searched as far as they were opened. */
function filter() {
  const wanted = byId("metadata-filter").value.trim().toLowerCase();
  const lines = byId("metadata-tree").querySelectorAll("ul.attributes > li");
  for (const line of lines) line.hidden = wanted !== "" && !line.textContent.toLowerCase().includes(wanted);
}
