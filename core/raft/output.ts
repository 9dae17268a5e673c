// What the driver is to do. The order that must be kept, and what may run in parallel: docs/internals/raft.md.

import type { Id64 } from "../base/ids.ts";
import type { ConfState } from "./configuration.ts";
import type { EntryBatch } from "./entry-batch.ts";
import type { RaftMessage } from "./message.ts";

/**
 * What must survive a crash besides the entries. `commit` is never beyond the entries that were durable before; it
 * matters for configuration changes and otherwise only saves work after a restart.
 */
export interface HardState {
  readonly term: number;
  /** 0:0 for none. */
  readonly vote: Id64;
  readonly commit: number;
}

export const EMPTY_HARD_STATE: HardState = { term: 0, vote: { hi: 0, lo: 0 }, commit: 0 };

export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

/** Reads that were confirmed together: they may be answered from a state that has applied `index`. */
export interface ReadGroup {
  readonly index: number;
  /** As given to readIndex(). */
  readonly contexts: readonly number[];
}

/** Reused: valid until the next call of the machine. Lists are never undefined, only empty. */
export class RaftOutput {
  /** Number of the batch to persist; 0 when there is nothing to persist. Answer with persisted(sequence). */
  sequence = 0;
  /** To persist with the batch; undefined when nothing of it has to be durable. */
  hardState: HardState | undefined = undefined;
  /** Entries of `raft.log` to persist with the batch; 0, 0 for none. They replace stored ones from entriesFirst on. */
  entriesFirst = 0;
  entriesLast = 0;
  /** Install this snapshot, whose data the driver has, before the batch's entries; it replaces log and state. */
  snapshot: SnapshotMeta | undefined = undefined;
  /** Send now, in any order with persisting. Encode before the machine is called again. */
  messages: RaftMessage[] = [];
  /** Known to be committed. */
  commitIndex = 0;
  /** Entries up to here may be applied: committed, and durable on this member. */
  applyIndex = 0;
  reads: ReadGroup[] = [];
  /** Contexts of reads that cannot be confirmed (no leader, leader changed); nothing is known, ask again or fail. */
  readsAborted: number[] = [];
  /** Numbers given by forward() whose proposals were certainly not appended. */
  forwardsRefused: number[] = [];
  /** Proposals that were certainly not appended, because the leader hands over or is gone: propose them again. */
  forwardsReturned: EntryBatch[] = [];
  /** Peers that need a snapshot: stream one, opening with raft.snapshotMessage(), then report. */
  snapshotsWanted: Id64[] = [];
  /** Role, term or leader differs from the last output. */
  leaderChanged = false;

  clear(): void {
    // The lists are nearly always empty, and setting a length is a call into the engine.
    this.sequence = 0;
    this.hardState = undefined;
    this.entriesFirst = 0;
    this.entriesLast = 0;
    this.snapshot = undefined;
    if (this.messages.length > 0) this.messages.length = 0;
    if (this.reads.length > 0) this.reads.length = 0;
    if (this.readsAborted.length > 0) this.readsAborted.length = 0;
    if (this.forwardsRefused.length > 0) this.forwardsRefused.length = 0;
    if (this.forwardsReturned.length > 0) this.forwardsReturned.length = 0;
    if (this.snapshotsWanted.length > 0) this.snapshotsWanted.length = 0;
    this.leaderChanged = false;
  }
}
