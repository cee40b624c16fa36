// What can be done with a study, series or instance: read its metadata, save it, copy how to get it.

import { announce, make, makeButton } from "./dom.js";
import { ACCEPT, Failure, retrieveInstance } from "./gateway.js";
import { showMetadata } from "./metadata.js";

const SHOWN_MS = 1800;

/** The buttons of a resource {kind: "study" | "series" | "instance", url, uid, title}; `first` stands before them. */
export function makeActions(resource, first = null) {
  const isInstance = resource.kind === "instance";
  const download = isInstance ? makeButton("Download", (event) => save(event.currentTarget, resource)) : null;
  return make(
    "div",
    { class: "actions", role: "group", "aria-label": `Actions for ${resource.title}` },
    first,
    makeButton("Metadata", () => showMetadata(resource)),
    download,
    makeCopyButton("Copy URL", resource.url),
    makeCopyButton("Copy curl", writeCurl(resource)),
  );
}

/** A command line that saves the resource, quoted for a POSIX shell. */
export function writeCurl({ kind, url, uid }) {
  const isInstance = kind === "instance";
  const accept = isInstance ? ACCEPT.instance : ACCEPT.instances;
  const file = `${uid.replace(/[^0-9.]/g, "_")}${isInstance ? ".dcm" : ".multipart"}`;
  return `curl -H ${quote(`Accept: ${accept}`)} -o ${quote(file)} ${quote(url)}`;
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function makeCopyButton(label, content) {
  return makeButton(label, async (event) => {
    const button = event.currentTarget;
    const isCopied = await copy(content, button);
    flash(button, isCopied ? "Copied" : "Not allowed");
  }, { title: content });
}

/** Copy text; outside of https and localhost browsers offer only the old way. */
async function copy(content, near) {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return copyBySelection(content, near);
  }
}

function copyBySelection(content, near) {
  const field = make("textarea", { class: "visually-hidden", readonly: true });
  field.value = content;
  near.after(field); // beside the button, since a modal dialog lets nothing outside be selected
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  near.focus();
  return isCopied;
}

async function save(button, resource) {
  button.disabled = true;
  try {
    offer(await retrieveInstance(resource.url), `${resource.uid}.dcm`);
    flash(button, "Saved");
  } catch (error) {
    const failure = error instanceof Failure ? error : new Failure("Not saved", "");
    flash(button, "Failed");
    tell(button, `${failure.title}. ${failure.detail}`);
  } finally {
    button.disabled = false;
  }
}

/** Have the browser save what was fetched. */
function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading it
}

function tell(button, words) {
  const actions = button.closest(".actions");
  actions.querySelector(".notice")?.remove();
  actions.append(make("p", { class: "notice failure", role: "alert" }, words));
}

/** Show a word in a button for a moment, and say it. */
function flash(button, word) {
  const label = (button.dataset.label ??= button.textContent);
  button.closest(".actions")?.querySelector(".notice")?.remove();
  button.textContent = word;
  button.classList.add("done");
  announce(`${label}: ${word}`);
  setTimeout(() => {
    button.textContent = label;
    button.classList.remove("done");
  }, SHOWN_MS);
}
