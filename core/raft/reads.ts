// Linearizable reads (Raft thesis 6.4): one confirmation for all reads of a turn.
//
// Leader: reads collect in `readContexts`; the next output closes them into a group, notes the commit index, and sends one
// heartbeat with a new sequence number; when a quorum has answered that number or a later one, nobody else can have been elected when it
// was sent, and the group may be answered from a state that has applied the noted index. The number is the leader's own and
// new for each group: a caller's number could repeat, and an old answer would confirm a new read (trap R3).
//
// Follower: the group travels to the leader as one message under a name (incarnation, number) that is never used again. The message says
// that its sender was in this term after each of the reads began, as an answer to a heartbeat would: where leader and sender are
// a quorum, it is its own confirmation, and nobody else is asked.
//
// Whatever cannot be confirmed is handed back as aborted; asking again makes a new name.

import { assert } from "../base/assert.ts";
import type { RaftMessage } from "./message.ts";
import { MESSAGE_READ_INDEX, MESSAGE_READ_INDEX_REPLY } from "./message.ts";
import { sendHeartbeats } from "./heartbeat.ts";
import type { PendingReads, RaftState, RemoteRead } from "./state.ts";

/** Takes a read of this member's clients; false when too many wait. */
export function addRead(state: RaftState, context: number): boolean {
  if (state.readCount >= state.limits.raftReadCountMax) return false;
  state.readCount++;
  state.readContexts.push(context);
  return true;
}

/** Part of every output: closes the group of this turn. */
export function flushReads(state: RaftState): void {
  if (state.role === "leader") return flushAtLeader(state);
  if (state.readContexts.length === 0) return;
  if (state.leader.hi === 0 && state.leader.lo === 0) return abort(state, takeContexts(state));
  state.readNumber++;
  const message = state.send(MESSAGE_READ_INDEX, state.leader);
  message.incarnation = state.incarnation;
  message.sequence = state.readNumber;
  state.sentReads.push({
    number: state.readNumber,
    contexts: takeContexts(state),
    deadlineMs: state.nowMs + state.electionMs,
  });
}

/** Leader: a follower's group. It waits with the reads of this turn, unless the question itself confirms it. */
export function onReadIndex(state: RaftState, message: RaftMessage): void {
  if (state.role !== "leader") return; // the follower's deadline hands the reads back
  const read: RemoteRead = {
    hi: message.fromHi,
    lo: message.fromLo,
    incarnation: message.incarnation,
    number: message.sequence,
  };
  const member = state.tracker.find(message.fromHi, message.fromLo);
  if (state.commitIndex >= state.termFirstIndex && state.tracker.isQuorumOfTwo(state.self, member))
    return replyTo(state, read, state.commitIndex);
  if (state.readCount >= state.limits.raftReadCountMax) return;
  state.readCount++;
  // What the read will need, if it is held back, goes out while the read is being confirmed.
  member?.wants(state.commitIndex);
  openGroup(state).remote.push(read);
}

/** Follower: the leader confirmed a group. */
export function onReadIndexReply(state: RaftState, message: RaftMessage): void {
  if (message.incarnation !== state.incarnation) return; // meant for an earlier life of this member
  const at = state.sentReads.findIndex((sent) => sent.number === message.sequence);
  if (at < 0) return; // answered before, or aborted
  const sent = state.sentReads.splice(at, 1)[0]!;
  state.readCount -= sent.contexts.length;
  state.readsReady.push({ index: message.index, contexts: sent.contexts });
}

/** Leader: a quorum may have answered further heartbeats. */
export function confirmReads(state: RaftState): void {
  const pending = state.pendingReads;
  if (pending.length === 0 || pending[0]!.sequence === 0) return;
  const confirmed = state.tracker.quorumSequence();
  while (pending.length > 0 && pending[0]!.sequence !== 0 && pending[0]!.sequence <= confirmed) {
    release(state, pending.shift()!);
  }
}

/** Hands back every own read that waits: the leader changed, or there is none. */
export function abortReads(state: RaftState): void {
  for (const group of state.pendingReads) {
    state.readCount -= group.remote.length;
    abort(state, group.contexts);
  }
  state.pendingReads.length = 0;
  for (const sent of state.sentReads) abort(state, sent.contexts);
  state.sentReads.length = 0;
  abort(state, takeContexts(state));
  assert(state.readCount === 0, "no read is lost or counted twice");
}

/** Hands back reads that the leader did not answer for an election timeout. */
export function expireReads(state: RaftState): void {
  while (state.sentReads.length > 0 && state.sentReads[0]!.deadlineMs <= state.nowMs) {
    abort(state, state.sentReads.shift()!.contexts);
  }
}

function flushAtLeader(state: RaftState): void {
  const pending = state.pendingReads;
  if (state.readContexts.length > 0) {
    const group = openGroup(state);
    const contexts = takeContexts(state);
    if (group.contexts.length === 0) group.contexts = contexts;
    else for (let i = 0; i < contexts.length; i++) group.contexts.push(contexts[i]!);
  }
  if (pending.length === 0) return;
  const group = pending[pending.length - 1]!;
  if (group.sequence !== 0) return;
  // A new leader does not know what is committed until an entry of its own term is (thesis 6.4 step 1; R2).
  if (state.commitIndex < state.termFirstIndex) return;
  group.index = state.commitIndex;
  group.sequence = ++state.heartbeatSequence;
  if (state.tracker.isSoleVoter(state.self)) {
    release(state, pending.pop()!);
    return;
  }
  sendHeartbeats(state, { votersOnly: true });
}

/** The group that still takes reads. */
function openGroup(state: RaftState): PendingReads {
  const pending = state.pendingReads;
  if (pending.length > 0 && pending[pending.length - 1]!.sequence === 0) return pending[pending.length - 1]!;
  const group: PendingReads = { sequence: 0, index: 0, contexts: [], remote: [] };
  pending.push(group);
  return group;
}

function release(state: RaftState, group: PendingReads): void {
  assert(group.sequence > 0, "only a closed group is answered");
  assert(group.index <= state.commitIndex, "a read index is committed");
  state.readCount -= group.contexts.length + group.remote.length;
  if (group.contexts.length > 0) state.readsReady.push({ index: group.index, contexts: group.contexts });
  for (const remote of group.remote) replyTo(state, remote, group.index);
}

function replyTo(state: RaftState, read: RemoteRead, index: number): void {
  const message = state.send(MESSAGE_READ_INDEX_REPLY, read);
  message.incarnation = read.incarnation;
  message.sequence = read.number;
  message.index = index;
  state.tracker.find(read.hi, read.lo)?.wants(index);
}

function takeContexts(state: RaftState): number[] {
  const contexts = state.readContexts;
  if (contexts.length > 0) state.readContexts = [];
  return contexts;
}

function abort(state: RaftState, contexts: readonly number[]): void {
  state.readCount -= contexts.length;
  for (let i = 0; i < contexts.length; i++) state.readsAborted.push(contexts[i]!);
}
