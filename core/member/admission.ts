// How many writes may wait at once, from how long they waited: a queue is bounded by its time, not by its length. Twenty
// thousand puts are worked off in a third of a second, as many transactions of ten puts in three, and by then those who sent
// them have given up: a member that takes all would do nothing but work nobody waits for. What finds no room is refused
// at once, before it is looked at, which costs a fraction of the work, and what is taken is answered in time.
//
//   each turn: the oldest of `count` waited `waitedMs`    too long: as many as would have been in time (Little's law)
//                                                         in time:  an eighth more
//
// Example, with 100 ms and 1,000 to 20,000: 8,000 waited 400 ms, so 2,000 may wait; 2,000 waited 90 ms, so 2,250 may.

import { assert } from "../base/assert.ts";
import type { Limits } from "../base/limits.ts";

export class Admission {
  readonly #limits: Limits;
  /** Between the least and the most that limits.ts names. */
  #countMax: number;

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
  answered(count: number, waitedMs: number): void {
    const { admittedMs, admittedCountMin, proposalCountMax } = this.#limits;
    if (waitedMs <= admittedMs) {
      if (this.#countMax < proposalCountMax)
        this.#countMax = Math.min(proposalCountMax, this.#countMax + Math.ceil(this.#countMax / 8));
      return;
    }
    const inTime = Math.floor((count * admittedMs) / waitedMs);
    this.#countMax = Math.min(this.#countMax, Math.max(admittedCountMin, inTime));
  }
}
