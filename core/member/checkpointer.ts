// When a checkpoint is due, and what follows from it: the log before it is given up, but for a tail that lagging peers
// may still want.

import type { DiskError } from "../base/ports.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { id64ToBigInt, type Id64 } from "../base/ids.ts";
import type { Housekeeping as PastHousekeeping } from "../mvcc/housekeeping.ts";
import type { ConfState } from "../raft/configuration.ts";
import type { SnapshotMeta } from "../raft/output.ts";
import { encode } from "../wire/schema.ts";
import { ConfState as ConfStateMessage } from "../wire/raft-messages.ts";
import { encodeHead, joinExtra } from "./checkpoint-state.ts";
import type { Divergence } from "./divergence.ts";
import type { MemberState } from "./member-state.ts";

/** After a full disk, the next attempt; and when the log has given something up for it. */
const RETRY_MS = 5_000;
const RETRY_WITH_ROOM_MS = 500;

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly meta: SnapshotMeta; readonly startedMs: number }
  | { readonly kind: "waiting"; readonly untilMs: number };

/** How the interval grows with the store (limits.ts); what a restart reads and applies stays below a second's work. */
const STORE_PARTS = 8;
const INTERVAL_GROWTH_MAX = 4;
/** A hundred times what a checkpoint of a million keys takes of the loop. */
const REST_MS = 5_000;
/** A checkpoint writes some three bytes a key: with so much log it writes no more than a fifth of it. */
const LOG_BYTES_PER_KEY = 16;
/** Less log than this is read and applied within 50 ms: not worth a checkpoint before a stop. */
const STOP_LOG_BYTES_MIN = 1024 * 1024;
/** Files of so many bytes that only the newest checkpoint still names are worth one before a stop. */
const STOP_ABANDONED_BYTES_MIN = 16 * 1024 * 1024;
/** Of the first interval after a start. */
const SHARE_PERCENT_MIN = 30;

const IDLE: State = { kind: "idle" };

export interface CheckpointerHost extends MemberState {
  readonly divergence: Divergence;
  readonly housekeeping: {
    readonly past: PastHousekeeping;
    readonly sender: { readonly logNeededFrom: number };
    raiseNoSpace(): void;
  };
}

export class Checkpointer {
  readonly #member: CheckpointerHost;
  #state: State = IDLE;
  /** What the last checkpoint covers; undefined without one. */
  latest: SnapshotMeta | undefined;
  /** Bytes of records when the last checkpoint began, less what a start found behind it: the rest is what it does not cover. */
  #recordBytesBefore: number;
  #leases: Uint8Array = new Uint8Array(0);
  #foundDiskFull = false;
  /** Asked for before it is due. */
  #wanted = false;
  /** Wait for the end of an attempt that a full disk had refused before. */
  readonly #onRetried: (() => void)[] = [];
  /** Waits for the last checkpoint before a stop, and until what it makes superfluous is gone. */
  #onLast: (() => void) | undefined = undefined;
  /** The marker of the last one is on its way to the log; then the log before it is given up. */
  #isMarking = false;
  /**
   * The part of a whole interval after which the next one is due: of the first after a start a random one. Members apply the same
   * entries at the same time, and would otherwise all take their checkpoints at once, so that no quorum has quiet disks.
   */
  #intervalShare: number;
  /** When the last one began. */
  #beganMs = Number.NEGATIVE_INFINITY;

  constructor(member: CheckpointerHost) {
    this.#member = member;
    this.#intervalShare = member.options.prng.between(SHARE_PERCENT_MIN, 100) / 100;
    const { appliedIndex, appliedTerm } = member;
    this.#recordBytesBefore = -member.raft.log.memoryBytes;
    if (appliedIndex > 0)
      this.latest = { index: appliedIndex, term: appliedTerm, confState: member.raft.confState };
  }

  get index(): number {
    return this.latest?.index ?? 0;
  }

  /** The last one failed for want of room, and the next has not succeeded. */
  get foundDiskFull(): boolean {
    return this.#foundDiskFull;
  }

  /** Has a checkpoint taken though none is due. */
  want(): void {
    this.#wanted = true;
  }

  /**
   * The member will stop: `done` is called when a start would have little to read and apply behind the newest checkpoint, which
   * names little that a compaction has given up, or when there can be no newer one, and when files are gone that it does without.
   * It may take as long as the disk does, so the caller waits only so long.
   */
  beforeStop(done: () => void): void {
    // After a full disk the next attempt is seconds away.
    if (this.#state.kind === "waiting") return done();
    const isIdle = this.#state.kind === "idle";
    const { appliedIndex, store } = this.#member;
    const isMuch =
      this.#logBytes >= STOP_LOG_BYTES_MIN || store.slabs.abandonedBytes >= STOP_ABANDONED_BYTES_MIN;
    const isLittle = isIdle && (!isMuch || appliedIndex === this.index);
    if (isLittle && !this.#isTidying) return done();
    this.#onLast = done;
    if (isIdle && !isLittle) this.want();
  }

  /** The newest checkpoint is complete, and what it makes superfluous is still there. */
  get #isTidying(): boolean {
    return this.#isMarking || this.#member.housekeeping.past.isCheckpointing;
  }

  /** The store has become smaller: tries at once what a full disk refused; `done` is called when that has ended, well or not. */
  retry(done: () => void): void {
    if (!this.#foundDiskFull) return done();
    if (this.#state.kind === "waiting") this.#state = IDLE;
    this.#onRetried.push(done);
  }

  /** Somebody has made room, or believes so: the next attempt is made at once. */
  lookForRoom(): void {
    this.#foundDiskFull = false;
    if (this.#state.kind === "waiting") this.#state = IDLE;
  }

  /** The state was replaced by a received checkpoint. */
  adopted(meta: SnapshotMeta): void {
    this.#state = IDLE;
    this.latest = meta;
    this.#wanted = false;
    this.#foundDiskFull = false;
    this.#tellRetried();
  }

  /** Starts a checkpoint when one is due; the store's housekeeping does its slices. */
  turn(nowMs: number): void {
    if (this.#state.kind === "running") return;
    if (this.#state.kind === "waiting" && nowMs < this.#state.untilMs) return;
    if (this.#isDueAt(nowMs)) this.#begin(nowMs);
  }

  /** A slice of the leases' image; the store's housekeeping does the rest. True when there is more. */
  slice(): boolean {
    this.#tellLast();
    const { lessor, limits } = this.#member;
    if (this.#state.kind !== "running" || !lessor.image.isRunning) return false;
    this.#leases = lessor.image.slice(limits.sliceRecordCount) ?? this.#leases;
    return lessor.image.isRunning;
  }

  #isDueAt(nowMs: number): boolean {
    const { appliedIndex, limits } = this.#member;
    if (appliedIndex === this.index) return false;
    const share = this.#intervalShare;
    if (this.#wanted || appliedIndex - this.index >= share * limits.checkpointEntryCount) return true;
    return this.#logBytes >= share * this.#intervalBytes(nowMs);
  }

  /** Long while the log grows fast; after a rest no longer than a start after a kill takes to read and apply quickly. */
  #intervalBytes(nowMs: number): number {
    const { store, limits } = this.#member;
    const least = limits.checkpointLogBytes;
    const atOnce = Math.min(Math.max(least, store.sizeBytes / STORE_PARTS), INTERVAL_GROWTH_MAX * least);
    if (nowMs - this.#beganMs < REST_MS) return atOnce;
    return Math.min(Math.max(least, LOG_BYTES_PER_KEY * store.keyCount), atOnce);
  }

  /** Bytes of records behind the last checkpoint, or the one that is under way. */
  get #logBytes(): number {
    return this.#member.wal.stats.recordBytes - this.#recordBytesBefore;
  }

  #begin(nowMs: number): void {
    const member = this.#member;
    const { appliedIndex, appliedTerm, membership, alarms, clusterVersion, formatVersion } = member;
    const { confState } = member.raft;
    const head = encodeHead({
      appliedIndex,
      appliedTerm,
      confState,
      membership,
      alarms,
      clusterVersion,
      formatVersion,
      effectHash: member.divergence.effects.value,
    });
    const extra = (): Uint8Array => joinExtra(head, this.#leasesDone());
    const checkpoint = member.housekeeping.past.checkpoint({
      disk: member.options.disk,
      directory: member.dataDirectory,
      // Asked for when the manifest is written; until then the leases are written beside it.
      get extra() {
        return extra();
      },
      done: (error) => this.#ended(error),
      wake: () => member.options.waker.wake(),
    });
    if (checkpoint === undefined) return; // a compaction is under way: next turn
    member.lessor.image.begin();
    this.#state = {
      kind: "running",
      meta: { index: appliedIndex, term: appliedTerm, confState },
      startedMs: nowMs,
    };
    this.#recordBytesBefore = member.wal.stats.recordBytes;
    this.#beganMs = nowMs;
    this.#intervalShare = 1;
    this.#wanted = false;
  }

  #leasesDone(): Uint8Array {
    const { image } = this.#member.lessor;
    if (image.isRunning) this.#leases = image.slice(Number.POSITIVE_INFINITY)!;
    return this.#leases;
  }

  #ended(error: DiskError | undefined): void {
    const state = this.#state;
    if (state.kind !== "running") return;
    const member = this.#member;
    this.#leasesDone(); // an image that was begun is ended, also when the disk failed first
    this.#leases = new Uint8Array(0);
    if (error !== undefined) return this.#failed(error);
    this.#foundDiskFull = false;
    this.#state = IDLE;
    const { index, term, confState } = state.meta;
    this.latest = state.meta;
    member.counters.checkpointSeconds.observe((member.clock.now() - state.startedMs) / 1000);
    member.options.events.info("saved snapshot", { index, term });
    this.#isMarking = true;
    const durable = member.wal.saveSnapshotMarker(
      { index, term, confState: encodeConfState(confState) },
      (failure) => {
        if (failure === undefined) this.#giveUpLog(index);
        else member.fail(failure);
      },
    );
    if (durable) this.#giveUpLog(index);
  }

  #failed(error: DiskError): void {
    const member = this.#member;
    // A full disk is a state; anything else means that the disk cannot be trusted.
    if (error.code !== "ENOSPC") return member.fail(error);
    member.options.events.warn("cannot save a checkpoint: the disk is full", { file: error.path });
    this.#foundDiskFull = true;
    this.#wanted = true;
    // A checkpoint frees the log before it and the segments that hold nothing any more; a spare is as good as room.
    const hasRoom = member.wal.giveUpSpares();
    this.#state = { kind: "waiting", untilMs: member.nowMs + (hasRoom ? RETRY_WITH_ROOM_MS : RETRY_MS) };
    member.housekeeping.raiseNoSpace();
    this.#tellRetried();
    this.#takeOnLast()?.();
  }

  #giveUpLog(checkpointIndex: number): void {
    this.#isMarking = false;
    const { raft, wal, membership, limits } = this.#member;
    const kept = membership.size > 1 ? limits.catchUpEntryCount : 0;
    const needed = this.#member.housekeeping.sender.logNeededFrom;
    const index = Math.min(checkpointIndex - kept, needed);
    if (index > raft.log.compactedIndex) {
      wal.truncateBefore(index + 1);
      raft.compactLog(index);
    }
    this.#tellRetried();
    this.#tellLast();
  }

  #tellLast(): void {
    if (this.#onLast === undefined || this.#state.kind !== "idle" || this.#wanted || this.#isTidying) return;
    // What came since it began may be much as well.
    this.beforeStop(this.#takeOnLast()!);
  }

  #tellRetried(): void {
    for (const done of this.#onRetried.splice(0)) done();
  }

  #takeOnLast(): (() => void) | undefined {
    const onLast = this.#onLast;
    this.#onLast = undefined;
    return onLast;
  }
}

export function encodeConfState(state: ConfState): Uint8Array {
  const ids = (list: readonly Id64[]): bigint[] => list.map(id64ToBigInt);
  const writer = new ByteWriter(64);
  encode(
    ConfStateMessage,
    {
      voters: ids(state.voters),
      learners: ids(state.learners),
      voters_outgoing: ids(state.votersOutgoing),
      learners_next: ids(state.learnersNext),
      auto_leave: state.autoLeave,
    },
    writer,
  );
  return writer.copy();
}
