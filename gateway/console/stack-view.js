// A stack of pictures: one at a time on a canvas; wheel, keys and slider scroll, a drag sets the window.

import { Cine } from "./cine.js";
import { announce, byId } from "./dom.js";
import { FrameLoader } from "./frame-loader.js";
import { frameUrl, retrieveMetadata, retrievePicture } from "./gateway.js";
import { makeFailure } from "./notices.js";
import { readPresentation } from "./presentation.js";
import { Windowing } from "./windowing.js";

const WHEEL_STEP = 40; // pixels; one notch of a wheel has more, a trackpad sends many small ones
const TOUCH_STEP = 14;
const PAGE = 10;
const KEYS = {
  ArrowDown: 1,
  ArrowRight: 1,
  ArrowUp: -1,
  ArrowLeft: -1,
  PageDown: PAGE,
  PageUp: -PAGE,
  Home: -Infinity,
  End: Infinity,
};

export class StackView {
  #pictures = [];
  #index = 0;
  #loader = null;
  #signal = null;
  #stage = byId("stage");
  #canvas = byId("picture");
  #slider = byId("position");
  #windowing = new Windowing({
    fields: { center: byId("window-center"), width: byId("window-width") },
    onChange: (change) => this.#loader.renew(change),
  });
  #cine = new Cine({ step: () => this.#step(), onState: (isPlaying) => this.#showPlaying(isPlaying) });

  constructor() {
    this.#slider.addEventListener("input", () => this.#scrollTo(this.#slider.valueAsNumber - 1));
    byId("play").addEventListener("click", () => this.#cine.toggle());
    byId("rate").addEventListener("change", (event) => this.#setRate(event.target));
    byId("window-reset").addEventListener("click", () => this.#windowing.reset());
    new ResizeObserver(() => this.#draw(this.#loader?.get(this.#index))).observe(this.#stage);
    this.#listenToWheel();
    this.#listenToPointer();
  }

  /** Show `pictures` from the one at `index` on, until `signal` is aborted. */
  show(pictures, index, signal) {
    this.#pictures = pictures;
    this.#signal = signal;
    this.#loader = new FrameLoader({
      count: pictures.length,
      load: (at, stop) => this.#load(at, stop),
      onPicture: (at, bitmap) => at === this.#index && this.#showPicture(bitmap),
      onFailure: (at, error) => at === this.#index && this.#showFailure(error),
    });
    this.#windowing.start(null);
    this.#draw(null);
    for (const control of ["play", "rate", "position"]) byId(control).disabled = pictures.length < 2;
    this.#slider.max = pictures.length;
    this.#scrollTo(index);
    this.#readPresentation(pictures[index]);
    this.#stage.focus();
    signal.addEventListener("abort", () => this.#close(), { once: true });
  }

  /** A key pressed in the dialog; whether it meant something here. */
  press(key) {
    if (key === " " && this.#pictures.length > 1) this.#cine.toggle();
    else if (key === "r" || key === "R") this.#windowing.reset();
    else if (key in KEYS) this.#scrollTo(this.#index + KEYS[key]);
    else return false;
    return true;
  }

  #close() {
    this.#cine.stop();
    this.#loader.close();
    this.#pictures = [];
    this.#draw(null);
    byId("stage-notice").replaceChildren();
  }

  async #load(index, signal) {
    const { url, frame, rows, columns } = this.#pictures[index];
    const space = this.#measure();
    const isLarge = rows > space.height || columns > space.width; // no more pixels than there is room for
    const viewport = isLarge ? [space.width, space.height] : null;
    const picture = frameUrl(url, frame, { window: this.#windowing.parameter, viewport });
    return createImageBitmap(await retrievePicture(picture, signal));
  }

  /** The window and the rate; without them the stack can be looked at all the same. */
  async #readPresentation(picture) {
    const signal = this.#signal;
    try {
      const { items } = await retrieveMetadata(picture.url, signal);
      if (signal.aborted) return;
      const { window, rate, rows, columns } = readPresentation(items[0]);
      this.#windowing.start(window);
      byId("rate").value = this.#cine.rate = rate;
      if (rows) for (const one of this.#pictures) Object.assign(one, { rows: one.rows || rows, columns: one.columns || columns });
    } catch (error) {
      if (!signal.aborted) console.warn("No window to begin with", error.title ?? error);
    }
  }

  #scrollTo(wanted) {
    this.#index = Math.max(0, Math.min(this.#pictures.length - 1, wanted));
    const words = describe(this.#pictures, this.#index);
    this.#slider.value = this.#index + 1;
    this.#slider.setAttribute("aria-valuetext", words);
    this.#stage.setAttribute("aria-label", words);
    byId("stage-position").textContent = words;
    byId("stage-notice").replaceChildren();
    const here = this.#loader.get(this.#index);
    if (here) this.#showPicture(here);
    else this.#stage.dataset.busy = "yes";
    this.#loader.move(this.#index);
  }

  #step() {
    const next = (this.#index + 1) % this.#pictures.length;
    if (this.#stage.dataset.busy) return false; // what was asked for is not here yet
    this.#scrollTo(next);
    return true;
  }

  #showPlaying(isPlaying) {
    if (this.#loader) this.#loader.isLoop = isPlaying;
    byId("play").textContent = isPlaying ? "Pause" : "Play";
    announce(isPlaying ? "Playing" : "Paused");
  }

  #setRate(field) {
    if (field.reportValidity() && field.value) this.#cine.rate = field.valueAsNumber;
  }

  #showPicture(bitmap) {
    delete this.#stage.dataset.busy;
    byId("stage-notice").replaceChildren();
    this.#draw(bitmap);
  }

  #showFailure(error) {
    this.#cine.stop();
    delete this.#stage.dataset.busy;
    this.#draw(null);
    byId("stage-notice").replaceChildren(makeFailure(error, () => this.#scrollTo(this.#index)));
  }

  #measure() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#stage;
    return { width: Math.max(1, Math.round(clientWidth * scale)), height: Math.max(1, Math.round(clientHeight * scale)) };
  }

  /** As large as it fits; the old picture stays until there is another one. */
  #draw(bitmap) {
    const { width, height } = this.#measure();
    if (bitmap === undefined) return;
    Object.assign(this.#canvas, { width, height }); // clears it
    if (!bitmap) return;
    const context = this.#canvas.getContext("2d");
    const scale = Math.min(width / bitmap.width, height / bitmap.height);
    const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (width - wide) / 2, (height - high) / 2, wide, high);
  }

  #listenToWheel() {
    let turned = 0;
    const turn = (event) => {
      event.preventDefault();
      turned += event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : Math.sign(event.deltaY) * WHEEL_STEP;
      const steps = Math.trunc(turned / WHEEL_STEP);
      turned -= steps * WHEEL_STEP;
      if (steps) this.#scrollTo(this.#index + Math.max(-3, Math.min(3, steps)));
    };
    this.#stage.addEventListener("wheel", turn, { passive: false });
  }

  /** A mouse or pen sets the window; a finger scrolls. */
  #listenToPointer() {
    let from = null;
    const stage = this.#stage;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("button")) return;
      from = { y: event.clientY, index: this.#index };
      stage.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") this.#windowing.grip(event.clientX, event.clientY);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      if (event.pointerType !== "touch") this.#windowing.drag(event.clientX, event.clientY);
      else this.#scrollTo(from.index + Math.trunc((event.clientY - from.y) / TOUCH_STEP));
    });
    const release = () => {
      from = null;
      this.#windowing.release();
    };
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, release);
  }
}

/** "Image 12 of 48", "Frame 3 of 32", or both where instances have several frames. */
function describe(pictures, index) {
  const { frame, frames, url } = pictures[index];
  if (frames === pictures.length && frames > 1) return `Frame ${frame} of ${frames}`;
  if (frames === 1) return `Image ${index + 1} of ${pictures.length}`;
  const instances = [...new Set(pictures.map((picture) => picture.url))];
  return `Image ${instances.indexOf(url) + 1} of ${instances.length}, frame ${frame} of ${frames}`;
}
