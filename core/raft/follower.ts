// The follower's side of replication (Raft 5.3): appends, heartbeats, snapshots.

import { assert } from "../base/assert.ts";
import { EntryCursor } from "./entry-batch.ts";
import { MESSAGE_APPEND_REPLY, MESSAGE_HEARTBEAT_REPLY, type RaftMessage } from "./message.ts";
import { QUICK_RETRY_COUNT, type RaftState } from "./state.ts";

const cursor = new EntryCursor();

/** The leader of this term was heard: its lease holds again. */
function onContact(state: RaftState): void {
  assert(state.role === "follower", "one leader per term (Raft 5.2)");
  state.leaderContactMs = state.nowMs;
  state.leaseVoid = false;
  state.quickRetries = QUICK_RETRY_COUNT;
  state.electionDeadlineMs = state.nowMs + state.electionTimeoutMs;
}

export function onAppend(state: RaftState, message: RaftMessage): void {
  onContact(state);
  const batch = message.batch;
  assert(batch !== undefined, "a decoded append has a batch");
  const last = message.index + batch.count;
  if (last <= state.commitIndex) {
    // All of it is committed, so we have it: the leader of any later term does, and ours (Raft 5.4.3).
    return owe(state, state.commitIndex);
  }
  // Up to the commit index both logs are equal, whatever is known of the entry before (it may be compacted).
  const skip = Math.max(0, state.commitIndex - message.index);
  if (skip === 0 && !state.log.matches(message.index, message.logTerm)) return reject(state, message);
  appendNew(state, message, skip);
  assert(state.log.lastIndex >= last, "the entries are there now");
  // The leader waits for the new entries; what was durable before them is no news of its own.
  if (batch.count > 0)
    state.ackedIndex = Math.max(state.ackedIndex, Math.min(message.index, state.persistence.durableIndex));
  owe(state, last);
  state.commitTo(Math.min(message.commit, last));
}

/** Keeps what is equal, and replaces from the first difference on: an old message must not cut off what came later (R22). */
function appendNew(state: RaftState, message: RaftMessage, skip: number): void {
  const log = state.log;
  cursor.reset(message.batch!);
  let index = message.index;
  let appending = index >= log.lastIndex;
  while (cursor.next()) {
    index++;
    if (index <= message.index + skip) continue;
    if (!appending) {
      if (index > log.lastIndex) appending = true;
      else if (log.term(index) === cursor.term) continue;
      else {
        assert(index > state.commitIndex, "what is committed is never replaced (Raft 5.4.3)");
        assert(index > state.matchedIndex, "a leader never replaces its own entries (Raft 5.3)");
        log.truncateAfter(index - 1);
        state.persistence.truncateAfter(index - 1);
        appending = true;
      }
    }
    const appended = log.append(cursor.type, cursor.term, cursor.bytes, cursor.start, cursor.end);
    assert(appended === index, "entries are appended where they belong");
  }
}

/** The logs are equal up to `index`; the leader hears of it once that is durable here. */
function owe(state: RaftState, index: number): void {
  if (index > state.matchedIndex) state.matchedIndex = index;
  state.ackOwed = true;
}

/** Names the last place at which the logs can be equal, so that the leader skips whole terms (Raft 5.3, end). */
function reject(state: RaftState, message: RaftMessage): void {
  const log = state.log;
  const hint = log.lastIndexWithTermAtMost(Math.min(message.index, log.lastIndex), message.logTerm);
  const answer = state.send(MESSAGE_APPEND_REPLY, { hi: message.fromHi, lo: message.fromLo });
  answer.reject = true;
  answer.index = message.index;
  answer.hintIndex = hint;
  answer.hintTerm = log.term(hint);
}

/**
 * Part of every output: acknowledges what is durable, all appends since the last time in one message. Until then nothing
 * is said (R7).
 */
export function flushAck(state: RaftState): void {
  if (state.role !== "follower" || !state.persistence.hardStateDurable) return;
  if (state.leader.hi === 0 && state.leader.lo === 0) return;
  const durable = Math.min(state.matchedIndex, state.persistence.durableIndex);
  const complete = durable === state.matchedIndex;
  if (durable <= state.ackedIndex && !(state.ackOwed && complete)) return;
  const message = state.send(MESSAGE_APPEND_REPLY, state.leader);
  message.index = durable;
  state.ackedIndex = durable;
  if (complete) state.ackOwed = false;
}

export function onHeartbeat(state: RaftState, message: RaftMessage): void {
  onContact(state);
  state.commitTo(message.commit);
  if (message.sequence === 0) return;
  const answer = state.send(MESSAGE_HEARTBEAT_REPLY, state.leader);
  answer.sequence = message.sequence;
}

/** The driver has received a snapshot's data from the leader. */
export function onSnapshot(state: RaftState, message: RaftMessage): void {
  onContact(state);
  const confState = message.confState;
  assert(confState !== undefined, "a decoded snapshot has a configuration");
  if (message.index <= state.commitIndex) return owe(state, state.commitIndex); // overtaken by appends (R24)
  if (state.snapshot !== undefined) return; // one after the other; the leader tries again
  if (state.log.matches(message.index, message.logTerm)) {
    // The log got there by itself: nothing to install.
    owe(state, message.index);
    return state.commitTo(message.index);
  }
  state.log.reset(message.index, message.logTerm);
  state.persistence.reset(message.index);
  state.commitIndex = message.index;
  state.snapshot = { index: message.index, term: message.logTerm, confState };
  state.snapshotSequence = 0;
  owe(state, message.index);
}
