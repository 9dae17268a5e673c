// How long ranges take. A look at the clock costs as much as half a get, so the first of a turn is measured, and the others
// of the turn count like it.

import { exponentialBounds, type Histogram, type Metrics } from "../base/metrics.ts";
import type { Clock } from "../base/ports.ts";

const NAME = "etcd_server_range_duration_seconds";
const HELP = "The latency distributions of txn.Range; of each turn the first one is measured.";
const BOUNDS = exponentialBounds(0.0001, 2, 20);

export class RangeTimes {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  #served: Histogram | undefined;
  #refused: Histogram | undefined;
  #isMeasured = false;
  #startMs = 0;
  #lastSeconds = 0;
  /** Ranges of this turn that are not in the histogram yet. */
  #servedCount = 0;

  constructor(clock: Clock, metrics: Metrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  begin(): void {
    if (!this.#isMeasured) this.#startMs = this.#clock.now();
  }

  end(isServed: boolean): void {
    if (!this.#isMeasured) {
      this.#isMeasured = true;
      this.#lastSeconds = (this.#clock.now() - this.#startMs) / 1000;
    }
    if (isServed) this.#servedCount++;
    else this.#histogram(false).observe(this.#lastSeconds);
  }

  /** The turn is over. */
  flush(): void {
    if (!this.#isMeasured) return;
    this.#isMeasured = false;
    if (this.#servedCount > 0) this.#histogram(true).observeMany(this.#lastSeconds, this.#servedCount);
    this.#servedCount = 0;
  }

  #histogram(isServed: boolean): Histogram {
    const make = (): Histogram => this.#metrics.histogram(NAME, HELP, BOUNDS, { success: String(isServed) });
    return isServed ? (this.#served ??= make()) : (this.#refused ??= make());
  }
}
