// What a leader does when time passes: heartbeats, check-quorum (thesis 6.2), leader transfer (thesis 3.10).

import { assert } from "../base/assert.ts";
import { ID64_ZERO, type Id64 } from "../base/ids.ts";
import { sendHeartbeats } from "./heartbeat.ts";
import type { Progress } from "./progress.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState, Refusal } from "./state.ts";

export function onLeaderDeadline(state: RaftState): void {
  assert(state.role === "leader", "a leader's deadlines are a leader's");
  if (state.nowMs >= state.quorumDeadlineMs && !checkQuorum(state)) return;
  if (state.nowMs >= state.transferDeadlineMs) abortTransfer(state);
  if (state.nowMs < state.heartbeatDeadlineMs) return;
  sendHeartbeats(state, { votersOnly: false });
  state.heartbeatDeadlineMs += state.heartbeatMs;
  // After a pause one heartbeat makes up for all that were missed.
  if (state.heartbeatDeadlineMs <= state.nowMs) state.heartbeatDeadlineMs = state.nowMs + state.heartbeatMs;
  checkDisk(state);
}

/** A leader that has not heard a quorum for an election timeout steps down: another one may have been elected. */
function checkQuorum(state: RaftState): boolean {
  const contactMs = state.tracker.quorumContactMs();
  if (state.nowMs - contactMs >= state.electionMs) {
    becomeFollower(state, state.term, ID64_ZERO);
    return false;
  }
  state.quorumDeadlineMs = contactMs + state.electionMs;
  return true;
}

/** A leader that cannot write for an election timeout hands over: it can commit through others, but not apply. */
function checkDisk(state: RaftState): void {
  if (state.nowMs - state.persistence.oldestMs < state.electionMs || state.transferTarget !== undefined)
    return;
  const target = transferCandidate(state);
  if (target !== undefined) startTransfer(state, target);
}

/** The voter that can take over soonest; undefined when none was heard for an election timeout. */
export function transferCandidate(state: RaftState): Progress | undefined {
  let best: Progress | undefined = undefined;
  for (const member of state.tracker.members) {
    if (member === state.self || !member.isVoter) continue;
    if (state.nowMs - member.contactMs >= state.electionMs) continue;
    if (best === undefined || member.match > best.match) best = member;
  }
  return best;
}

/** Hands leadership over: no proposals from now on; once the target has everything it is told to campaign. */
export function transferLeader(state: RaftState, id: Id64): boolean {
  state.refusal = transferRefusal(state, id);
  if (state.refusal !== "none") return false;
  const target = state.tracker.find(id.hi, id.lo)!;
  if (target !== state.transferTarget) startTransfer(state, target);
  return true;
}

/** Whether this member may take over: only a voter, and not the leader itself. */
export function transferRefusal(state: RaftState, id: Id64): Refusal {
  if (state.role !== "leader") return "notLeader";
  const target = state.tracker.find(id.hi, id.lo);
  return target === undefined || target === state.self || !target.isVoter ? "invalidTarget" : "none";
}

function startTransfer(state: RaftState, target: Progress): void {
  assert(target !== state.self, "leadership is handed to somebody else");
  state.transferTarget = target;
  state.transferOrdered = false;
  // A target that does not take over within an election timeout never will.
  state.transferDeadlineMs = state.nowMs + state.electionMs;
}

export function abortTransfer(state: RaftState): void {
  state.transferTarget = undefined;
  state.transferOrdered = false;
  state.votesAhead = false;
  state.transferDeadlineMs = Infinity;
}
