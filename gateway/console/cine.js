// Plays a stack: the next picture at its time, or once it is here.

/** `step()` shows the next picture and gives false while that is not here yet; `onState(isPlaying)` is told. */
export class Cine {
  #step;
  #onState;
  #request = 0;
  #due = 0;

  /** Pictures a second. */
  rate = 12;

  constructor({ step, onState }) {
    this.#step = step;
    this.#onState = onState;
  }

  get isPlaying() {
    return this.#request !== 0;
  }

  toggle() {
    if (this.isPlaying) this.stop();
    else this.start();
  }

  start() {
    if (this.isPlaying) return;
    this.#due = performance.now();
    this.#request = requestAnimationFrame((now) => this.#tick(now));
    this.#onState(true);
  }

  stop() {
    if (!this.isPlaying) return;
    cancelAnimationFrame(this.#request);
    this.#request = 0;
    this.#onState(false);
  }

  #tick(now) {
    this.#request = requestAnimationFrame((next) => this.#tick(next));
    if (now < this.#due) return;
    const isShown = this.#step();
    const pause = 1000 / this.rate;
    this.#due = isShown ? Math.max(this.#due + pause, now) : now;
  }
}
