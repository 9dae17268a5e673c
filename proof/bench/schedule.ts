// When operations are meant to start. Open loop: at a rate, whatever the store does; the latency counts from the
// intended start, so that a stall is charged to every operation that had to wait for its end.

import { assert } from "../../core/base/assert.ts";
import type { Prng } from "../../core/base/prng.ts";

export type Arrival = "fixed" | "poisson";

export class Schedule {
  readonly #gapUs: number;
  readonly #arrival: Arrival;
  readonly #prng: Prng;
  readonly #firstUs: number;
  #count = 0;
  /** The next intended start, microseconds of the clock that `firstUs` was taken from. */
  nextUs: number;

  constructor(options: { ratePerSecond: number; arrival: Arrival; prng: Prng; firstUs: number }) {
    assert(options.ratePerSecond > 0, "an open loop has a rate");
    this.#gapUs = 1_000_000 / options.ratePerSecond;
    this.#arrival = options.arrival;
    this.#prng = options.prng;
    this.#firstUs = options.firstUs;
    this.nextUs = options.firstUs;
  }

  /** Moves on to the next start. */
  advance(): void {
    this.#count++;
    // Fixed starts are multiples, not sums: a sum of rounded gaps drifts.
    if (this.#arrival === "fixed") this.nextUs = this.#firstUs + this.#count * this.#gapUs;
    else this.nextUs += -Math.log(1 - this.#prng.float()) * this.#gapUs;
  }
}
