// Changes of the configuration (Raft thesis 4): checked when proposed, in force when applied.

import type { ConfChange } from "./conf-change.ts";
import { type ConfState, changedConfiguration } from "./configuration.ts";
import { joinAsLeader, resetElection } from "./roles.ts";
import { maybeCommit } from "./replication.ts";
import type { RaftState, Refusal } from "./state.ts";

/** Whether the leader may propose this change now. */
export function checkChange(state: RaftState, change: ConfChange): Refusal {
  // One at a time: the quorums of two changes in flight need not overlap (R14).
  if (state.log.unappliedConfCount > 0) return "changePending";
  // The thesis' erratum: before an entry of the own term is committed an older change may still be on its way (R15).
  if (state.commitIndex < state.termFirstIndex) return "notCommittedInTerm";
  if (typeof changedConfiguration(state.tracker.configuration, change) === "string") return "invalidChange";
  return "none";
}

export function applyConfiguration(state: RaftState, configuration: ConfState): void {
  state.tracker.configure(configuration, state.log.lastIndex);
  state.self = state.tracker.find(state.id.hi, state.id.lo);
  if (state.role === "leader") {
    joinAsLeader(state);
    maybeCommit(state);
  } else if (state.tracker.isSoleVoter(state.self)) resetElection(state);
}
