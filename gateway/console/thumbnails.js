// Thumbnails: fetched when their place comes into view, a few at a time.

import { make } from "./dom.js";
import { retrievePicture, thumbnailUrl } from "./gateway.js";

const AT_A_TIME = 3;
const SIDE = 72; // of the place in CSS pixels, see .picture
const NEAR = "200px"; // begins a little before it can be seen

const waiting = new Set();
let busy = 0;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) waiting.add(target);
      else waiting.delete(target); // scrolled past before its turn
    }
    proceed();
  },
  { rootMargin: NEAR },
);
const jobs = new WeakMap(); // place → {url, signal}

/**
 * The place of the thumbnail of the resource at `url`. It holds `word` until there is a picture, and where there is
 * none. Nothing but an ornament for those who listen to the page: what it opens is opened by a button too.
 */
export function makeThumbnail(word, url, onclick, signal) {
  const place = make("div", { class: "picture", "aria-hidden": "true", onclick }, word || "–");
  jobs.set(place, { url, signal });
  observer.observe(place);
  signal.addEventListener("abort", () => forget(place), { once: true });
  return place;
}

function forget(place) {
  observer.unobserve(place);
  waiting.delete(place);
}

function proceed() {
  for (const place of waiting) {
    if (busy >= AT_A_TIME) return;
    forget(place);
    fill(place, jobs.get(place));
  }
}

async function fill(place, { url, signal }) {
  if (signal.aborted) return;
  busy += 1;
  try {
    const side = Math.round(SIDE * Math.min(3, window.devicePixelRatio || 1));
    const picture = await retrievePicture(thumbnailUrl(url, side), signal);
    await show(place, URL.createObjectURL(picture));
  } catch {
    place.dataset.thumbnail = "none"; // not every object is a picture: the word stays
  } finally {
    busy -= 1;
    proceed();
  }
}

async function show(place, source) {
  const image = make("img", { alt: "", draggable: "false" });
  image.src = source;
  try {
    await image.decode();
    place.replaceChildren(image);
    place.dataset.thumbnail = "shown";
  } finally {
    URL.revokeObjectURL(source);
  }
}
