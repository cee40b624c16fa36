// The series of a study, and the instances of a series.

import { makeActions } from "./actions.js";
import { TAG, byNumber, className, number, text } from "./dicom.js";
import { count, make, makeButton } from "./dom.js";
import { loadNames, resourceUrl } from "./gateway.js";
import { makeListing } from "./listing.js";
import { isShown } from "./stack.js";
import { makeThumbnail } from "./thumbnails.js";
import { showSeries } from "./viewer.js";

const SERIES_FIELDS = ["SeriesDescription", "BodyPartExamined", "NumberOfSeriesRelatedInstances"];
const INSTANCE_FIELDS = ["InstanceNumber", "NumberOfFrames", "Rows", "Columns"];

/** The series of a study of a backend. */
export function makeSeriesList(backend, study, signal) {
  return makeListing({
    url: `${resourceUrl(backend, study)}/series`,
    fields: SERIES_FIELDS,
    order: byNumber(TAG.seriesNumber),
    words: ["series", "series"],
    className: "series-list",
    signal,
    makeItem: (series) => makeSeries(backend, study, series, signal),
  });
}

function makeSeries(backend, study, series, signal) {
  const uid = text(series, TAG.seriesInstanceUid);
  const modality = text(series, TAG.modality);
  const url = resourceUrl(backend, study, uid);
  const title = `Series ${text(series, TAG.seriesNumber) || "without number"}`;
  const facts = describeSeries(title, text(series, TAG.seriesDescription), series);
  const shown = { url, title: text(series, TAG.seriesDescription) || title, facts };
  const instances = make("div", { class: "instances", hidden: true, id: `series-${uid}` });
  const fill = () => instances.replaceChildren(makeInstanceList(backend, study, uid, modality, shown, signal));
  const opener = makeOpener(shown, instances, fill);
  const view = () => showSeries(shown);
  const actions = makeActions({ kind: "series", url, uid, title }, makeButton("View", view, { class: "view" }));
  const head = make("div", { class: "entry" }, makeThumbnail(modality, url, view, signal), opener, actions);
  return make("li", { class: "series" }, head, instances);
}

function makeOpener({ title, facts }, instances, fill) {
  const attributes = { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": instances.id };
  const button = make(
    "button",
    attributes,
    make("span", { class: "name" }, title),
    make("span", { class: "quiet facts" }, facts),
  );
  button.addEventListener("click", () => toggle(button, instances, fill));
  return button;
}

function toggle(button, instances, fill) {
  instances.hidden = !instances.hidden;
  button.setAttribute("aria-expanded", String(!instances.hidden));
  if (!instances.hidden && !instances.hasChildNodes()) fill();
}

function describeSeries(title, description, series) {
  const instances = number(series, TAG.instancesOfSeries);
  const facts = [
    text(series, TAG.modality),
    description ? title : "",
    text(series, TAG.bodyPart),
    Number.isNaN(instances) ? "" : count(instances, "instance", "instances"),
  ];
  return facts.filter(Boolean).join(" · ");
}

function makeInstanceList(backend, study, series, modality, shown, signal) {
  return makeListing({
    url: `${resourceUrl(backend, study, series)}/instances`,
    fields: INSTANCE_FIELDS,
    order: byNumber(TAG.instanceNumber),
    words: ["instance", "instances"],
    className: "instance-list",
    signal,
    makeItem: async (instance) => makeInstance(modality, shown, instance, await loadNames(), signal),
  });
}

function makeInstance(modality, shown, instance, names, signal) {
  const uid = text(instance, TAG.sopInstanceUid);
  const url = `${shown.url}/instances/${encodeURIComponent(uid)}`;
  const title = `Instance ${text(instance, TAG.instanceNumber) || "without number"}`;
  const description = make(
    "div",
    { class: "description" },
    make("span", { class: "name" }, title),
    make("span", { class: "quiet facts" }, describeInstance(instance, names)),
  );
  const canView = isShown(text(instance, TAG.sopClassUid), names);
  const view = canView ? () => showSeries({ ...shown, instance: url }) : null;
  const button = canView ? makeButton("View", view, { class: "view" }) : null;
  const actions = makeActions({ kind: "instance", url, uid, title }, button);
  return make("li", { class: "instance entry" }, makeThumbnail(modality, url, view, signal), description, actions);
}

/** "CT Image · 512 × 512 · 12 frames". */
function describeInstance(instance, names) {
  const [rows, columns, frames] = [TAG.rows, TAG.columns, TAG.numberOfFrames].map((tag) => number(instance, tag));
  const facts = [
    className(text(instance, TAG.sopClassUid), names),
    rows > 0 && columns > 0 ? `${rows} × ${columns}` : "",
    frames > 0 ? count(frames, "frame", "frames") : "",
  ];
  return facts.filter(Boolean).join(" · ");
}
