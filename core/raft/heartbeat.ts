// Heartbeats of the leader, and what it learns from their answers.

import { assert } from "../base/assert.ts";
import { MESSAGE_HEARTBEAT } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { RaftState } from "./state.ts";

/** One heartbeat to everybody, with the current sequence number; learners do not count and are left out of confirmations. */
export function sendHeartbeats(state: RaftState, options: { readonly votersOnly: boolean }): void {
  assert(state.role === "leader", "only a leader sends heartbeats");
  const members = state.tracker.members;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (member === state.self) continue;
    if (options.votersOnly && member.isLearner) continue;
    sendHeartbeat(state, member, state.heartbeatSequence);
  }
}

/** Sequence 0 asks for no answer: it only tells the commit index. */
export function sendHeartbeat(state: RaftState, member: Progress, sequence: number): void {
  const message = state.send(MESSAGE_HEARTBEAT, member);
  message.sequence = sequence;
  // Never more than the peer is known to have: it may lack, or have others in place of, later entries (R13).
  message.commit = Math.min(state.commitIndex, member.match);
  if (message.commit > member.sentCommit) member.sentCommit = message.commit;
}
