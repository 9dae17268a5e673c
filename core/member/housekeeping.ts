// What nobody waits for, in slices: watchers, ended leases, checkpoints, compaction, hashes; and what waits for a leader.
// `turn` may propose and is followed by a pump; `background` runs when the acknowledgements are on their way.

import { ByteWriter } from "../base/byte-writer.ts";
import type { Id64 } from "../base/ids.ts";
import { id64ToBigInt } from "../base/ids.ts";
import { type HashDone, Housekeeping as PastHousekeeping } from "../mvcc/housekeeping.ts";
import * as m from "../wire/messages.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { encode } from "../wire/schema.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { ALARM_NOSPACE } from "./alarms.ts";
import { Announcements } from "./announcements.ts";
import { AutoCompaction } from "./auto-compaction.ts";
import { Checkpointer, type CheckpointerHost } from "./checkpointer.ts";
import { DiskRoom } from "./disk-room.ts";
import type { Divergence } from "./divergence.ts";
import type { Formats } from "./format.ts";
import type { ForwardDone } from "./forwarding.ts";
import { LargeAnswers } from "./large-answers.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { Parking } from "./parking.ts";
import type { PastLives } from "./past-lives.ts";
import { PastTimes } from "./past-times.ts";
import { FRAME_BARE_PIECE, FRAME_SNAPSHOT, FRAME_SNAPSHOT_ACK, FRAME_STATE } from "./peer-frames.ts";
import type { PeerList } from "./peer-list.ts";
import type { Proposer } from "./proposals.ts";
import { type ReceiverHost, SnapshotReceiver } from "./snapshot-receiver.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { readStateFrame, type StateFrame } from "./state-frames.ts";
import type { SnapshotMeta } from "../raft/output.ts";

export interface HousekeepingHost extends CheckpointerHost, Proposer, ReceiverHost {
  readonly housekeeping: Housekeeping;
  readonly divergence: Divergence;
  readonly formats: Formats;
  readonly pastLives: PastLives;
  readonly peerList: PeerList;
  /** Leases end only at a leader that has applied everything of the leaders before it. */
  promoteLessorWhenReady(): void;
}

/** A NOSPACE alarm that was proposed is not proposed again for so long. */
const ALARM_RETRY_MS = 1_000;

export class Housekeeping {
  readonly #member: HousekeepingHost;
  readonly #announcements: Announcements;
  readonly leases: LeaseKeeper;
  readonly #autoCompaction: AutoCompaction;
  readonly checkpointer: Checkpointer;
  /** Compaction, cleaning, hashes: who may work on the store's past when. */
  past: PastHousekeeping;
  readonly largeAnswers: LargeAnswers;
  readonly #pastTimes: PastTimes;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  readonly #parking: Parking;
  readonly #diskRoom: DiskRoom;
  #alarmProposedMs = Number.NEGATIVE_INFINITY;

  constructor(member: HousekeepingHost) {
    this.#member = member;
    this.#announcements = new Announcements(member);
    this.leases = new LeaseKeeper(member);
    this.#autoCompaction = new AutoCompaction(member);
    this.past = new PastHousekeeping(member.store, member.limits);
    this.#pastTimes = new PastTimes(member);
    this.checkpointer = new Checkpointer(member);
    this.largeAnswers = new LargeAnswers(member.limits, () => member.store.slabs);
    this.sender = new SnapshotSender(member);
    this.receiver = new SnapshotReceiver(member);
    this.#diskRoom = new DiskRoom(member.options.disk, member.limits.walSegmentSizeBytes);
    this.#parking = new Parking(member.limits.proposalBytesMax, member.limits.proposalCountMax);
  }

  turn(nowMs: number): void {
    const member = this.#member;
    this.#parking.expire(nowMs);
    this.largeAnswers.turn(nowMs);
    this.receiver.turn();
    member.rejoin.turn(nowMs);
    member.divergence.turn(nowMs);
    // What a leader would do for others, and what would be kept, comes from a state that is wrong.
    if (member.rejoin.isActive) return this.sender.abandonAll();
    if (member.isLeader) {
      member.formats.turn(nowMs);
      member.promoteLessorWhenReady();
      this.#announcements.proposeClusterVersion();
      this.leases.turn(nowMs);
      this.#autoCompaction.turn(nowMs);
    }
    this.#announcements.publishAttributes(nowMs);
    if (this.diskIsFull) this.raiseNoSpace();
    this.checkpointer.turn(nowMs);
    this.sender.turn(nowMs);
  }

  /** The store was replaced. */
  adopted(meta: SnapshotMeta): void {
    this.#member.pending.noteUnknown();
    this.past.abandon(STATUS.leaderChanged);
    this.past = new PastHousekeeping(this.#member.store, this.#member.limits);
    this.checkpointer.adopted(meta);
  }

  /** What room there is, is for what frees room. */
  get diskIsFull(): boolean {
    return this.#member.wal.spaceIsLow || this.checkpointer.foundDiskFull;
  }

  /** Takes room on the disk for a proposal that adds so much; false when there is none. */
  takeRoom(costBytes: number): boolean {
    const { wal, nowMs } = this.#member;
    return !this.diskIsFull && this.#diskRoom.take(costBytes, wal.pendingBytes, nowMs);
  }

  /** The alarm of this member was disarmed: what finds no room after that raises it again. */
  lookForRoom(): void {
    this.checkpointer.lookForRoom();
    this.#member.wal.lookForRoom();
  }

  /** True when there is more to do at once. */
  background(): boolean {
    const member = this.#member;
    let more = member.hub.turn(member.clock.now());
    more = this.checkpointer.slice() || more;
    more = this.#pastTimes.slice(this.past) || more;
    more = this.sender.slice() || more;
    more = this.receiver.slice() || more;
    return more;
  }

  nextDeadlineMs(): number {
    const { hub } = this.#member;
    return Math.min(
      this.leases.nextDeadlineMs(),
      this.#autoCompaction.nextDeadlineMs(),
      this.#parking.nextDeadlineMs(),
      this.largeAnswers.nextDeadlineMs(),
      hub.nextDeadlineMs(),
      this.sender.nextDeadlineMs(),
      this.#member.divergence.nextDeadlineMs(),
      this.#member.rejoin.nextDeadlineMs(),
    );
  }

  /** This member has proposed, in this life, what it is called and where clients find it. */
  get hasAnnounced(): boolean {
    return this.#announcements.hasAnnounced;
  }

  membershipChanged(): void {
    this.#announcements.membershipChanged();
  }

  startHash(revision: number, done: HashDone): void {
    const { clock, counters } = this.#member;
    const startMs = clock.now();
    const failure = this.past.hash(revision, (result, failed) => {
      counters.hashSeconds.observe((clock.now() - startMs) / 1000);
      done(result, failed);
    });
    if (failure !== undefined) done(undefined, failure);
    this.#member.options.waker.wake();
  }

  /** A Status: there is no room to wait, and `done` never comes. */
  startDefragmentation(done: () => void): Status | undefined {
    const { clock, counters } = this.#member;
    const startMs = clock.now();
    const refusal = this.past.defragment(() => {
      counters.defragmentSeconds.observe((clock.now() - startMs) / 1000);
      // On a full disk there is room when a checkpoint names the smaller files, and a write that follows the answer counts on it.
      this.checkpointer.retry(done);
    });
    this.#member.options.waker.wake();
    return refusal;
  }

  /** A renewal waits for an entry that clears a remainder. */
  wantClears(): void {
    this.leases.clearsWanted = true;
  }

  raiseNoSpace(): void {
    const member = this.#member;
    const { memberId, events } = member.options;
    if (member.nowMs - this.#alarmProposedMs < ALARM_RETRY_MS) return;
    this.#alarmProposedMs = member.nowMs;
    events.warn("database space exceeded, raising NOSPACE", {
      size: member.store.sizeBytes,
      quota: member.quotaBytes,
    });
    const writer = new ByteWriter(32);
    encode(m.AlarmRequest, { action: 1, memberID: id64ToBigInt(memberId), alarm: ALARM_NOSPACE }, writer);
    member.proposals.proposeInternal(REQUEST_KIND.alarm, writer.bytes, 0, writer.position);
  }

  park(bytes: Uint8Array, sizeBytes: number): boolean {
    return this.#parking.park(bytes, sizeBytes);
  }

  waitForLeader(ask: () => void, done: ForwardDone): void {
    const { nowMs, requestTimeoutMs } = this.#member;
    this.#parking.ask({ ask, done, deadlineMs: nowMs + requestTimeoutMs });
  }

  /** The leader certainly did not take what message `number` carried: the callers may try again. */
  forwardRefused(number: number): void {
    const { pending, counters } = this.#member;
    for (let call = pending.takeForwarded(number); call !== undefined; call = pending.takeForwarded(number)) {
      counters.proposalsFailed.add(1);
      call.fail(STATUS.leaderChanged);
    }
  }

  // The frame as the transport hands it on.
  onPeerFrame(from: Id64, kind: number, bytes: Uint8Array, start: number, end: number): void {
    if (kind === FRAME_SNAPSHOT || kind === FRAME_BARE_PIECE) this.receiver.onFrame(from, bytes, start, end);
    else if (kind === FRAME_SNAPSHOT_ACK) this.sender.onAck(from, bytes, start, end);
    else if (kind === FRAME_STATE) this.#onStateFrame(from, readStateFrame(bytes, start, end));
  }

  #onStateFrame(from: Id64, frame: StateFrame): void {
    const { formats, divergence, rejoin, pastLives } = this.#member;
    switch (frame.kind) {
      case "format":
        return formats.announced(from, frame.version);
      case "hash":
        return divergence.onHash(from, frame.index, frame.hash);
      case "want":
        return rejoin.onWant(from, frame.index);
      case "life":
        pastLives.onLife(from, frame.life);
        // A member says this when it connects, and again when it begins to listen: it may have missed the first introduction.
        return this.#member.peerList.introduce(from);
      case "past":
        return pastLives.onPast(from, frame.life, frame.past);
      case "address":
        return this.#member.peerList.introduced(from, frame.urls);
      case "unknown":
        return;
    }
  }

  /** Proposes what was kept, as soon as somebody takes it: before an output, so that it goes with a new leader's first entry. */
  release(): void {
    const { raft, proposals } = this.#member;
    if (this.#parking.isEmpty || !raft.hasTaker) return;
    this.#parking.release((bytes, start, end) => proposals.proposeParked(bytes, start, end));
  }
}
