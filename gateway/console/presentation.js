// How a picture is shown at first, as its metadata say: window, size, rate. (PS3.3 §C.7.6.3, §C.11.2, §C.7.6.5)

import { TAG, number, text, values } from "./dicom.js";

const FUNCTIONS = { LINEAR: "linear", LINEAR_EXACT: "linear-exact", SIGMOID: "sigmoid" };
const RATES = { least: 1, most: 60, usual: 12 };

/**
 * {rows, columns, isColour, window, rate} of an instance's metadata; `window` is {center, width, function} in the
 * units of the modality LUT, null for colour; `rate` in frames a second.
 */
export function readPresentation(dataSet) {
  const isColour = number(dataSet, TAG.samplesPerPixel) > 1 || /PALETTE/.test(text(dataSet, TAG.photometricInterpretation));
  return {
    rows: number(dataSet, TAG.rows),
    columns: number(dataSet, TAG.columns),
    isColour,
    window: isColour ? null : readWindow(dataSet),
    rate: readRate(dataSet),
  };
}

function readWindow(dataSet) {
  const item = findItem(dataSet, TAG.frameVoiLut) ?? dataSet;
  const [center, width] = [TAG.windowCenter, TAG.windowWidth].map((tag) => Number(values(item, tag)[0]));
  if (!Number.isFinite(center) || !(width >= 1)) return guessWindow(dataSet);
  return { center, width, function: FUNCTIONS[text(item, TAG.voiLutFunction)] ?? "linear" };
}

/** All that the stored bits can say: where no window is given, a drag must begin somewhere. */
function guessWindow(dataSet) {
  const item = findItem(dataSet, TAG.pixelValueTransformation) ?? dataSet;
  const slope = Math.abs(number(item, TAG.rescaleSlope)) || 1;
  const intercept = number(item, TAG.rescaleIntercept) || 0;
  const range = 2 ** (number(dataSet, TAG.bitsStored) || 8);
  const middle = number(dataSet, TAG.pixelRepresentation) === 1 ? 0 : range / 2;
  return { center: middle * slope + intercept, width: range * slope, function: "linear" };
}

/** The item of a functional group, of all frames or else of the first one (PS3.3 §C.7.6.16). */
function findItem(dataSet, tag) {
  const groups = [TAG.sharedFunctionalGroups, TAG.perFrameFunctionalGroups].map((group) => values(dataSet, group)[0]);
  return groups.map((group) => group && values(group, tag)[0]).find(Boolean);
}

function readRate(dataSet) {
  const frameTime = number(dataSet, TAG.frameTime);
  const told = [
    number(dataSet, TAG.recommendedFrameRate),
    number(dataSet, TAG.cineRate),
    frameTime > 0 ? 1000 / frameTime : NaN,
  ];
  const rate = told.find((value) => value > 0) ?? RATES.usual;
  return Math.min(RATES.most, Math.max(RATES.least, Math.round(rate)));
}
