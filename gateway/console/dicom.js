// Reading the DICOM JSON Model (PS3.18 Annex F) into text for people.

export const TAG = {
  sopClassUid: "00080016",
  sopInstanceUid: "00080018",
  studyDate: "00080020",
  studyTime: "00080030",
  accessionNumber: "00080050",
  modality: "00080060",
  modalitiesInStudy: "00080061",
  studyDescription: "00081030",
  seriesDescription: "0008103E",
  patientName: "00100010",
  patientId: "00100020",
  birthDate: "00100030",
  bodyPart: "00180015",
  studyInstanceUid: "0020000D",
  seriesInstanceUid: "0020000E",
  seriesNumber: "00200011",
  instanceNumber: "00200013",
  seriesOfStudy: "00201206",
  instancesOfStudy: "00201208",
  instancesOfSeries: "00201209",
  numberOfFrames: "00280008",
  rows: "00280010",
  columns: "00280011",
  samplesPerPixel: "00280002",
  photometricInterpretation: "00280004",
  bitsStored: "00280101",
  pixelRepresentation: "00280103",
  windowCenter: "00281050",
  windowWidth: "00281051",
  rescaleIntercept: "00281052",
  rescaleSlope: "00281053",
  voiLutFunction: "00281056",
  frameVoiLut: "00289132",
  pixelValueTransformation: "00289145",
  cineRate: "00180040",
  frameTime: "00181063",
  recommendedFrameRate: "00082144",
  sharedFunctionalGroups: "52009229",
  perFrameFunctionalGroups: "52009230",
};

/** The values of an attribute, empty ones left out. */
export function values(dataSet, tag) {
  return (dataSet[tag]?.Value ?? []).filter((value) => value !== null && value !== "");
}

/** All values of an attribute as one text, "" if there are none. */
export function text(dataSet, tag) {
  return values(dataSet, tag).join(", ");
}

/** First value as a number; NaN where there is none or it is no number. */
export function number(dataSet, tag) {
  const [value] = values(dataSet, tag);
  return value === undefined ? NaN : Number(value);
}

/** The groups of a person name in order of reading: {main, others}. */
export function personName(dataSet, tag) {
  const [name] = values(dataSet, tag);
  if (typeof name !== "object") return { main: typeof name === "string" ? writeGroup(name) : "", others: [] };
  const groups = [name.Alphabetic, name.Ideographic, name.Phonetic].map(writeGroup).filter(Boolean);
  return { main: groups[0] ?? "", others: groups.slice(1) };
}

/** One group, "Family^Given^Middle^Prefix^Suffix" (PS3.5 §6.2.1.1), as "Family, Prefix Given Middle, Suffix". */
function writeGroup(group) {
  const [family, given, middle, prefix, suffix] = (group ?? "").split("^").map((part) => part.trim());
  const first = [prefix, given, middle].filter(Boolean).join(" ");
  return [family, first, suffix].filter(Boolean).join(", ");
}

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

/** A DA as the reader's language writes it; what is no date stays as it is. */
export function date(dataSet, tag) {
  const raw = text(dataSet, tag);
  const parts = /^(\d{4})\.?(\d\d)\.?(\d\d)$/.exec(raw);
  if (!parts) return raw;
  const [year, month, day] = parts.slice(1).map(Number);
  const moment = new Date(Date.UTC(year, month - 1, day));
  moment.setUTCFullYear(year);
  return moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day ? DATE.format(moment) : raw;
}

/** A TM as hours and minutes; what is no time stays as it is. */
export function time(dataSet, tag) {
  const raw = text(dataSet, tag);
  const parts = /^(\d\d):?(\d\d)?/.exec(raw);
  return parts ? `${parts[1]}:${parts[2] ?? "00"}` : raw;
}

/** Compare data sets by a number, those without one last. */
export function byNumber(tag) {
  const rank = (dataSet) => {
    const value = number(dataSet, tag);
    return Number.isNaN(value) ? Infinity : value;
  };
  return (left, right) => {
    const [first, second] = [rank(left), rank(right)];
    return first === second ? 0 : first - second;
  };
}

/** "(0010,0010)" of "00100010". */
export function writeTag(tag) {
  return `(${tag.slice(0, 4)},${tag.slice(4)})`;
}

/** The name of a SOP class without the "Storage" that all have, else its UID. */
export function className(uid, names) {
  return (names.uids[uid] ?? uid).replace(/ Storage\b/, "");
}

/** The name of an attribute; overlays and curves have the name of their first group (PS3.5 §7.6). */
export function attributeName(tag, names) {
  const repeating = /^(50|60)[0-9A-F]{2}/.test(tag) ? `${tag.slice(0, 2)}00${tag.slice(4)}` : tag;
  const known = names.attributes[tag] ?? names.attributes[repeating];
  if (known) return known;
  if (tag.endsWith("0000")) return "Group Length";
  if (parseInt(tag.slice(3, 4), 16) % 2 === 0) return "Unknown attribute";
  return /^00[1-9A-F]/.test(tag.slice(4)) ? "Private Creator" : "Private attribute";
}
