// Everything one member's consensus knows, as plain fields that the files of this folder share: election.ts, roles.ts,
// replication.ts, follower.ts, reads.ts, forwarding.ts and membership.ts are functions over it, raft.ts is its face.

import { assert } from "../base/assert.ts";
import { ID64_ZERO, type Id64 } from "../base/ids.ts";
import type { Limits } from "../base/limits.ts";
import type { Prng } from "../base/prng.ts";
import type { ConfState } from "./configuration.ts";
import { EntryBatch } from "./entry-batch.ts";
import type { RaftLog } from "./log.ts";
import { RaftMessage } from "./message.ts";
import type { HardState, ReadGroup, SnapshotMeta } from "./output.ts";
import { Persistence } from "./persistence.ts";
import type { Progress } from "./progress.ts";
import type { ConfChange } from "./conf-change.ts";
import { Tracker } from "./tracker.ts";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** Why the last proposal, change or transfer was refused. */
export type Refusal =
  | "none"
  | "notLeader"
  | "noLeader"
  | "transferring"
  | "tooMuch"
  | "changePending"
  | "notCommittedInTerm"
  | "invalidChange"
  | "invalidTarget";

/** Entries that are only in storage, for peers that lag behind the memory tail. */
export interface StoredEntries {
  /** Adds entries first.. (at most to last, until `batch.sizeBytes` reaches bytesMax, at least one); false when it no longer has `first`. */
  // Four parameters and a result in the batch: called for a lagging peer only, but bytes come through it.
  readEntries(first: number, last: number, bytesMax: number, batch: EntryBatch): boolean;
}

/**
 * Messages of one output. Only a disk that stands still while term or vote wait for it lets so many collect; then new
 * ones are lost, as a network may lose any.
 */
const OUTBOX_COUNT_MAX = 16_384;

/**
 * Elections that are waited for only briefly after the leader's connection closed, and after a start; an attempt takes two, a
 * pre-vote and a vote.
 */
export const QUICK_RETRY_COUNT = 8;

export interface RaftOptions {
  readonly id: Id64;
  /** Differs at every start of this member (its boot counter), so that answers to an earlier life are known. */
  readonly incarnation: number;
  readonly prng: Prng;
  readonly nowMs: number;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly limits: Limits;
  /** The restored log; all of it is durable. */
  readonly log: RaftLog;
  readonly hardState: HardState;
  /** As of appliedIndex. */
  readonly confState: ConfState;
  readonly appliedIndex: number;
  readonly storage?: StoredEntries;
}

/** Reads that are confirmed by one heartbeat sequence, at the leader. */
export interface PendingReads {
  /** 0 while the group still takes reads. */
  sequence: number;
  index: number;
  /** Own reads. */
  contexts: number[];
  readonly remote: RemoteRead[];
}

/** A follower's group: its member, and its name for the request. */
export interface RemoteRead {
  readonly hi: number;
  readonly lo: number;
  readonly incarnation: number;
  readonly number: number;
}

/** Reads that a follower sent to the leader. */
export interface SentReads {
  readonly number: number;
  readonly contexts: number[];
  readonly deadlineMs: number;
}

/** A message with proposals that went to the leader. */
export interface SentForward {
  readonly number: number;
  readonly batch: EntryBatch;
}

export class RaftState {
  readonly id: Id64;
  readonly incarnation: number;
  readonly prng: Prng;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly limits: Limits;
  readonly log: RaftLog;
  readonly storage: StoredEntries | undefined;
  readonly persistence: Persistence;
  readonly tracker: Tracker;

  /** This member's own progress; undefined while it is in no configuration. */
  self: Progress | undefined = undefined;
  role: Role = "follower";
  /** Never falls, not even over a restart (R30). */
  term: number;
  /** Whom this member voted for in `term`; 0:0 nobody. */
  vote: Id64;
  /** The leader of `term` as far as known; 0:0 nobody. */
  leader: Id64 = ID64_ZERO;
  /** appliedIndex <= commitIndex <= log.lastIndex. Never falls. */
  commitIndex: number;
  appliedIndex: number;
  refusal: Refusal = "none";

  /** The latest time that the driver told; never falls. */
  nowMs: number;
  /** Follower or candidate: when to campaign. Infinity for a leader. */
  electionDeadlineMs = Infinity;
  /** This election's random timeout, between electionMs and 1.5 electionMs; drawn anew for every attempt (R28). */
  electionTimeoutMs = 0;
  /** When a leader was heard last. */
  leaderContactMs = -Infinity;
  /**
   * The leader's connection closed, it fell silent, or none was heard since the start: nobody has a lease on our vote until one is heard.
   * A member that starts beside a living leader hears it before it campaigns, and a pre-vote disturbs nobody.
   */
  leaseVoid = true;
  /** How often an election may still follow quickly while the lease is void. */
  quickRetries = QUICK_RETRY_COUNT;
  /** The candidacy was ordered by the old leader: others ignore their lease. */
  forced = false;

  // Leader only.
  heartbeatDeadlineMs = Infinity;
  quorumDeadlineMs = Infinity;
  /** When those followers are told the commit index that no append has told; Infinity when all know it. */
  commitNoticeMs = Infinity;
  /** Some followers are enough for now, the others are spared; and when the first of these gets what was held back. */
  sparing = false;
  heldMs = Infinity;
  /** First entry of this term: until it is committed no reads and no membership changes (R2, R15). */
  termFirstIndex = 0;
  /** Of the leader's own heartbeats; confirms reads. Never a caller's number (R3). */
  heartbeatSequence = 0;
  /** Whom leadership is being handed to; no proposals meanwhile (R29). */
  transferTarget: Progress | undefined = undefined;
  transferDeadlineMs = Infinity;
  /** The target was told to campaign. */
  transferOrdered = false;
  /** The next output begins with this member's vote for the target. */
  votesAhead = false;

  // Follower only.
  /** Our log equals the leader's up to here, as far as this term's appends showed. */
  matchedIndex = 0;
  /** What of it was acknowledged. */
  ackedIndex = 0;
  /** An append wants an answer even if nothing new is durable. */
  ackOwed = false;
  /** The term in which the leader ordered a campaign that waits for a change to be applied; 0 none. */
  orderedTerm = 0;
  /** A snapshot that is to be installed; `snapshotSequence` is its batch once handed over. */
  snapshot: SnapshotMeta | undefined = undefined;
  snapshotSequence = 0;

  /** When the configuration changed last here; others may apply that later. */
  configuredMs = -Infinity;

  // Reads and forwarded proposals.
  /** Reads since the last output. */
  readContexts: number[] = [];
  readonly pendingReads: PendingReads[] = [];
  sentReads: SentReads[] = [];
  /** Waiting own reads, in all three lists; bounded by limits.raftReadCountMax. */
  readCount = 0;
  readNumber = 0;
  /** Proposals of this turn for the leader, and the number of the last message with such. */
  forwardBatch = new EntryBatch();
  forwardNumber = 0;
  /** The last message with proposals that was sent in an earlier term. */
  forwardNumberBefore = 0;
  /** Messages with proposals that were sent last, oldest first: what a leader that hands over refuses is not lost. */
  readonly sentForwards: SentForward[] = [];
  sentForwardBytes = 0;
  /** The term whose leader said that it hands over: nothing is forwarded to it, until then. -1: none. */
  leaderLeavesTerm = -1;
  leaderLeavesUntilMs = 0;
  /** The term in which this member voted for whom the old leader had chosen: it will most probably lead. -1: none. */
  successorTerm = -1;
  /** The last term that this member led: what it knows of forwarded proposals is of that one. -1: none since the start. */
  ledTerm = -1;
  /** Bytes forwarded since the last output. */
  forwardedBytes = 0;
  /** What the driver has against a change that consensus itself would make. */
  mayChange: (change: ConfChange) => boolean = () => true;

  // What goes into the next output.
  outbox: RaftMessage[] = [];
  readonly messagePool: RaftMessage[] = [];
  readsReady: ReadGroup[] = [];
  readsAborted: number[] = [];
  forwardsRefused: number[] = [];
  forwardsReturned: EntryBatch[] = [];
  leaderChanged = false;

  constructor(options: RaftOptions) {
    assert(options.electionMs > options.heartbeatMs, "several heartbeats fit into an election timeout");
    assert(options.id.hi !== 0 || options.id.lo !== 0, "member id 0 means nobody");
    this.id = options.id;
    this.incarnation = options.incarnation;
    this.prng = options.prng;
    this.electionMs = options.electionMs;
    this.heartbeatMs = options.heartbeatMs;
    this.limits = options.limits;
    this.log = options.log;
    this.storage = options.storage;
    this.persistence = new Persistence(options.log.lastIndex, options.hardState.commit);
    this.tracker = new Tracker(options.limits.raftInflightCountMax, options.limits.raftInflightBytesMax);
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.commitIndex = Math.max(options.hardState.commit, options.appliedIndex, options.log.compactedIndex);
    if (this.commitIndex > options.log.lastIndex)
      throw new LogLostError(this.commitIndex, options.log.lastIndex);
    this.appliedIndex = options.appliedIndex;
    this.nowMs = options.nowMs;
    assert(this.term >= this.log.lastTerm, "the term is at least that of the last entry");
    assert(this.appliedIndex >= this.log.compactedIndex, "what is compacted is applied");
  }

  get isLeader(): boolean {
    return this.role === "leader";
  }

  isSelf(id: Id64): boolean {
    return id.hi === this.id.hi && id.lo === this.id.lo;
  }

  /** Time as the driver sees it; a clock that stands or jumps back is taken as standing. */
  setNow(nowMs: number): void {
    if (nowMs > this.nowMs) this.nowMs = nowMs;
  }

  /** A message to `to` in the current term, from the pool; fill in the rest. */
  send(kind: number, to: Id64): RaftMessage {
    assert(!this.isSelf(to), "a member does not write to itself");
    const message = this.messagePool.pop() ?? new RaftMessage();
    message.reset();
    if (this.outbox.length < OUTBOX_COUNT_MAX) this.outbox.push(message);
    message.kind = kind;
    message.toHi = to.hi;
    message.toLo = to.lo;
    message.fromHi = this.id.hi;
    message.fromLo = this.id.lo;
    message.term = this.term;
    return message;
  }

  /** Raises the commit index; never lowers it. */
  commitTo(index: number): void {
    if (index <= this.commitIndex) return;
    if (index > this.log.lastIndex) throw new LogLostError(index, this.log.lastIndex);
    this.commitIndex = index;
  }
}

/** This member acknowledged entries that it no longer has: its disk lost them. It must stop and be replaced. */
export class LogLostError extends Error {
  override readonly name = "LogLostError";
  readonly code = "RAFT_LOG_LOST";
  constructor(commit: number, lastIndex: number) {
    super(`Cannot commit entry ${commit}: the log ends at ${lastIndex}, so acknowledged entries were lost`);
  }
}
