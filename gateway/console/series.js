// The series of a study, and the instances of a series.

import { makeActions } from "./actions.js";
import { TAG, byNumber, className, number, text } from "./dicom.js";
import { count, make } from "./dom.js";
import { loadNames, resourceUrl } from "./gateway.js";
import { makeListing } from "./listing.js";

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
  const instances = make("div", { class: "instances", hidden: true, id: `series-${uid}` });
  const fill = () => instances.replaceChildren(makeInstanceList(backend, study, uid, modality, signal));
  const opener = makeOpener(title, series, instances, fill);
  const resource = { kind: "series", url, uid, title };
  const head = make("div", { class: "entry" }, makePicture(modality, url), opener, makeActions(resource));
  return make("li", { class: "series" }, head, instances);
}

function makeOpener(title, series, instances, fill) {
  const description = text(series, TAG.seriesDescription);
  const attributes = { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": instances.id };
  const button = make(
    "button",
    attributes,
    make("span", { class: "name" }, description || title),
    make("span", { class: "quiet facts" }, describeSeries(title, description, series)),
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

function makeInstanceList(backend, study, series, modality, signal) {
  return makeListing({
    url: `${resourceUrl(backend, study, series)}/instances`,
    fields: INSTANCE_FIELDS,
    order: byNumber(TAG.instanceNumber),
    words: ["instance", "instances"],
    className: "instance-list",
    signal,
    makeItem: async (instance) => makeInstance(backend, study, series, modality, instance, await loadNames()),
  });
}

function makeInstance(backend, study, series, modality, instance, names) {
  const uid = text(instance, TAG.sopInstanceUid);
  const url = resourceUrl(backend, study, series, uid);
  const title = `Instance ${text(instance, TAG.instanceNumber) || "without number"}`;
  const description = make(
    "div",
    { class: "description" },
    make("span", { class: "name" }, title),
    make("span", { class: "quiet facts" }, describeInstance(instance, names)),
  );
  const actions = makeActions({ kind: "instance", url, uid, title });
  return make("li", { class: "instance entry" }, makePicture(modality, url), description, actions);
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

/** The place of a thumbnail of the resource at `url`; it holds the modality until there is a picture. */
function makePicture(modality, url) {
  return make("div", { class: "picture", "aria-hidden": "true", "data-resource": url }, modality || "–");
}
