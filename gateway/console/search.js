// The search form, and what it means as a query (PS3.18 §8.3.4).

const CONTAINS = ["PatientID", "AccessionNumber", "StudyDescription"];
const FIELDS = ["StudyDescription", "PatientBirthDate", "ModalitiesInStudy"];
const COUNTS = ["NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"];

/** The matching parameters of a filled form, as pairs. */
export function readForm(form) {
  const entry = (name) => form.elements[name].value.trim();
  const pairs = CONTAINS.map((name) => [name, contains(entry(name))]);
  pairs.push(["PatientName", containsWords(entry("PatientName"))]);
  pairs.push(["ModalitiesInStudy", entry("ModalitiesInStudy").toUpperCase()]);
  pairs.push(["StudyDate", writeRange(entry("from"), entry("to"))]);
  return pairs.filter(([, value]) => value !== "");
}

/** The parameters of one page of studies: one more than is shown tells whether there are more. */
export function studyParameters(matching, limit, offset) {
  const fields = [...FIELDS, ...COUNTS].map((name) => ["includefield", name]);
  return [...matching, ["limit", limit + 1], ["offset", offset], ...fields];
}

/** "*text*", unless the text has wildcards of its own. */
function contains(entry) {
  return entry === "" || /[*?]/.test(entry) ? entry : `*${entry}*`;
}

/** Words of a name in the order of its components, whatever stands between them: "doe, jo" is "*doe*jo*". */
function containsWords(entry) {
  return /[*?^]/.test(entry) ? entry : contains(entry).replace(/[\s,]+/g, "*");
}

/** Two dates of the form as a range of DA, open where one is missing (PS3.4 §C.2.2.2.5). */
function writeRange(from, to) {
  const [first, last] = [from, to].map((date) => date.replaceAll("-", ""));
  return first || last ? `${first}-${last}` : "";
}
