// How requests become log entries: appended at the leader, forwarded once by others, kept while there is no leader. What a
// client waits for carries a request id: its author, which stands for one life of one member, and a sequence number.

import { ByteWriter } from "../base/byte-writer.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Id64 } from "../base/ids.ts";
import { type ConfChange, confChange, confChangeEntryType, encodeConfChange } from "../raft/conf-change.ts";
import { type EntryBatch, EntryCursor } from "../raft/entry-batch.ts";
import { ENTRY_NORMAL } from "../raft/log.ts";
import { beginRequest, RequestEnvelope, writeRequestBody } from "../wire/raft-request.ts";
import { STATUS, type Status } from "../wire/status.ts";
import type { Call } from "./call.ts";
import type { MemberState } from "./member-state.ts";
import type { PendingCalls } from "./pending.ts";

/**
 * Stands for one life of one member, in 32 bits: the checksum of its id and of how often it was started. Two lives of one member always
 * differ, because a checksum finds every difference within 32 bits. Two members share one by a chance of 2^-32, and then
 * their sequence numbers, which begin anywhere, would have to meet as well.
 */
export function requestAuthor(memberId: Id64, bootCounter: number): number {
  const writer = new ByteWriter(12);
  writer.uint32Be(memberId.hi);
  writer.uint32Be(memberId.lo);
  writer.uint32Be(bootCounter >>> 0);
  return crc32c(writer.bytes, 0, writer.position);
}

export interface ProposalsHost extends MemberState {
  readonly housekeeping: {
    /** Keeps what nobody takes yet; false when there is no room. */
    park(bytes: Uint8Array, sizeBytes: number): boolean;
  };
}

/** A member, for the parts that propose. */
export interface Proposer extends MemberState {
  readonly proposals: Proposals;
}

export class Proposals {
  readonly #member: ProposalsHost;
  readonly #pending: PendingCalls;
  readonly #scratch = new ByteWriter(4096);
  readonly #envelope = new RequestEnvelope();
  readonly #requestIdHi: number;

  constructor(member: ProposalsHost, pending: PendingCalls, bootCounter: number) {
    this.#member = member;
    this.#pending = pending;
    this.#requestIdHi = requestAuthor(member.options.memberId, bootCounter);
  }

  /** Proposes a client's request; the call is answered when its entry is applied here. */
  propose(call: Call, kind: number, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#pending.hasRoom) return call.fail(STATUS.tooManyRequests);
    const scratch = this.#scratch;
    scratch.reset();
    const sequence = this.#pending.add(call, this.#member.nowMs);
    beginRequest(scratch, this.#requestIdHi, sequence);
    writeRequestBody(scratch, kind, bytes, start, end);
    const refusal =
      scratch.position > this.#member.limits.requestSizeBytesMax
        ? STATUS.requestTooLarge
        : this.#append(scratch.bytes, scratch.position, sequence);
    if (refusal === undefined) return;
    this.#pending.take(sequence);
    call.fail(refusal);
  }

  /** Proposes what no client waits for, from whatever member. Whether it happens is seen when it is applied. */
  proposeInternal(kind: number, bytes: Uint8Array, start: number, end: number): boolean {
    const scratch = this.#internalRequest(kind, bytes, start, end);
    this.#member.options.waker.wake();
    return this.#append(scratch.bytes, scratch.position, 0) === undefined;
  }

  /**
   * Proposes what only a leader may decide. Never forwarded, never kept for later: a revocation that a deposed leader
   * hands to the next one would end a lease that was renewed there.
   */
  proposeAsLeader(kind: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#member.isLeader) return false;
    const scratch = this.#internalRequest(kind, bytes, start, end);
    this.#member.options.waker.wake();
    return this.#member.raft.propose(scratch.bytes, 0, scratch.position) > 0;
  }

  /** A parked proposal, if somebody still waits for it. */
  proposeParked(bytes: Uint8Array, start: number, end: number): void {
    this.#envelope.parse(bytes, start, end);
    const { idHi, idLo } = this.#envelope;
    if (idLo !== 0 && !this.#isWanted(idHi, idLo)) return;
    // It is in no message any more.
    if (idLo !== 0) this.#pending.noteForwarded(idLo, 0);
    const refusal = this.#append(bytes.subarray(start, end), end - start, idLo);
    if (refusal !== undefined) this.#pending.take(idLo)?.fail(refusal);
  }

  /** What went to a leader that handed over before it took it: certainly in nobody's log. */
  proposeReturned(batch: EntryBatch): void {
    const cursor = new EntryCursor();
    cursor.reset(batch);
    while (cursor.next()) this.proposeParked(cursor.bytes, cursor.start, cursor.end);
  }

  /** Whether somebody waits for a proposal that was handed to nobody yet; one who gave up is done with. */
  #isWanted(idHi: number, idLo: number): boolean {
    const call = idHi === this.#requestIdHi ? this.#pending.peek(idLo) : undefined;
    if (call?.cancelled === true) this.#pending.take(idLo)?.fail(STATUS.requestCanceled);
    return call?.cancelled === false;
  }

  #internalRequest(kind: number, bytes: Uint8Array, start: number, end: number): ByteWriter {
    const scratch = this.#scratch;
    scratch.reset();
    beginRequest(scratch, this.#requestIdHi, 0);
    writeRequestBody(scratch, kind, bytes, start, end);
    return scratch;
  }

  proposeConfChange(call: Call, type: number, id: Id64, context: Uint8Array): void {
    if (!this.#pending.hasRoom) return call.fail(STATUS.tooManyRequests);
    const sequence = this.#pending.add(call, this.#member.nowMs);
    const change = confChange([{ type, id }], context, { hi: this.#requestIdHi, lo: sequence });
    const refusal = this.#appendConfChange(change, sequence);
    if (refusal === undefined) return;
    this.#pending.take(sequence);
    call.fail(refusal);
  }

  /** `sequence` is the waiting call's; 0 when nobody waits. */
  #append(bytes: Uint8Array, sizeBytes: number, sequence: number): Status | undefined {
    const { raft } = this.#member;
    if (raft.propose(bytes, 0, sizeBytes) > 0) {
      if (sequence !== 0) this.#pending.noteAppended(sequence, raft.term);
      return undefined;
    }
    return this.#appendElsewhere(bytes, sizeBytes, sequence);
  }

  // Without a leader the proposal waits here, as in etcd, until there is one or the call's time is over.
  #appendElsewhere(bytes: Uint8Array, sizeBytes: number, sequence: number): Status | undefined {
    const { refusal } = this.#member.raft;
    if (refusal === "notLeader" && this.#member.raft.hasTaker) {
      const number = this.#member.raft.forward(ENTRY_NORMAL, bytes, 0, sizeBytes);
      if (number > 0 && sequence !== 0) this.#pending.noteForwarded(sequence, number);
      if (number > 0) return undefined;
      if (this.#member.raft.refusal === "tooMuch") return STATUS.tooManyRequests;
    } else if (refusal === "tooMuch") return STATUS.tooManyRequests;
    return this.#member.housekeeping.park(bytes, sizeBytes) ? undefined : STATUS.tooManyRequests;
  }

  #appendConfChange(change: ConfChange, sequence: number): Status | undefined {
    const { raft, hasLeader } = this.#member;
    if (raft.proposeConfChange(change) > 0) {
      this.#pending.noteAppended(sequence, raft.term);
      return undefined;
    }
    if (raft.refusal !== "notLeader" || !hasLeader) return STATUS.unhealthy;
    const encoded = encodeConfChange(change);
    const number = raft.forward(confChangeEntryType(change), encoded, 0, encoded.length);
    if (number === 0) return STATUS.unhealthy;
    this.#pending.noteForwarded(sequence, number);
    return undefined;
  }

  /**
   * The first entry of a term is applied here: what was handed on before that term and waits still is in no log that counts
   * (`forwardNumberBefore`), and its caller may try again. Else it would wait, and take a later write's place, until its time is over.
   */
  termOpened(term: number): void {
    const { raft, counters } = this.#member;
    // A later term has begun meanwhile: its first entry will say the same, of more.
    if (term !== raft.term) return;
    this.#pending.takeHandedBefore(raft.forwardNumberBefore, raft.term, (call) => {
      counters.proposalsFailed.add(1);
      call.fail(STATUS.leaderChanged);
    });
  }

  /** The call that waits for the request with this id; undefined when it is another member's, or nobody waits. */
  takeWaiting(idHi: number, idLo: number): Call | undefined {
    return idHi === this.#requestIdHi && idLo !== 0 ? this.#pending.take(idLo) : undefined;
  }
}
