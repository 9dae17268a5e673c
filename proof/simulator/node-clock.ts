// A member's clock: monotonic, but it may run too fast or too slow, and it starts anywhere.

import type { Clock } from "../../core/base/ports.ts";
import type { Scheduler } from "./scheduler.ts";

export class NodeClock implements Clock {
  readonly #scheduler: Scheduler;
  /** True time and own time of the last change of rate. */
  #trueUs = 0;
  #ownMs: number;
  #rate = 1;
  /** Time that the running action has taken; it has not passed for anybody else yet. */
  busyUs = 0;

  constructor(scheduler: Scheduler, startMs: number) {
    this.#scheduler = scheduler;
    this.#ownMs = startMs;
  }

  now(): number {
    return this.#ownMs + ((this.#scheduler.nowUs + this.busyUs - this.#trueUs) / 1000) * this.#rate;
  }

  unixSeconds(): number {
    return 1_700_000_000 + Math.floor(this.now() / 1000);
  }

  setRate(rate: number): void {
    const { nowUs } = this.#scheduler;
    this.#ownMs += ((nowUs - this.#trueUs) / 1000) * this.#rate;
    this.#trueUs = nowUs;
    this.#rate = rate;
  }

  /** True time until this clock shows `ms`; whole microseconds, never too early. */
  untilUs(ms: number): number {
    if (ms === Number.POSITIVE_INFINITY) return ms;
    // One more, because the last bit of a fraction may be lost on the way.
    return Math.max(0, Math.ceil(((ms - this.now()) / this.#rate) * 1000) + 1);
  }
}
