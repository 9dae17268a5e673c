// Who may work on the store's past when. Compaction changes it, hashes and checkpoints read it: either one run of
// compaction or of cooling is under way, or any number of readers. All of it happens in slices that the owner asks for.
//
//   housekeeping.hash(0, (result) => …);  housekeeping.defragment(() => …);  housekeeping.whenCompacted(rev, () => …);
//   housekeeping.checkpoint({ disk, directory, extra, done, wake });
//   while (housekeeping.slice()) …                        // one slice; false when nothing is left to do
//
// A compaction needs no call: once KvMachine has applied it, slices carry it out.

import type { Limits } from "../base/limits.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import type { CheckpointOptions } from "./checkpoint.ts";
import { Checkpoint } from "./checkpoint.ts";
import { Compaction } from "./compaction.ts";
import { Cooling } from "./cooling.ts";
import { HashJob } from "./hash.ts";
import type { Store } from "./store.ts";

export interface HashResult {
  readonly hash: number;
  /** -1 before the first compaction. */
  readonly compactRevision: number;
  /** The revision hashed. */
  readonly hashRevision: number;
}

/** Exactly one of the two is there. */
export type HashDone = (result: HashResult | undefined, failure: Status | undefined) => void;

interface HashWaiter {
  readonly revision: number;
  readonly done: HashDone;
  job: HashJob | undefined;
}

interface CompactionWaiter {
  readonly revision: number;
  readonly done: () => void;
}

export class Housekeeping {
  readonly #store: Store;
  readonly #sliceRecordCount: number;
  readonly #waiterCountMax: number;
  readonly compaction: Compaction;
  readonly #cooling: Cooling;
  readonly #hashes: HashWaiter[] = [];
  readonly #compactionWaiters: CompactionWaiter[] = [];
  #defragmentWaiters: (() => void)[] = [];
  #isDefragmenting = false;
  #checkpoint: Checkpoint | undefined;

  constructor(store: Store, limits: Limits) {
    this.#store = store;
    this.#sliceRecordCount = limits.sliceRecordCount;
    this.#waiterCountMax = limits.housekeepingWaiterCountMax;
    this.compaction = new Compaction(store);
    this.#cooling = new Cooling(store, limits.supersededBytesMax);
  }

  /** Hashes the store at a revision, 0 for the current one. */
  hash(revision: number, done: HashDone): Status | undefined {
    if (revision > 0 && revision < this.#store.compactedRevision) return STATUS.compacted;
    if (revision > this.#store.revision) return STATUS.futureRevision;
    if (this.#hashes.length >= this.#waiterCountMax) return STATUS.tooManyRequests;
    this.#hashes.push({ revision: revision === 0 ? this.#store.revision : revision, done, job: undefined });
    return undefined;
  }

  /** Calls back when everything below `revision` is dropped: the answer to a physical compaction. */
  whenCompacted(revision: number, done: () => void): Status | undefined {
    if (this.#compactionWaiters.length >= this.#waiterCountMax) return STATUS.tooManyRequests;
    this.#compactionWaiters.push({ revision, done });
    return undefined;
  }

  /** Cleans all segments that have something to clean, and calls back when that is done. */
  defragment(done: () => void): Status | undefined {
    if (this.#defragmentWaiters.length >= this.#waiterCountMax) return STATUS.tooManyRequests;
    this.#defragmentWaiters.push(done);
    return undefined;
  }

  /** Starts a checkpoint of the store as it is now; undefined when a compaction, cooling or another one is under way. */
  checkpoint(options: CheckpointOptions): Checkpoint | undefined {
    if (this.compaction.isRunning || this.#cooling.isRunning || this.#checkpoint !== undefined)
      return undefined;
    const checkpoint = new Checkpoint(this.#store, options);
    this.#checkpoint = checkpoint;
    return checkpoint;
  }

  /** Another store takes this one's place: nobody waits for it any more. */
  abandon(failure: Status): void {
    for (const { done } of this.#hashes.splice(0)) done(undefined, failure);
    for (const { done } of this.#compactionWaiters.splice(0)) done();
    for (const done of this.#defragmentWaiters.splice(0)) done();
  }

  /** Whether there may be something to do in slices. */
  get isBusy(): boolean {
    return (
      this.compaction.isRunning ||
      this.compaction.isDue ||
      this.#checkpoint !== undefined ||
      this.#hashes.length > 0 ||
      this.#defragmentWaiters.length > 0
    );
  }

  /** A compaction runs, and not a defragmentation. */
  get isCompacting(): boolean {
    return this.compaction.isRunning && !this.#isDefragmenting;
  }

  get isDefragmenting(): boolean {
    return this.#defragmentWaiters.length > 0;
  }

  /** Hashes and checkpoints that hold the store as it was. */
  get readerCount(): number {
    return this.#hashes.length + (this.#checkpoint === undefined ? 0 : 1);
  }

  get isCheckpointing(): boolean {
    return this.#checkpoint !== undefined;
  }

  /** Does one slice of what is due; false when there is nothing to do now. */
  slice(): boolean {
    if (this.compaction.isRunning) {
      this.compaction.slice(this.#sliceRecordCount);
      if (!this.compaction.isRunning) this.#afterRun();
      return true;
    }
    if (this.#cooling.isRunning) {
      this.#cooling.slice(this.#sliceRecordCount);
      return true;
    }
    // A hash that has not begun waits for a compaction that is due: without any key, all rows that are left count.
    const hash = this.#hashes[0];
    if (hash !== undefined && (hash.job !== undefined || !this.compaction.isDue)) {
      this.#sliceHash(hash);
      return true;
    }
    if (this.#checkpoint !== undefined) {
      if (!this.#checkpoint.slice(this.#sliceRecordCount)) {
        this.#checkpoint = undefined;
        this.#cooling.coverageChanged();
      }
      // A reader that waits for the disk keeps compaction out, but not the loop busy.
      return this.#checkpoint === undefined || !this.#checkpoint.isWaiting;
    }
    return this.#beginRun();
  }

  #beginRun(): boolean {
    if (this.compaction.isDue) {
      this.compaction.begin();
      return true;
    }
    this.#tellCompacted();
    if (this.#defragmentWaiters.length === 0) return this.#cooling.begin();
    this.#isDefragmenting = true;
    this.compaction.beginDefragment();
    if (!this.compaction.isRunning) this.#afterRun();
    return true;
  }

  #afterRun(): void {
    this.#cooling.coverageChanged();
    this.#tellCompacted();
    if (!this.#isDefragmenting) return;
    this.#isDefragmenting = false;
    const waiters = this.#defragmentWaiters;
    this.#defragmentWaiters = [];
    for (const done of waiters) done();
  }

  #tellCompacted(): void {
    const waiters = this.#compactionWaiters;
    for (let i = waiters.length - 1; i >= 0; i--) {
      // Compact(0) and Compact(1) drop nothing: the base of a fresh store is above them.
      if (waiters[i]!.revision <= this.compaction.finishedRevision) waiters.splice(i, 1)[0]!.done();
    }
  }

  #sliceHash(waiter: HashWaiter): void {
    if (waiter.job === undefined) {
      if (waiter.revision > 0 && waiter.revision < this.#store.compactedRevision) {
        this.#hashes.shift();
        waiter.done(undefined, STATUS.compacted); // while it waited
        return;
      }
      waiter.job = new HashJob(this.#store, waiter.revision);
    }
    if (waiter.job.slice(this.#sliceRecordCount)) return;
    this.#hashes.shift();
    const { hash, compactedRevision, revision } = waiter.job;
    waiter.done({ hash, compactRevision: compactedRevision, hashRevision: revision }, undefined);
  }
}
