// The page: joins the archives, the search form and the table of studies.

import { Backends } from "./backends.js";
import { byId } from "./dom.js";
import { prepareMetadata } from "./metadata.js";
import { hasFailed, retryFailures } from "./notices.js";
import { readForm } from "./search.js";
import { Studies } from "./studies.js";
import { prepareViewer } from "./viewer.js";

function start() {
  const form = byId("search");
  const studies = new Studies();
  let chosen = null;
  const show = () => chosen && studies.show(chosen, readForm(form));
  const choose = (backend) => {
    chosen = backend;
    show();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  form.addEventListener("reset", () => setTimeout(show)); // the fields are empty only after the event
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address keeps the chosen backend
    byId("results").focus();
  });
  prepareMetadata();
  prepareViewer();
  new Backends({ onChoose: choose, onReachable: retryFailures, hasFailed }).poll();
}

start();
