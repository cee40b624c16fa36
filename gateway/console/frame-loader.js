// Fetches the pictures around the one that is looked at, a few at a time, and keeps some of them. What has been
// scrolled past is called off: the gateway tells the archive to stop.

const AT_A_TIME = 4; // browsers keep six connections to a server
const AHEAD = 6;
const BEHIND = 2;
const KEPT_BYTES = 160 * 2 ** 20;
const KEPT_LEAST = 12;

/**
 * Pictures by index.
 *
 * `load(index, signal)` gives a promise of an ImageBitmap; `onPicture(index, bitmap)` and `onFailure(index, error)`
 * tell what came of it. Bitmaps belong to the loader, which closes them.
 */
export class FrameLoader {
  #load;
  #onPicture;
  #onFailure;
  #count;
  #kept = new Map(); // index → bitmap, the one used last at the end
  #running = new Map(); // index → AbortController
  #failed = new Set();
  #current = 0;
  #direction = 1;
  #reach = AHEAD;
  #isStale = false;

  /** Whether the first follows the last, as in a loop that plays. */
  isLoop = false;

  constructor({ count, load, onPicture, onFailure }) {
    this.#count = count;
    this.#load = load;
    this.#onPicture = onPicture;
    this.#onFailure = onFailure;
  }

  /** The bitmap at `index`, if it is here. */
  get(index) {
    return this.#kept.get(index);
  }

  /** Look at `index` now; what is around it follows. */
  move(index) {
    const distance = index - this.#current;
    const goesRound = this.isLoop && Math.abs(distance) > this.#count / 2;
    if (distance !== 0) this.#direction = Math.sign(distance) * (goesRound ? -1 : 1);
    this.#current = index;
    this.#failed.clear();
    this.#proceed();
  }

  /** Fetch anew what is looked at, with other parameters; `isPassing` leaves out what is around it. */
  renew({ isPassing }) {
    this.#reach = isPassing ? 0 : AHEAD;
    this.#empty();
    const running = this.#running.get(this.#current);
    this.#abort((index) => index !== this.#current || !isPassing);
    this.#isStale = isPassing && running !== undefined; // let it come: the picture follows the hand, if late
    this.#proceed();
  }

  /** Forget everything; nothing is fetched any more. */
  close() {
    this.#abort(() => true);
    this.#empty();
    this.#count = 0;
  }

  #proceed() {
    const wanted = this.#listWanted();
    this.#abort((index) => !wanted.includes(index));
    for (const index of wanted) {
      if (this.#running.size >= AT_A_TIME) break;
      if (!this.#kept.has(index) && !this.#running.has(index) && !this.#failed.has(index)) this.#fetch(index);
    }
  }

  /** The current index, then those in the direction of scrolling, then some behind. */
  #listWanted() {
    if (this.#count === 0) return [];
    const steps = Array.from({ length: this.#reach }, (_, step) => step + 1);
    const behind = this.isLoop ? [] : steps.slice(0, BEHIND).map((step) => -step); // a loop never turns back
    const near = [0, ...steps, ...behind].map((step) => this.#current + step * this.#direction);
    const there = near.map((index) => (this.isLoop ? (index + this.#count) % this.#count : index));
    return [...new Set(there)].filter((index) => index >= 0 && index < this.#count);
  }

  async #fetch(index) {
    const controller = new AbortController();
    this.#running.set(index, controller);
    try {
      const bitmap = await this.#load(index, controller.signal);
      if (controller.signal.aborted) bitmap.close();
      else this.#take(index, bitmap);
    } catch (error) {
      if (!controller.signal.aborted) this.#note(index, error);
    }
    if (this.#running.get(index) === controller) this.#running.delete(index);
    if (!controller.signal.aborted) this.#proceed();
  }

  #take(index, bitmap) {
    this.#onPicture(index, bitmap);
    if (this.#isStale && index === this.#current) {
      this.#isStale = false;
      bitmap.close();
      return;
    }
    this.#kept.get(index)?.close();
    this.#kept.delete(index);
    this.#kept.set(index, bitmap);
    this.#trim(bitmap.width * bitmap.height * 4);
  }

  #note(index, error) {
    this.#failed.add(index); // not tried again until something moves
    this.#onFailure(index, error);
  }

  /** Close those farthest from what is looked at. */
  #trim(bytesOfOne) {
    const most = Math.max(KEPT_LEAST, Math.floor(KEPT_BYTES / bytesOfOne));
    const farthest = [...this.#kept.keys()].sort((left, right) => this.#distance(right) - this.#distance(left));
    for (const index of farthest.slice(0, Math.max(0, this.#kept.size - most))) {
      this.#kept.get(index).close();
      this.#kept.delete(index);
    }
  }

  #distance(index) {
    const steps = Math.abs(index - this.#current);
    return this.isLoop ? Math.min(steps, this.#count - steps) : steps;
  }

  #abort(isUnwanted) {
    for (const [index, controller] of this.#running) {
      if (!isUnwanted(index)) continue;
      controller.abort();
      this.#running.delete(index);
    }
  }

  #empty() {
    for (const bitmap of this.#kept.values()) bitmap.close();
    this.#kept.clear();
    this.#failed.clear();
  }
}
