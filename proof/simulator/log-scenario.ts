// A member's use of its log, small enough to be stopped at every call: create, append on the loop and in the background,
// change term and vote, go back and overwrite, rotate, checkpoint, truncate, close.

import { Prng } from "../../core/base/prng.ts";
import type { HardState } from "../../core/wal/payload.ts";
import { recoverWal } from "../../core/wal/recover.ts";
import { Wal, type WalOptions } from "../../core/wal/wal.ts";
import type { SimulatedClock } from "./clock.ts";
import type { SimulatedDisk } from "./disk.ts";
import type { LogModel } from "./log-model.ts";

export const LOG_DIRECTORY = "member/wal";

export interface LogScenarioOptions {
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly model: LogModel;
  readonly seed: number;
  readonly segmentSizeBytes: number;
}

export class LogScenario {
  readonly #options: LogScenarioOptions;
  readonly #prng: Prng;
  /** Of its own, so that the log's content does not depend on it. */
  readonly #hearing: Prng;
  readonly #walOptions: WalOptions;
  #wal!: Wal;
  /** A restart found a segment under the name of a spare. */
  foundUnnamed = false;
  #state: HardState = { term: 1, vote: { hi: 7, lo: 9 }, commit: 0 };

  constructor(options: LogScenarioOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    this.#hearing = new Prng(options.seed).split("hearing");
    const { disk, clock, segmentSizeBytes } = options;
    this.#walOptions = { disk, directory: LOG_DIRECTORY, segmentSizeBytes, clock };
  }

  get wal(): Wal {
    return this.#wal;
  }

  create(): void {
    this.#wal = Wal.create(this.#walOptions, {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: 0x12345678, lo: 0x9abcdef0 },
    });
    this.#options.model.settle(0);
  }

  /** Recovers what is there, checks it, and continues it, or creates the log. */
  restart(): void {
    const { disk, model } = this.#options;
    const recovery = recoverWal({ disk, directory: LOG_DIRECTORY, checkpointIndex: model.checkpointIndex });
    const count = model.check(recovery);
    this.foundUnnamed = recovery?.tail.segments.some(({ path }) => path.includes("spare-")) ?? false;
    if (recovery === undefined) {
      this.create();
      return;
    }
    this.#wal = Wal.resume(this.#walOptions, recovery);
    model.settle(count);
    this.#state = recovery.hardState.term === 0 ? this.#state : recovery.hardState;
  }

  append(batchCount: number, entryCountMax = 3): void {
    for (let i = 0; i < batchCount; i++) this.#batch(this.#prng.between(i === 0 ? 1 : 0, entryCountMax));
  }

  /** As a follower whose uncommitted entries another leader overwrites. */
  overwrite(): void {
    const { lastIndex } = this.#wal;
    const first = Math.max(this.#state.commit + 1, lastIndex - 1);
    this.#state = { term: this.#state.term + 1, vote: { hi: 0, lo: 0 }, commit: this.#state.commit };
    this.#batch(2, first);
  }

  /** Commits what is durable, takes a checkpoint of it, marks it, and gives up what lies before. */
  checkpoint(): void {
    const { model } = this.#options;
    this.settle();
    const index = this.#wal.durableIndex;
    this.#state = { ...this.#state, commit: index };
    this.append(1);
    this.settle();
    model.checkpointIndex = index;
    const count = model.operationCount;
    const marker = { index, term: this.#state.term, confState: new Uint8Array([8, 1, 0x28, 0]) };
    if (this.#wal.saveSnapshotMarker(marker, (error) => this.#onDone(count, error))) model.acknowledge(count);
    this.settle();
    this.#wal.truncateBefore(index + 1);
  }

  /** Lets everything in the background end, deadlines of the log included. */
  settle(): void {
    const { clock } = this.#options;
    for (let i = 0; i < 400; i++) {
      while (clock.step());
      const due = this.#wal.nextDeadlineMs();
      if (due === Infinity) return;
      clock.runUntil(due);
      this.#wal.onDeadline(clock.now());
    }
  }

  close(): void {
    while (this.#options.clock.step());
    this.#wal.close();
  }

  #batch(entryCount: number, first = this.#wal.lastIndex + 1): void {
    const { clock, model } = this.#options;
    // On the loop nothing else happens; between two batches what has ended in the background is heard of, or not yet.
    if (this.#hearing.chance(0.3)) clock.runUntil(clock.now());
    const changed = entryCount === 0 || this.#prng.chance(0.3) || first <= this.#wal.lastIndex;
    if (entryCount === 0) this.#state = { ...this.#state, term: this.#state.term + 1 };
    if (model.operationCount === 0 || changed) model.state(this.#state);
    this.#wal.beginBatch(model.operationCount === 1 || changed ? this.#state : undefined);
    for (let index = first; index < first + entryCount; index++) {
      const data = this.#data(index);
      model.entry(index, this.#state.term, index % 5 === 0 ? 1 : 0, data);
      this.#wal.entry(index % 5 === 0 ? 1 : 0, this.#state.term, index, data, 0, data.length);
    }
    const count = model.operationCount;
    if (this.#wal.commitBatch((error) => this.#onDone(count, error))) model.acknowledge(count);
  }

  #onDone(count: number, error: Error | undefined): void {
    if (error === undefined) this.#options.model.acknowledge(count);
  }

  /** Mostly small, sometimes over several sectors; never all zero. */
  #data(index: number): Uint8Array {
    const sizes = [0, 1, 30, 100, 400, 1300];
    const data = new Uint8Array(this.#prng.pick(sizes));
    for (let i = 0; i < data.length; i++) data[i] = 1 + ((index * 31 + i * 7 + this.#prng.below(4)) % 255);
    return data;
  }
}
