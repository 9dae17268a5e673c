// What storage was handed and what it has made durable. The log and the hard state change in memory first; takeOutput
// hands the difference over as a numbered batch; the driver says when everything up to a number is durable.
//
// An acknowledgement names a batch, and the batch knows index and term. When a new leader's entries replace entries
// that are still on their way to the disk, the waiting batches are cut: they no longer vouch for what was replaced.
// Matching an acknowledgement to the log by index, or even by (index, entry term), would be wrong: an entry can be replaced and come back
// while its first write is still queued before the write that replaces it (trap R8).

import { assert } from "../base/assert.ts";

/** Batches on their way to the disk; a driver that queues more has no back-pressure. */
const BATCH_COUNT_MAX = 65_536;

export class Persistence {
  /** Entries up to here are durable. Falls when a durable entry is replaced. */
  durableIndex: number;
  /** Entries up to here were handed over. */
  handedIndex: number;
  /** The last batch handed over, and the last one known to be durable. */
  sequence = 0;
  ackedSequence = 0;
  /** Term or vote changed since they were handed over. */
  hardStateDirty = false;
  /** The commit index that was handed over last, and the highest that is durable. */
  handedCommit: number;
  durableCommit: number;
  /** The batch that carried term and vote last. */
  #hardStateSequence = 0;
  // Batches on their way: last index of each (its claim), commit index it carries, when it was handed over; in [#head, #tail).
  // Rows outside are left as they are: shortening an array costs more than all the rest of a batch.
  readonly #lastIndexes: number[] = [];
  readonly #commits: number[] = [];
  readonly #handedMs: number[] = [];
  #head = 0;
  #tail = 0;

  constructor(durableIndex: number, durableCommit: number) {
    this.durableIndex = durableIndex;
    this.handedIndex = durableIndex;
    this.handedCommit = durableCommit;
    this.durableCommit = durableCommit;
  }

  /** Term and vote as they are now would survive a crash (R5: until then nothing leaves that was said under them). */
  get hardStateDurable(): boolean {
    return !this.hardStateDirty && this.ackedSequence >= this.#hardStateSequence;
  }

  get batchCount(): number {
    return this.#tail - this.#head;
  }

  /** When the oldest batch that is not durable was handed over; Infinity when all are. */
  get oldestMs(): number {
    return this.#head < this.#tail ? this.#handedMs[this.#head]! : Infinity;
  }

  /** The next batch carries the hard state, with this commit index. */
  handHardState(commit: number): void {
    this.handedCommit = commit;
    if (!this.hardStateDirty) return;
    this.hardStateDirty = false;
    this.#hardStateSequence = this.sequence + 1;
  }

  /** Hands over entries up to `lastIndex`. Returns the batch's number. */
  hand(lastIndex: number, nowMs: number): number {
    assert(this.batchCount < BATCH_COUNT_MAX, "the driver acknowledges what it was handed");
    assert(lastIndex >= this.handedIndex, "a batch continues the one before");
    this.handedIndex = lastIndex;
    this.sequence++;
    this.#lastIndexes[this.#tail] = lastIndex;
    this.#commits[this.#tail] = this.handedCommit;
    this.#handedMs[this.#tail] = nowMs;
    this.#tail++;
    return this.sequence;
  }

  /** Everything up to batch `sequence` is durable. Late and repeated acknowledgements change nothing (R9). */
  persisted(sequence: number): void {
    assert(sequence <= this.sequence, "only what was handed over becomes durable");
    while (this.ackedSequence < sequence) {
      this.ackedSequence++;
      const last = this.#lastIndexes[this.#head]!;
      const commit = this.#commits[this.#head]!;
      this.#head++;
      if (last > this.durableIndex) this.durableIndex = last;
      if (commit > this.durableCommit) this.durableCommit = commit;
    }
    if (this.#head === this.#tail) {
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head > 64 && this.#head * 2 > this.#tail) this.#compact();
    assert(this.durableIndex <= this.handedIndex, "what was not handed over is not durable");
  }

  /** Entries after `index` were replaced in memory. */
  truncateAfter(index: number): void {
    if (index < this.handedIndex) this.handedIndex = index;
    if (index < this.durableIndex) this.durableIndex = index;
    for (let i = this.#head; i < this.#tail; i++) {
      if (this.#lastIndexes[i]! > index) this.#lastIndexes[i] = index;
    }
  }

  /** The log starts anew behind a snapshot, which the next batch carries. */
  reset(index: number): void {
    this.truncateAfter(0);
    this.handedIndex = index;
    this.durableIndex = 0;
  }

  #compact(): void {
    this.#lastIndexes.splice(0, this.#head);
    this.#commits.splice(0, this.#head);
    this.#handedMs.splice(0, this.#head);
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
