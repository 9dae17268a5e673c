// The leader's side of replication (Raft 5.3, 5.4.2): what to send to whom, and what answers mean.

import { assert } from "../base/assert.ts";
import { EntryBatch } from "./entry-batch.ts";
import { sendHeartbeat } from "./heartbeat.ts";
import { MESSAGE_APPEND, MESSAGE_TIMEOUT_NOW, type RaftMessage } from "./message.ts";
import type { Progress } from "./progress.ts";
import { confirmReads } from "./reads.ts";
import { mayVoteAhead } from "./election.ts";
import { chooseSpared, isHeldBack } from "./sparing.ts";
import type { RaftState } from "./state.ts";

/** Appends on the way to one peer that were read from storage: enough to hide the link, and little work per turn. */
const STORED_INFLIGHT_COUNT_MAX = 2;

/** More of the leader's own log is durable. */
export function onSelfDurable(state: RaftState): void {
  assert(state.role === "leader", "only a leader counts");
  const self = state.self;
  if (self === undefined) return;
  const durable = state.persistence.durableIndex;
  if (durable <= self.match) return;
  self.match = durable;
  if (self.next <= durable) self.next = durable + 1;
  maybeCommit(state);
}

/** Commits what a quorum has durably, if it is of the own term (Raft 5.4.2, figure 8; R1). */
export function maybeCommit(state: RaftState): void {
  const index = state.tracker.quorumMatch();
  if (index <= state.commitIndex || index < state.termFirstIndex) return;
  assert(index !== Infinity, "a leader has voters");
  assert(state.log.term(index) === state.term, "entries from the leader's first on are of its term");
  state.commitTo(index);
}

/** Part of every output: to each peer whatever it may get. */
export function replicate(state: RaftState): void {
  const members = state.tracker.members;
  chooseSpared(state);
  state.heldMs = Infinity;
  const isDue = state.limits.commitNoticeDelayMs === 0 || state.nowMs >= state.commitNoticeMs;
  let isWaiting = false;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (member === state.self) continue;
    if (!isHeldBack(state, member)) while (sendAppend(state, member));
    if (!lacksCommit(state, member)) continue;
    if (isDue || member.sentCommit < member.wantedCommit) sendHeartbeat(state, member, 0);
    else isWaiting = true;
  }
  if (!isWaiting) state.commitNoticeMs = Infinity;
  else if (state.commitNoticeMs === Infinity)
    state.commitNoticeMs = state.nowMs + state.limits.commitNoticeDelayMs;
  const target = state.transferTarget;
  if (target === undefined || state.transferOrdered || target.match < state.log.lastIndex) return;
  // The target has everything, and nothing is added meanwhile (R29).
  state.send(MESSAGE_TIMEOUT_NOW, target);
  state.transferOrdered = true;
  state.votesAhead = mayVoteAhead(state, target);
}

/** One append, if the peer may get one; returns whether it is worth asking again. */
function sendAppend(state: RaftState, member: Progress): boolean {
  const log = state.log;
  if (member.paused || member.state === "snapshot") return false;
  if (member.next > log.lastIndex) {
    // Nothing new. In probe, where the logs agree may still have to be found out.
    if (member.state === "probe" && member.match < member.next - 1) sendProbe(state, member);
    return false;
  }
  if (member.state === "replicate" && member.isFull) return false;
  if (member.next - 1 < log.compactedIndex) {
    member.becomeSnapshot();
    return false;
  }
  if (member.next < log.memoryFirst) return sendStored(state, member);
  const first = member.next;
  const last = log.lastWithin(first, log.lastIndex, state.limits.raftAppendBytesMax);
  const message = append(state, member);
  message.entriesFirst = first;
  message.entriesLast = last;
  noteSent(state, member, last, log.totalBytes(last) - log.totalBytes(first - 1));
  return member.state === "replicate" && last < log.lastIndex;
}

/** The peer lags behind the memory tail: entries come from storage. */
function sendStored(state: RaftState, member: Progress): boolean {
  if (member.inflightCount >= STORED_INFLIGHT_COUNT_MAX) return false;
  const first = member.next;
  const batch = new EntryBatch();
  const bytesMax = state.limits.raftAppendBytesMax;
  const found = state.storage?.readEntries(first, state.log.memoryFirst - 1, bytesMax, batch) === true;
  if (!found || batch.count === 0) {
    member.becomeSnapshot();
    return false;
  }
  const last = first + batch.count - 1;
  assert(last < state.log.memoryFirst, "storage gives what was asked for");
  append(state, member).batch = batch;
  noteSent(state, member, last, batch.sizeBytes);
  return member.state === "replicate";
}

/** An append without entries: its answer tells whether the logs agree before `next`. */
export function sendProbe(state: RaftState, member: Progress): void {
  if (member.next - 1 < state.log.compactedIndex) return member.becomeSnapshot();
  append(state, member);
  member.sentMs = state.nowMs;
  if (member.state === "probe") member.paused = true;
}

function append(state: RaftState, member: Progress): RaftMessage {
  const previous = member.next - 1;
  const message = state.send(MESSAGE_APPEND, member);
  message.index = previous;
  message.logTerm = state.log.term(previous);
  message.commit = state.commitIndex;
  return message;
}

function noteSent(state: RaftState, member: Progress, last: number, bytes: number): void {
  member.sent(last, bytes, state.nowMs);
  const commit = Math.min(state.commitIndex, last);
  if (commit > member.sentCommit) member.sentCommit = commit;
}

/**
 * The commit index advanced and nothing has carried it to the peer. It is told without asking for an answer: at once when a client
 * waits there, else when no append has taken it along for a while.
 */
function lacksCommit(state: RaftState, member: Progress): boolean {
  return member.sentCommit < state.commitIndex && member.sentCommit < member.match;
}

export function onAppendReply(state: RaftState, message: RaftMessage): void {
  const member = state.tracker.find(message.fromHi, message.fromLo);
  if (state.role !== "leader" || member === undefined || member === state.self) return;
  member.contactMs = state.nowMs;
  if (message.reject) return onRejected(state, member, message);
  if (message.index > state.log.lastIndex) return; // no member of ours says that
  const news = member.acknowledged(message.index, state.nowMs);
  if (member.state === "probe" && message.index === member.match) member.becomeReplicate();
  // As soon as the logs meet again, whatever the snapshot on its way was.
  else if (member.state === "snapshot" && member.match >= state.log.compactedIndex) member.becomeReplicate();
  if (news) maybeCommit(state);
}

function onRejected(state: RaftState, member: Progress, message: RaftMessage): void {
  let hint = message.hintIndex;
  // Our part of skipping terms: nothing after this can agree with the peer's hint.
  if (message.hintTerm > 0) hint = state.log.lastIndexWithTermAtMost(hint, message.hintTerm);
  member.rejected(message.index, hint);
}

export function onHeartbeatReply(state: RaftState, message: RaftMessage): void {
  const member = state.tracker.find(message.fromHi, message.fromLo);
  if (state.role !== "leader" || member === undefined || member === state.self) return;
  member.contactMs = state.nowMs;
  if (message.sequence > member.ackedSequence && message.sequence <= state.heartbeatSequence) {
    member.ackedSequence = message.sequence;
    confirmReads(state);
  }
  if (state.nowMs - member.sentMs < state.heartbeatMs) return;
  // The peer is there, and nothing was sent to it for a while: what is unanswered may be lost.
  if (member.state === "probe") member.paused = false;
  else if (member.state === "replicate" && member.match < member.next - 1) sendProbe(state, member);
}
