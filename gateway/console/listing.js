// A list that is fetched in batches, put in order and shown some at a time: the series of a study, the instances
// of a series. Archives answer in any order, so the order is made here; what comes in a later batch stays behind.

import { count, make, makeButton, makeWaiting } from "./dom.js";
import { search } from "./gateway.js";
import { makeFailure, makeWarnings } from "./notices.js";

const BATCH = 1000;
const SHOWN = 24;

/**
 * Make the list and begin to fetch it.
 *
 * Parameters: {url, fields, order, makeItem, words: [one, many], className, signal}. `makeItem(dataSet)` gives
 * an element or a promise of one.
 */
export function makeListing(query) {
  const list = make("ul", { class: `listing ${query.className}` });
  const foot = make("div", { class: "foot" });
  const state = { ...query, list, foot, ready: [], offset: 0, hasMore: true };
  advance(state);
  return make("div", {}, list, foot);
}

/** Show the next ones; fetch first where all that came has been shown. */
async function advance(state) {
  try {
    if (state.ready.length === 0 && state.hasMore) await fetchBatch(state);
    const items = await Promise.all(state.ready.slice(0, SHOWN).map(state.makeItem));
    state.ready.splice(0, items.length);
    state.list.append(...items);
    state.foot.replaceChildren(...(state.warnings ?? []), ...makeFoot(state));
  } catch (error) {
    if (!state.signal.aborted) state.foot.replaceChildren(makeFailure(error, () => advance(state)));
  }
}

async function fetchBatch(state) {
  state.foot.replaceChildren(makeWaiting(`Asking for the ${state.words[1]} …`));
  const fields = state.fields.map((name) => ["includefield", name]);
  const parameters = [["limit", BATCH + 1], ["offset", state.offset], ...fields];
  const { items, warnings } = await search(state.url, parameters, state.signal);
  state.hasMore = items.length > BATCH;
  state.ready = items.slice(0, BATCH).sort(state.order);
  state.offset += state.ready.length;
  state.warnings = makeWarnings(warnings);
}

function makeFoot(state) {
  const [one, many] = state.words;
  if (state.ready.length === 0 && !state.hasMore) {
    return state.list.childElementCount ? [] : [make("p", { class: "quiet" }, `The archive names no ${many} here.`)];
  }
  const rest = state.hasMore ? "" : ` (${count(state.ready.length, one, many)} left)`;
  return [makeButton(`Show more${rest}`, () => advance(state))];
}
