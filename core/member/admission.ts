// How many writes may wait at once, from how long they waited: a queue is bounded by its time, not by its length. Twenty
// thousand puts are worked off in a third of a second, as many transactions of ten puts in three, and by then those who sent
// them have given up: a member that takes all would do nothing but work nobody waits for. What finds no room is refused
// at once, before it is looked at, which costs a fraction of the work, and what is taken is answered in time.
//
//   each turn: the oldest of `count` waited `waitedMs`    too long: as many as would have been in time (Little's law)
//                                                         in time, and at least half of those that may: as many, at most twice
//                                                         fewer, which says little: an eighth more a second
//
// Example, with 100 ms and 1,000 to 20,000: 8,000 waited 400 ms, so 2,000 may wait; 2,000 waited 80 ms, so 2,500 may.

import { assert } from "../base/assert.ts";
import type { Limits } from "../base/limits.ts";

/** After an overload that is long over nobody is to be refused for it; while one lasts, stalls make turns of few that are quick. */
const QUIET_GROWTH_MS = 1_000;

export class Admission {
  readonly #limits: Limits;
  /** Between the least and the most that limits.ts names. */
  #countMax: number;
  /** When that was changed last. */
  #changedMs = 0;

  constructor(limits: Limits) {
    assert(limits.admittedCountMin > 0, "one write may always wait");
    this.#limits = limits;
    this.#countMax = limits.proposalCountMax;
  }

  get countMax(): number {
    return this.#countMax;
  }

  /** Whether one more may wait beside `waitingCount`. */
  hasRoom(waitingCount: number): boolean {
    return waitingCount < this.#countMax;
  }

  /** Some of `count` writes were answered, the oldest after `waitedMs`. */
  answered(count: number, waitedMs: number, nowMs: number): void {
    const { admittedMs, admittedCountMin, proposalCountMax } = this.#limits;
    const countMax = this.#countMax;
    if (waitedMs <= admittedMs && countMax === proposalCountMax) return;
    const inTime = Math.floor((count * admittedMs) / waitedMs);
    let next = countMax;
    if (waitedMs > admittedMs) next = Math.min(countMax, Math.max(admittedCountMin, inTime));
    else if (2 * count >= countMax) next = Math.min(2 * countMax, Math.max(countMax, inTime));
    else if (nowMs - this.#changedMs >= QUIET_GROWTH_MS) next = countMax + Math.ceil(countMax / 8);
    else return;
    this.#countMax = Math.min(proposalCountMax, next);
    this.#changedMs = nowMs;
  }
}
