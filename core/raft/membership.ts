// Changes of the configuration (Raft thesis 4): checked when proposed, in force when applied.

import { assert } from "../base/assert.ts";
import { ID64_ZERO } from "../base/ids.ts";
import { type ConfChange, confChangeEntryType, encodeConfChange, LEAVE_JOINT } from "./conf-change.ts";
import { type ConfState, changedConfiguration } from "./configuration.ts";
import { campaignIfOrdered } from "./election.ts";
import { sendHeartbeat, sendHeartbeats } from "./heartbeat.ts";
import { abortTransfer, transferCandidate } from "./leader.ts";
import { MESSAGE_TIMEOUT_NOW } from "./message.ts";
import type { Progress } from "./progress.ts";
import { confirmReads } from "./reads.ts";
import { maybeCommit } from "./replication.ts";
import { becomeFollower, joinAsLeader, resetElection, startLeaderTimers } from "./roles.ts";
import type { RaftState, Refusal } from "./state.ts";

/** Whether the leader may propose this change now. */
export function checkChange(state: RaftState, change: ConfChange): Refusal {
  // One at a time: the quorums of two changes in flight need not overlap (R14).
  if (state.log.unappliedConfCount > 0) return "changePending";
  // The thesis' erratum: before an entry of the own term is committed an older change may still be on its way (R15).
  if (state.commitIndex < state.termFirstIndex) return "notCommittedInTerm";
  if (typeof changedConfiguration(state.tracker.configuration, change) === "string") return "invalidChange";
  return state.mayChange(change) ? "none" : "invalidChange";
}

/** A change was applied: this is the configuration now. */
export function applyConfiguration(state: RaftState, configuration: ConfState): void {
  const before = state.tracker.members;
  setConfiguration(state, configuration);
  state.configuredMs = state.nowMs;
  if (state.role === "leader") tellRemoved(state, before);
  if (state.role === "leader") onLeaderConfigured(state);
  else {
    if (state.tracker.isSoleVoter(state.self)) resetElection(state);
    campaignIfOrdered(state);
  }
}

export function setConfiguration(state: RaftState, configuration: ConfState): void {
  state.tracker.configure(configuration, state.log.lastIndex);
  state.self = state.tracker.find(state.id.hi, state.id.lo);
}

/** Whoever belongs to it no more is told once that the change is committed, if it has not heard; it gets nothing else from now on. */
function tellRemoved(state: RaftState, before: readonly Progress[]): void {
  for (const member of before) {
    const isGone = !state.tracker.members.includes(member) && !state.isSelf(member);
    const isBehind = member.sentCommit < Math.min(state.commitIndex, member.match);
    if (isGone && isBehind) sendHeartbeat(state, member, 0);
  }
}

function onLeaderConfigured(state: RaftState): void {
  // Who is new gets an election timeout to answer before it counts as gone.
  for (const member of state.tracker.members)
    if (member.contactMs === -Infinity) member.contactMs = state.nowMs;
  const target = state.transferTarget;
  if (target !== undefined && !target.isVoter) abortTransfer(state);
  if (target !== undefined && !state.tracker.members.includes(target)) abortTransfer(state);
  if (state.self === undefined || state.self.isLearner) return leaveOffice(state);
  joinAsLeader(state);
  startLeaderTimers(state);
  // A smaller quorum may have been reached already.
  maybeCommit(state);
  confirmReads(state);
}

/** The leader is no voter any more (thesis 4.2.2): it tells what is committed and lets the best follower take over at once. */
function leaveOffice(state: RaftState): void {
  sendHeartbeats(state, { votersOnly: false });
  const target = transferCandidate(state);
  if (target !== undefined) state.send(MESSAGE_TIMEOUT_NOW, target);
  becomeFollower(state, state.term, ID64_ZERO);
}

/** Part of every output: a joint configuration that leaves by itself does so as soon as it may (thesis 4.3). */
export function maybeLeaveJoint(state: RaftState): void {
  assert(state.role === "leader", "a leader proposes to leave");
  if (!state.tracker.configuration.autoLeave || state.transferTarget !== undefined) return;
  if (checkChange(state, LEAVE_JOINT) !== "none") return;
  const bytes = encodeConfChange(LEAVE_JOINT);
  state.log.append(confChangeEntryType(LEAVE_JOINT), state.term, bytes, 0, bytes.length);
}
