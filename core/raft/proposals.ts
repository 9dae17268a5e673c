// Proposals: of this member's clients at the leader, and those that followers forward.
//
// A proposal is forwarded exactly once, as part of a message that carries a name (term, incarnation, number); the
// leader takes every name at most once, so that a message that arrives twice is no second write. Nobody here repeats a
// proposal whose fate is not known. Refused is only what was certainly not appended; when that was because the leader hands over, the
// proposals come back here and go to the next one, so that a graceful move fails nobody.

import { assert } from "../base/assert.ts";
import type { Id64 } from "../base/ids.ts";
import { WireError } from "../wire/reader.ts";
import { decodeConfChange } from "./conf-change.ts";
import { EntryBatch, EntryCursor } from "./entry-batch.ts";
import { ENTRY_NORMAL } from "./log.ts";
import { checkChange } from "./membership.ts";
import { MESSAGE_FORWARD, MESSAGE_FORWARD_REFUSED, type RaftMessage } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { RaftState, Refusal, SentForward } from "./state.ts";

const cursor = new EntryCursor();

/** Messages that are kept until a leader may have refused them: what is on the way in some milliseconds, however busy. */
const SENT_COUNT_MAX = 64;
const SENT_BYTES_MAX = 1024 * 1024;

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
  if (!hasTaker(state)) {
    state.refusal = state.leaderLeavesTerm === state.term ? "transferring" : "noLeader";
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
  const to = takerOf(state);
  if (state.role === "leader" || (to.hi === 0 && to.lo === 0)) {
    // The leader went away since; nothing was sent.
    giveBack(state, { number: state.forwardNumber, batch });
    state.forwardBatch = new EntryBatch();
    return;
  }
  const message = state.send(MESSAGE_FORWARD, to);
  message.incarnation = state.incarnation;
  message.sequence = state.forwardNumber;
  message.batch = batch;
  state.forwardBatch = new EntryBatch();
  keepSent(state, { number: state.forwardNumber, batch });
}

function keepSent(state: RaftState, sent: SentForward): void {
  const { sentForwards } = state;
  sentForwards.push(sent);
  state.sentForwardBytes += sent.batch.sizeBytes;
  while (sentForwards.length > SENT_COUNT_MAX || state.sentForwardBytes > SENT_BYTES_MAX)
    state.sentForwardBytes -= sentForwards.shift()!.batch.sizeBytes;
}

/**
 * To whom proposals go: the leader, or whom it has chosen to follow it, once this member has voted for that one. They travel behind the vote,
 * and are in the first append of the new leader; if it is none, they come back. 0:0: nobody is known.
 */
function takerOf(state: RaftState): Id64 {
  const isLed = state.leader.hi !== 0 || state.leader.lo !== 0;
  // Who campaigns has waited for it in vain.
  const isExpected = state.role === "follower" && state.successorTerm === state.term;
  return isLed || !isExpected ? state.leader : state.vote;
}

/** Whether a follower's proposals have somewhere to go. A leader that has said that it hands over takes none. */
export function hasTaker(state: RaftState): boolean {
  const { hi, lo } = takerOf(state);
  return (hi !== 0 || lo !== 0) && state.leaderLeavesTerm !== state.term;
}

/** What was certainly not appended goes to the next leader. A change of the configuration was meant for the state that its caller saw. */
function giveBack(state: RaftState, { number, batch }: SentForward): void {
  cursor.reset(batch);
  const isChange = cursor.next() && cursor.type !== ENTRY_NORMAL;
  if (isChange) state.forwardsRefused.push(number);
  else state.forwardsReturned.push(batch);
}

/** Leader: proposals of a follower's clients. All of a message's or none. */
export function onForward(state: RaftState, message: RaftMessage): void {
  const member = state.tracker.find(message.fromHi, message.fromLo);
  const batch = message.batch;
  assert(batch !== undefined, "a decoded forward has a batch");
  if (member === undefined || !takeName(member, message)) return;
  const refusal = proposalRefusal(state, batch.count, batch.sizeBytes);
  if (refusal !== "none" || !changesAreAllowed(state, batch)) return refuse(state, message, refusal);
  cursor.reset(batch);
  while (cursor.next()) state.log.append(cursor.type, state.term, cursor.bytes, cursor.start, cursor.end);
  member.wantedCommit = state.log.lastIndex;
}

/**
 * Proposals for a term that is over. If this member led it and has not taken their name, it never will: the caller need not wait until
 * its time is over. Of other terms nothing is known.
 */
export function onLateForward(state: RaftState, message: RaftMessage): void {
  const member = state.tracker.find(message.fromHi, message.fromLo);
  if (message.term !== state.ledTerm || member === undefined || !takeName(member, message)) return;
  refuse(state, message, "notLeader");
}

/** From here on the message's name is taken: a refusal stays true when it arrives once more. False: it was taken before. */
function takeName(member: Progress, message: RaftMessage): boolean {
  const { incarnation, sequence } = message;
  if (incarnation < member.forwardIncarnation) return false;
  if (incarnation === member.forwardIncarnation && sequence <= member.forwardNumber) return false;
  member.forwardIncarnation = incarnation;
  member.forwardNumber = sequence;
  return true;
}

function refuse(state: RaftState, message: RaftMessage, refusal: Refusal): void {
  const answer = state.send(MESSAGE_FORWARD_REFUSED, { hi: message.fromHi, lo: message.fromLo });
  answer.incarnation = message.incarnation;
  answer.sequence = message.sequence;
  answer.reject = refusal === "transferring" || refusal === "notLeader";
  // A candidate may be the leader by the time that this arrives.
  answer.force = answer.reject && state.role !== "candidate";
}

export function onForwardRefused(state: RaftState, message: RaftMessage): void {
  if (message.incarnation !== state.incarnation || message.sequence > state.forwardNumber) return;
  const { sentForwards } = state;
  const at = sentForwards.findIndex((sent) => sent.number === message.sequence);
  const sent = at < 0 ? undefined : sentForwards.splice(at, 1)[0]!;
  if (sent !== undefined) state.sentForwardBytes -= sent.batch.sizeBytes;
  if (message.reject && message.term === state.term) noteRefusal(state, message);
  if (message.reject && sent !== undefined) giveBack(state, sent);
  else state.forwardsRefused.push(message.sequence);
}

/** Whoever does not take proposals now is asked again when it leads; a leader that hands over, after an election timeout in vain. */
function noteRefusal(state: RaftState, message: RaftMessage): void {
  state.successorTerm = -1;
  if (!message.force || message.fromHi !== state.leader.hi || message.fromLo !== state.leader.lo) return;
  state.leaderLeavesTerm = state.term;
  state.leaderLeavesUntilMs = state.nowMs + state.electionMs;
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
