// What a series holds for the eye: pictures frame by frame, in order, and documents.

import { TAG, byNumber, number, text } from "./dicom.js";
import { loadNames, retrieveMetadata, search } from "./gateway.js";

const BATCH = 1000;
const MOST = 20_000; // instances of one series that are listed
const FIELDS = ["InstanceNumber", "NumberOfFrames", "Rows", "Columns"];

const DOCUMENTS = { "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf" };
const REPORT = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\./;
// Storage classes without pixels: presentation states, waveforms, raw data, other encapsulated documents, RT
// plans and their like, annotations.
const NO_PICTURE = /Presentation State|Waveform|ECG|Audio|Raw Data|Encapsulated|Key Object|RT (?!Image|Dose)|Registration|Real World|Annotation|Surface|Tractography|Protocol|Lensometry|refraction|Keratometry|Visual Acuity|Spectacle|Stereometric|Spectroscopy/i;
// Classes whose instances may have many frames; an archive that does not say how many is asked for the metadata.
const MULTI_FRAME = /Multi-frame|Enhanced|Angiographic|Radiofluoroscopic|Nuclear|Segmentation|Slide|Video|Ophthalmic|Tomosynthesis|RT Dose|Parametric|Intravascular/i;

/**
 * List a series: {pictures, documents}.
 *
 * A picture is {url, frame, frames, rows, columns}: `url` of the instance, `frame` from 1. A document is
 * {url, mediaType}; reports are text/html.
 */
export async function loadStack(url, signal) {
  const [instances, names] = await Promise.all([listInstances(url, signal), loadNames()]);
  const usual = await findUsualClass(url, instances, signal);
  const members = instances.map((instance) => describe(url, instance, names, usual));
  const pictures = members.filter(({ kind }) => kind === "picture");
  const counted = await Promise.all(pictures.map((member) => countFrames(member, signal)));
  return { pictures: counted.flatMap(makeFrames), documents: members.filter(({ kind }) => kind === "document") };
}

/** Whether the page can show instances of this SOP class. */
export function isShown(sopClass, names) {
  return kindOf(sopClass, names) !== "other";
}

async function listInstances(url, signal) {
  const found = [];
  const fields = FIELDS.map((name) => ["includefield", name]);
  for (let isMore = true; isMore && found.length < MOST; ) {
    const parameters = [["limit", BATCH], ["offset", found.length], ...fields];
    const { items } = await search(`${url}/instances`, parameters, signal);
    found.push(...items);
    isMore = items.length === BATCH;
  }
  return found.sort(byNumber(TAG.instanceNumber));
}

/** The class of those instances whose class the archive does not tell: that of the first one of them. */
async function findUsualClass(url, instances, signal) {
  const untold = instances.find((instance) => !text(instance, TAG.sopClassUid));
  if (!untold) return "";
  const { items } = await retrieveMetadata(instanceUrl(url, untold), signal);
  return text(items[0], TAG.sopClassUid);
}

function instanceUrl(seriesUrl, instance) {
  return `${seriesUrl}/instances/${encodeURIComponent(text(instance, TAG.sopInstanceUid))}`;
}

function describe(seriesUrl, instance, names, usualClass) {
  const sopClass = text(instance, TAG.sopClassUid) || usualClass;
  return {
    kind: kindOf(sopClass, names),
    url: instanceUrl(seriesUrl, instance),
    instance,
    mediaType: DOCUMENTS[sopClass] ?? "text/html",
    isMultiFrame: MULTI_FRAME.test(names.uids[sopClass] ?? ""),
  };
}

function kindOf(sopClass, names) {
  if (DOCUMENTS[sopClass] || REPORT.test(sopClass)) return "document";
  return NO_PICTURE.test(names.uids[sopClass] ?? "") ? "other" : "picture";
}

/** The member with its number of `frames`. */
async function countFrames(member, signal) {
  const told = number(member.instance, TAG.numberOfFrames);
  if (told > 0 || !member.isMultiFrame) return { ...member, frames: told > 0 ? told : 1 };
  const { items } = await retrieveMetadata(member.url, signal);
  return { ...member, instance: items[0], frames: number(items[0], TAG.numberOfFrames) || 1 };
}

function makeFrames({ url, instance, frames }) {
  const [rows, columns] = [number(instance, TAG.rows), number(instance, TAG.columns)];
  return Array.from({ length: frames }, (_, index) => ({ url, frame: index + 1, frames, rows, columns }));
}
