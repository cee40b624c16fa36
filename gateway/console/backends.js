// The archives behind the gateway: their state, and which one is chosen (kept in the address as #backend=name).

import { byId, make } from "./dom.js";
import { listBackends } from "./gateway.js";
import { FAILED } from "./notices.js";

const POLL_MS = 15_000;
const POLL_FAILING_MS = 4_000;
const RETRY_MS = 60_000; // the longest pause between attempts that fail although the archive answers C-ECHO

const REASONS = {
  AssociationAborted: "it aborted the association",
  AssociationRejected: "it rejected the association",
  AssociationTimeout: "it did not answer the association request",
  ConnectFailed: "the connection was refused, or the host not found",
  ConnectTimeout: "the connection was not answered",
  ConnectionLost: "the connection was lost",
  DimseTimeout: "it did not answer C-ECHO in time",
  NoAcceptedContext: "it does not take C-ECHO",
  NoAnswer: "it did not answer in time",
  PoolTimeout: "all its associations are busy",
};

/**
 * Watches the backends while the tab is visible.
 *
 * `onChoose(backend)` is called when one is chosen; `onReachable()` when something had failed and the chosen one
 * can be reached, at first soon, then less and less often. `hasFailed()` tells whether something had.
 */
export class Backends {
  #onChoose;
  #onReachable;
  #hasFailed;
  #list = [];
  #chosen = "";
  #isAway = false;
  #attempts = 0;
  #isAsking = false;
  #timer = 0;

  constructor({ onChoose, onReachable, hasFailed }) {
    this.#onChoose = onChoose;
    this.#onReachable = onReachable;
    this.#hasFailed = hasFailed;
    window.addEventListener("hashchange", () => this.#choose());
    document.addEventListener("visibilitychange", () => this.poll());
    document.addEventListener(FAILED, () => this.#wait());
    byId("backends").addEventListener("change", (event) => {
      location.hash = new URLSearchParams({ backend: event.target.value });
    });
  }

  /** Ask for the state now, and again after a while, unless nobody sees it. */
  async poll() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#isAsking) return;
    this.#isAsking = true;
    try {
      this.#update(await listBackends());
    } catch {
      this.#showGatewayAway();
    } finally {
      this.#isAsking = false;
    }
    this.#wait();
  }

  #wait() {
    clearTimeout(this.#timer);
    const isTrouble = this.#isAway || this.#attempts > 0 || this.#hasFailed();
    const pause = isTrouble ? Math.min(POLL_FAILING_MS * 2 ** this.#attempts, RETRY_MS) : POLL_MS;
    this.#timer = setTimeout(() => this.poll(), pause);
  }

  #update({ version, backends }) {
    this.#list = backends;
    byId("gateway-state").replaceChildren();
    byId("version").textContent = `Version ${version}`;
    this.#choose();
    show(backends, this.#chosen);
    this.#isAway = !this.#list.find(({ name }) => name === this.#chosen)?.reachable;
    this.#tryAgain();
  }

  #tryAgain() {
    if (this.#isAway || !this.#hasFailed()) {
      this.#attempts = 0;
    } else {
      this.#attempts += 1;
      this.#onReachable();
    }
  }

  /** Follow the address; an unknown name means the default backend. */
  #choose() {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("backend");
    const backend =
      this.#list.find(({ name }) => name === wanted) ?? this.#list.find((one) => one.default) ?? this.#list[0];
    if (!backend || backend.name === this.#chosen) return;
    this.#chosen = backend.name;
    this.#isAway = !backend.reachable;
    show(this.#list, this.#chosen);
    this.#onChoose(backend);
  }

  #showGatewayAway() {
    this.#isAway = true;
    byId("gateway-state").replaceChildren(
      make("p", { class: "notice failure" }, "The gateway does not answer. This page tries again by itself."),
    );
  }
}

/** Write the cards; the radio buttons stay the same elements, so that the keyboard's focus stays too. */
function show(backends, chosen) {
  const field = byId("backends");
  const cards = new Map([...field.children].map((card) => [card.dataset.name, card]));
  const wanted = backends.map((backend) => fill(cards.get(backend.name) ?? makeCard(backend), backend, chosen));
  if (wanted.some((card, index) => field.children[index] !== card) || field.children.length !== wanted.length) {
    field.replaceChildren(...wanted);
  }
  field.setAttribute("aria-busy", "false");
}

function makeCard(backend) {
  const radio = make("input", { type: "radio", name: "backend", value: backend.name });
  const parts = ["title", "state", "load"].map((name) => make("span", { class: name }));
  return make("label", { class: "backend card", "data-name": backend.name }, radio, ...parts);
}

function fill(card, backend, chosen) {
  card.querySelector("input").checked = backend.name === chosen;
  const aeTitle = make("span", { class: "quiet" }, backend.ae_title);
  card.querySelector(".title").replaceChildren(make("strong", {}, backend.name), " ", aeTitle);
  const state = card.querySelector(".state");
  state.className = `state ${backend.reachable ? "good" : "bad"}`;
  state.textContent = backend.reachable ? "Reachable" : `Not reachable: ${explain(backend.reason)}`;
  card.querySelector(".load").textContent = writeLoad(backend.associations);
  return card;
}

function explain(reason) {
  return REASONS[reason] ?? reason ?? "no reason given";
}

/** "2 of 8 associations busy, 1 idle, 3 requests waiting". */
function writeLoad(load) {
  if (!load) return "";
  const parts = [`${load.busy} of ${load.limit} associations busy`];
  if (load.idle) parts.push(`${load.idle} idle`);
  if (load.waiting) parts.push(`${load.waiting} waiting`);
  return parts.join(", ");
}
