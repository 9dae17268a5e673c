// Proposals: of this member's clients at the leader, and those that followers forward.
//
// A proposal is forwarded exactly once, as part of a message that carries a name (term, incarnation, number); the
// leader takes every name at most once, so that a message that arrives twice is no second write. Nobody here repeats a
// proposal whose fate is not known. Refused is only what was certainly not appended.

import { assert } from "../base/assert.ts";
import { WireError } from "../wire/reader.ts";
import { decodeConfChange } from "./conf-change.ts";
import { EntryBatch, EntryCursor } from "./entry-batch.ts";
import { ENTRY_NORMAL } from "./log.ts";
import { checkChange } from "./membership.ts";
import { MESSAGE_FORWARD, MESSAGE_FORWARD_REFUSED, type RaftMessage } from "./message.ts";
import type { RaftState, Refusal } from "./state.ts";

const cursor = new EntryCursor();

/** Whether a leader may append so much now. */
export function proposalRefusal(state: RaftState, count: number, sizeBytes: number): Refusal {
  if (state.role !== "leader") return "notLeader";
  if (state.transferTarget !== undefined) return "transferring";
  return hasRoom(state, count, sizeBytes) ? "none" : "tooMuch";
}

/** Whether proposals fit beside those that are not applied. Computed from the log, so that nothing can leak (R27). */
function hasRoom(state: RaftState, count: number, sizeBytes: number): boolean {
  const log = state.log;
  if (log.lastIndex - state.appliedIndex + count > state.limits.proposalCountMax) return false;
  const waiting = log.totalBytes(log.lastIndex) - log.totalBytes(state.appliedIndex);
  // One always fits, however small the limit is.
  return waiting === 0 || waiting + sizeBytes <= state.limits.proposalBytesMax;
}

/** Adds a proposal to the message of this turn; returns the message's number, or 0. */
// Five parameters, as everywhere on the way of an entry: no object per proposal.
export function forward(
  state: RaftState,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  assert(state.role !== "leader", "a leader proposes itself");
  if (state.leader.hi === 0 && state.leader.lo === 0) {
    state.refusal = "noLeader";
    return 0;
  }
  const size = end - start;
  if (state.forwardedBytes + size > state.limits.proposalBytesMax) {
    state.refusal = "tooMuch";
    return 0;
  }
  state.refusal = "none";
  state.forwardedBytes += size;
  // A configuration change travels alone, so that its refusal concerns nothing else.
  const isFull = state.forwardBatch.sizeBytes + size > state.limits.raftAppendBytesMax;
  if (isFull || type !== ENTRY_NORMAL) flushForwards(state);
  state.forwardBatch.add(type, 0, bytes, start, end);
  const number = state.forwardNumber + 1;
  if (type !== ENTRY_NORMAL) flushForwards(state);
  return number;
}

/** Part of every output: the message with this turn's proposals. */
export function flushForwards(state: RaftState): void {
  const batch = state.forwardBatch;
  if (batch.count === 0) return;
  state.forwardNumber++;
  if (state.role === "leader" || (state.leader.hi === 0 && state.leader.lo === 0)) {
    // The leader went away since; nothing was sent.
    state.forwardsRefused.push(state.forwardNumber);
    return batch.clear();
  }
  const message = state.send(MESSAGE_FORWARD, state.leader);
  message.incarnation = state.incarnation;
  message.sequence = state.forwardNumber;
  message.batch = batch;
  state.forwardBatch = new EntryBatch();
}

/** Leader: proposals of a follower's clients. All of a message's or none. */
export function onForward(state: RaftState, message: RaftMessage): void {
  const member = state.tracker.find(message.fromHi, message.fromLo);
  const batch = message.batch;
  assert(batch !== undefined, "a decoded forward has a batch");
  if (member === undefined || message.incarnation < member.forwardIncarnation) return;
  if (message.incarnation === member.forwardIncarnation && message.sequence <= member.forwardNumber) return;
  // From here on this name is taken: a refusal stays true when the message arrives once more.
  member.forwardIncarnation = message.incarnation;
  member.forwardNumber = message.sequence;
  if (proposalRefusal(state, batch.count, batch.sizeBytes) !== "none" || !changesAreAllowed(state, batch)) {
    const answer = state.send(MESSAGE_FORWARD_REFUSED, member);
    answer.incarnation = message.incarnation;
    answer.sequence = message.sequence;
    return;
  }
  cursor.reset(batch);
  while (cursor.next()) state.log.append(cursor.type, state.term, cursor.bytes, cursor.start, cursor.end);
  member.wantedCommit = state.log.lastIndex;
}

export function onForwardRefused(state: RaftState, message: RaftMessage): void {
  if (message.incarnation !== state.incarnation || message.sequence > state.forwardNumber) return;
  state.forwardsRefused.push(message.sequence);
}

/** A configuration change comes alone and must be one that we would propose ourselves. */
function changesAreAllowed(state: RaftState, batch: EntryBatch): boolean {
  cursor.reset(batch);
  while (cursor.next()) {
    if (cursor.type === ENTRY_NORMAL) continue;
    if (batch.count !== 1) return false;
    try {
      const change = decodeConfChange(cursor.type, cursor.bytes, cursor.start, cursor.end);
      return checkChange(state, change) === "none";
    } catch (error) {
      if (error instanceof WireError) return false;
      throw error;
    }
  }
  return true;
}
