// The hashes of effects at past applied indexes: at every 64th, which all members keep without asking each other, and at
// those that somebody asked for. A ring, because the others may be behind by some seconds.

import { assert } from "../base/assert.ts";

/** At 50,000 entries a second, a sample each 64 is 800 a second: the ring holds five seconds. */
const SAMPLE_COUNT = 4_096;
/** Indexes asked for and not reached; more than members have rounds on their way. */
const WANTED_COUNT_MAX = 64;

const EVERY_MASK = 63;

export class EffectSamples {
  readonly #indexes = new Float64Array(SAMPLE_COUNT);
  readonly #hashes = new Uint32Array(SAMPLE_COUNT);
  #next = 0;
  /** Ascending. */
  readonly #wanted: number[] = [];
  #wantedNext = Number.POSITIVE_INFINITY;
  /** The newest index that every member samples; 0 without. */
  latestRegularIndex = 0;

  /** Whether a sample belongs at this index, which is just applied. */
  isDue(index: number): boolean {
    return (index & EVERY_MASK) === 0 || index >= this.#wantedNext;
  }

  add(index: number, hash: number): void {
    this.#indexes[this.#next] = index;
    this.#hashes[this.#next] = hash;
    this.#next = (this.#next + 1) % SAMPLE_COUNT;
    if ((index & EVERY_MASK) === 0) this.latestRegularIndex = index;
    while (this.#wanted.length > 0 && this.#wanted[0]! <= index) this.#wanted.shift();
    this.#wantedNext = this.#wanted[0] ?? Number.POSITIVE_INFINITY;
  }

  /** The hash at this index; -1 when it was not kept. Searched from the newest: that is where questions are. */
  find(index: number): number {
    for (let i = 1; i <= SAMPLE_COUNT; i++) {
      const at = (this.#next - i + SAMPLE_COUNT) % SAMPLE_COUNT;
      if (this.#indexes[at] === index) return this.#hashes[at]!;
      if (this.#indexes[at]! < index) return -1;
    }
    return -1;
  }

  /** Has a sample taken when this index is applied. */
  want(index: number): void {
    assert(index > 0, "an entry's index is positive");
    if (this.#wanted.includes(index) || this.#wanted.length >= WANTED_COUNT_MAX) return;
    this.#wanted.push(index);
    this.#wanted.sort((a, b) => a - b);
    this.#wantedNext = this.#wanted[0]!;
  }

  /** The state was replaced: what was sampled is of another one. */
  reset(): void {
    this.#indexes.fill(0);
    this.#wanted.length = 0;
    this.#wantedNext = Number.POSITIVE_INFINITY;
    this.latestRegularIndex = 0;
  }
}
