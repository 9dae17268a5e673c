// What the leader knows about one peer, and what it lets be on the way to it.
//
//            becomeReplicate (acknowledgement)
//   probe ------------------------------------> replicate      probe: one append, then wait for an answer or a heartbeat
//     ^ <--------------------------------------   |            replicate: `next` runs ahead, many appends on the way
//     |      rejection, link broken               |            snapshot: no appends; the peer's log ends before ours starts
//     | snapshot failed or sent                   | entries are compacted
//     +------------------ snapshot <--------------+
//
// Also carries what elections and membership know of the peer. One object per member, for the life of its membership.

import { assert } from "../base/assert.ts";
import type { Id64 } from "../base/ids.ts";

/** Of the newest in the smoothed time of acknowledgements. */
const ACK_WEIGHT = 1 / 8;

export type ProgressState = "probe" | "replicate" | "snapshot";

export class Progress implements Id64 {
  readonly hi: number;
  readonly lo: number;
  /** Member of the (incoming) voters; of the outgoing ones; neither: a learner. */
  isVoter = false;
  isOutgoing = false;

  /** Everything up to here is durable on the peer and equal to our log. Only grows within a term. 0 <= match < next. */
  match = 0;
  /** The first entry that was not sent yet. In probe, the first one to send next. */
  next = 1;
  state: ProgressState = "probe";
  /** Nothing more is sent until an answer or a heartbeat's answer comes. */
  paused = false;
  /** In `snapshot`: the snapshot's index once it is known, else 0. */
  snapshotIndex = 0;
  /** A snapshot is wanted and the driver has not been told yet. */
  snapshotWanted = false;
  /** When an append was sent last. */
  sentMs = -Infinity;
  /** When the peer was heard last, in the leader's time; for check-quorum. -Infinity: never in this term. */
  contactMs = -Infinity;
  /** Highest of our heartbeats' sequence numbers that the peer answered in this term. */
  ackedSequence = 0;
  /** The highest commit index that was sent to the peer. */
  sentCommit = 0;
  /** A client at the peer waits until the peer knows that this index is committed. */
  wantedCommit = 0;
  /** Its acknowledgement is not needed for now: what it gets is held back for a while (sparing.ts). */
  spared = false;
  /** When what is held back goes out; Infinity: nothing is. */
  heldMs = Infinity;
  /** Time from an append to its acknowledgement, smoothed, milliseconds; Infinity: never measured in this term. */
  ackMs = Infinity;
  /** The append that is being timed: its last entry, 0 none, and when it went out. */
  #timedIndex = 0;
  #timedMs = 0;
  /** In an election: 1 granted, -1 rejected, 0 not heard. */
  vote = 0;
  /** Of the proposals that the peer forwarded here, in whatever term: its incarnation and the last number seen. */
  forwardIncarnation = 0;
  forwardNumber = 0;

  // Appends on the way in `replicate`: a ring of (last index, bytes). It grows up to the limit.
  readonly #countMax: number;
  readonly #bytesMax: number;
  #ends: Float64Array;
  #sizes: Float64Array;
  #head = 0;
  #count = 0;
  #bytes = 0;

  constructor(id: Id64, inflightCountMax: number, inflightBytesMax: number) {
    assert(inflightCountMax > 0, "something may be on the way");
    this.hi = id.hi;
    this.lo = id.lo;
    this.#countMax = inflightCountMax;
    this.#bytesMax = inflightBytesMax;
    const room = Math.min(16, inflightCountMax);
    this.#ends = new Float64Array(room);
    this.#sizes = new Float64Array(room);
  }

  get isLearner(): boolean {
    return !this.isVoter && !this.isOutgoing;
  }

  get inflightCount(): number {
    return this.#count;
  }

  get inflightBytes(): number {
    return this.#bytes;
  }

  /** No further append with entries may go out. */
  get isFull(): boolean {
    return this.#count >= this.#countMax || this.#bytes >= this.#bytesMax;
  }

  /** A new leader knows nothing and tries at its log's end (Raft 5.3). */
  reset(lastIndex: number): void {
    this.match = 0;
    this.next = lastIndex + 1;
    this.state = "probe";
    this.paused = false;
    this.snapshotIndex = 0;
    this.snapshotWanted = false;
    this.sentMs = -Infinity;
    this.contactMs = -Infinity;
    this.ackedSequence = 0;
    this.sentCommit = 0;
    this.wantedCommit = 0;
    this.spared = false;
    this.heldMs = Infinity;
    this.ackMs = Infinity;
    this.vote = 0;
    this.#clear();
  }

  becomeProbe(): void {
    // After a snapshot that was sent there is no use in probing below it.
    this.next = Math.max(this.match, this.snapshotIndex) + 1;
    this.state = "probe";
    this.paused = false;
    this.snapshotIndex = 0;
    this.snapshotWanted = false;
    this.#clear();
  }

  becomeReplicate(): void {
    this.next = this.match + 1;
    this.state = "replicate";
    this.paused = false;
    this.snapshotIndex = 0;
    this.snapshotWanted = false;
    this.#clear();
  }

  becomeSnapshot(): void {
    this.state = "snapshot";
    this.paused = false;
    this.snapshotIndex = 0;
    this.snapshotWanted = true;
    this.#clear();
  }

  /** A client at the peer waits for this index. */
  wants(commit: number): void {
    if (this.wantedCommit < commit) this.wantedCommit = commit;
  }

  /** An append of entries up to `last` goes out. */
  sent(last: number, bytes: number, nowMs: number): void {
    this.sentMs = nowMs;
    if (this.#timedIndex === 0) {
      this.#timedIndex = last;
      this.#timedMs = nowMs;
    }
    assert(last >= this.next, "an append carries what was not sent");
    if (this.state === "probe") {
      this.paused = true;
      return;
    }
    assert(this.state === "replicate", "nothing is appended while a snapshot is on its way");
    this.next = last + 1;
    if (this.#count === this.#ends.length) this.#grow();
    const at = (this.#head + this.#count) % this.#ends.length;
    this.#ends[at] = last;
    this.#sizes[at] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** The peer has everything up to `index`. Returns whether that is news. */
  acknowledged(index: number, nowMs: number): boolean {
    this.#freeTo(index);
    if (index <= this.match) return false;
    if (this.#timedIndex !== 0 && index >= this.#timedIndex) {
      const tookMs = nowMs - this.#timedMs;
      this.ackMs = this.ackMs === Infinity ? tookMs : this.ackMs + (tookMs - this.ackMs) * ACK_WEIGHT;
      this.#timedIndex = 0;
    }
    this.match = index;
    if (this.next <= index) this.next = index + 1;
    assert(this.match < this.next, "what is acknowledged is not sent again (R12)");
    return true;
  }

  /** How long the next acknowledgement will take, as far as is known; one that is overdue counts. */
  expectedAckMs(nowMs: number): number {
    const overdueMs = this.#timedIndex === 0 ? 0 : nowMs - this.#timedMs;
    return Math.max(this.ackMs, overdueMs);
  }

  /**
   * The peer does not have `rejected`; the logs can match at `hint` at best. Returns false for an answer that is out
   * of date: one that contradicts what was acknowledged, or that answers another probe (R12).
   */
  rejected(rejected: number, hint: number): boolean {
    if (this.state === "snapshot") return false;
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (rejected !== this.next - 1) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.paused = false;
    return true;
  }

  #freeTo(index: number): void {
    while (this.#count > 0 && this.#ends[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head]!;
      this.#head = (this.#head + 1) % this.#ends.length;
      this.#count--;
    }
    assert(this.#count > 0 || this.#bytes === 0, "nothing on the way weighs nothing (R26)");
  }

  #clear(): void {
    this.#timedIndex = 0;
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const room = this.#ends.length * 2;
    const ends = new Float64Array(room);
    const sizes = new Float64Array(room);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) % this.#ends.length;
      ends[i] = this.#ends[at]!;
      sizes[i] = this.#sizes[at]!;
    }
    this.#ends = ends;
    this.#sizes = sizes;
    this.#head = 0;
  }
}
