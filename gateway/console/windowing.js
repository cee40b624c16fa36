// The window of a stack: what the data set says, until a hand or the fields say otherwise.

const TURN = 512; // pixels of a drag that double or halve the width
const LEAST_WIDTH = 1;

/**
 * Center and width as the fields and a drag set them.
 *
 * `fields` are {center, width}, two number inputs; `onChange({isPassing})` is called on every change, passing while
 * the drag goes on.
 */
export class Windowing {
  #fields;
  #onChange;
  #own = null; // of the data set
  #chosen = null; // by a person
  #grip = null; // where a drag began

  constructor({ fields, onChange }) {
    this.#fields = fields;
    this.#onChange = onChange;
    for (const field of Object.values(fields)) field.addEventListener("change", () => this.#readFields());
  }

  /** Values of the window parameter (PS3.18 §8.3.5.1.4); null for the window of the data set. */
  get parameter() {
    return this.#chosen && [this.#chosen.center, this.#chosen.width, this.#chosen.function];
  }

  /** Begin with another stack: its own window; null where it has none, or none is known yet. */
  start(own) {
    this.#own = own;
    this.#chosen = this.#grip = null;
    this.#show();
  }

  /** Back to the window of the data set. */
  reset() {
    if (!this.#chosen) return;
    this.#chosen = null;
    this.#show();
    this.#onChange({ isPassing: false });
  }

  /** A drag begins; false where there is no window to change. */
  grip(x, y) {
    if (!this.#own) return false;
    this.#grip = { x, y, window: this.#chosen ?? this.#own };
    return true;
  }

  /** To the right the window gets wider, downwards the picture darker. */
  drag(x, y) {
    if (!this.#grip) return;
    const { window } = this.#grip;
    const width = window.width * 2 ** ((x - this.#grip.x) / TURN * 2);
    const center = window.center + ((y - this.#grip.y) / TURN) * window.width;
    this.#choose({ ...window, center, width }, true);
  }

  release() {
    if (!this.#grip) return;
    const hasMoved = this.#chosen && this.#chosen !== this.#grip.window;
    this.#grip = null;
    if (hasMoved) this.#onChange({ isPassing: false });
  }

  #readFields() {
    const { center, width } = this.#fields;
    if (!this.#own || !center.reportValidity() || !width.reportValidity()) return;
    this.#choose({ ...this.#own, center: center.valueAsNumber, width: width.valueAsNumber }, false);
  }

  #choose(window, isPassing) {
    const digits = window.width < 20 ? 2 : 0; // of the units of PET or a parametric map
    const [center, width] = [window.center, Math.max(LEAST_WIDTH, window.width)].map((it) => Number(it.toFixed(digits)));
    this.#chosen = { ...window, center, width };
    this.#show();
    this.#onChange({ isPassing });
  }

  #show() {
    const shown = this.#chosen ?? this.#own;
    for (const [name, field] of Object.entries(this.#fields)) {
      field.value = shown ? shown[name] : "";
      field.disabled = !this.#own;
    }
  }
}
