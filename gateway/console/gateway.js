// Talking to the gateway: the list of backends, QIDO-RS and WADO-RS (PS3.18 §10.4, §10.6).

const JSON_MODEL = "application/dicom+json";
export const ACCEPT = {
  metadata: JSON_MODEL,
  instance: "application/dicom; transfer-syntax=*",
  instances: 'multipart/related; type="application/dicom"; transfer-syntax=*',
  picture: "image/jpeg",
  report: "text/html",
};
const BACKENDS_LIMIT_MS = 20_000;

/** Why a request failed, in words for people. `status` is 0 where there was no answer at all. */
export class Failure extends Error {
  constructor(title, detail, status = 0) {
    super(detail);
    this.title = title;
    this.detail = detail;
    this.status = status;
  }

  /** Whether it may be gone once the archive or the gateway is back. */
  get mayPass() {
    return this.status === 0 || this.status >= 500;
  }
}

/** A path of the gateway as a URL; works below the prefix of a reverse proxy too. */
export function resolve(path) {
  return new URL(path.replace(/^\/+/, ""), new URL(".", document.baseURI)).href;
}

/** The resource of a study, series or instance of a backend. */
export function resourceUrl(backend, study, series, instance) {
  const parts = [["studies", study], ["series", series], ["instances", instance]];
  const path = parts.filter(([, uid]) => uid).map(([name, uid]) => `/${name}/${encodeURIComponent(uid)}`);
  return resolve(backend.dicomweb) + path.join("");
}

/** {version, backends} as the gateway sees them now. */
export async function listBackends() {
  const signal = AbortSignal.timeout(BACKENDS_LIMIT_MS);
  return readJson(await ask(resolve("/backends"), "application/json", signal));
}

/** Search: {items, warnings} with `items` in the DICOM JSON Model. */
export async function search(url, parameters, signal) {
  const response = await ask(`${url}?${new URLSearchParams(parameters)}`, JSON_MODEL, signal);
  const items = response.status === 204 ? [] : await readJson(response);
  return { items, warnings: readWarnings(response) };
}

/** Metadata of everything below a resource: {items, warnings}. */
export async function retrieveMetadata(url, signal) {
  const response = await ask(`${url}/metadata`, ACCEPT.metadata, signal);
  return { items: await readJson(response), warnings: readWarnings(response) };
}

/** One instance as a DICOM file, in the transfer syntax it is stored in. */
export async function retrieveInstance(url, signal) {
  const response = await ask(url, ACCEPT.instance, signal);
  return orCutShort(response.blob());
}

/** The thumbnail of a study, series or instance; where it is kept square it fits into `side` pixels. */
export function thumbnailUrl(url, side) {
  return `${url}/thumbnail?${writeParameters({ viewport: [side, side] })}`;
}

/** One frame of an instance as a picture; `parameters` are lists: {window, viewport} (PS3.18 §8.3.5.1). */
export function frameUrl(url, frame, parameters) {
  const query = writeParameters(parameters);
  return `${url}/frames/${frame}/rendered${query ? `?${query}` : ""}`;
}

/** The picture behind one of these. */
export async function retrievePicture(url, signal) {
  const response = await ask(url, ACCEPT.picture, signal);
  return orCutShort(response.blob());
}

/** A structured report as HTML text. */
export async function retrieveReport(url, signal) {
  const response = await ask(`${url}/rendered`, ACCEPT.report, signal);
  return orCutShort(response.text());
}

/** An encapsulated document in the format it has, "application/pdf" for instance. */
export async function retrieveDocument(url, mediaType, signal) {
  const response = await ask(`${url}/rendered`, mediaType, signal);
  return orCutShort(response.blob());
}

/** Lists of values stay legible, since commas need no escape in a query (RFC 3986 §3.4). */
function writeParameters(parameters) {
  const pairs = Object.entries(parameters).filter(([, values]) => values);
  return pairs.map(([name, values]) => `${name}=${values.map(encodeURIComponent).join(",")}`).join("&");
}

/** The names of attributes and UIDs, fetched once: {attributes, uids}. */
export function loadNames() {
  names ??= ask(resolve("/console/names.json"), "application/json").then(readJson);
  names.catch(() => (names = undefined));
  return names;
}
let names;

async function ask(url, accept, signal) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: accept }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The gateway does not answer", "It may be restarting, or the network is interrupted.");
  }
  if (!response.ok) throw await readFailure(response);
  return response;
}

function readJson(response) {
  return orCutShort(response.json());
}

/** The gateway cuts the connection where an archive fails in mid-answer. */
async function orCutShort(body) {
  try {
    return await body;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The answer broke off", "The archive or the gateway stopped in the middle of its answer.");
  }
}

/** A status report (PS3.18 §8.6.3): {status, title, detail}; a proxy in between may answer otherwise. */
async function readFailure(response) {
  try {
    const report = await response.clone().json();
    return new Failure(report.title || response.statusText, report.detail || "", response.status);
  } catch {
    return new Failure(`Error ${response.status}`, response.statusText, response.status);
  }
}

/** The texts of Warning fields, "299 <service>: <text>" (PS3.18 §8.3.4.2). */
function readWarnings(response) {
  const texts = (response.headers.get("Warning") ?? "").split(/(?:^|,\s*)299 \S+ /);
  return texts.map((text) => text.trim().replace(/^"|"$/g, "")).filter(Boolean);
}
