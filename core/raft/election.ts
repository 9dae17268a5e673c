// Elections (Raft 5.2, 5.4.1; pre-vote: thesis 9.6; the lease on votes: thesis 6.4.1 and 4.2.3).

import { assert } from "../base/assert.ts";
import { MESSAGE_PRE_VOTE, MESSAGE_VOTE } from "./message.ts";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate, resetElection } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** Whether this member may campaign: it votes, and no change is committed that might say otherwise once it is applied. */
export function isPromotable(state: RaftState): boolean {
  const self = state.self;
  if (self === undefined || self.isLearner || state.snapshot !== undefined) return false;
  const change = state.log.firstUnappliedConfIndex;
  return change === 0 || change > state.commitIndex;
}

export function campaign(state: RaftState, options: { readonly preVote: boolean; readonly forced: boolean }): void {
  if (state.role === "leader") return;
  if (!isPromotable(state)) return resetElection(state);
  if (options.preVote && !state.tracker.isSoleVoter(state.self)) {
    becomePreCandidate(state);
    requestVotes(state, MESSAGE_PRE_VOTE);
    return countVotes(state);
  }
  becomeCandidate(state);
  state.forced = options.forced;
  requestVotes(state, MESSAGE_VOTE);
}

/** After persisted(): the own vote of this term is durable now. */
export function countOwnVote(state: RaftState): void {
  assert(state.role === "candidate", "only a candidate votes for itself");
  if (!state.persistence.hardStateDurable || state.self === undefined || state.self.vote !== 0) return;
  state.self.vote = 1;
  countVotes(state);
}

export function countVotes(state: RaftState): void {
  const result = state.tracker.voteResult();
  if (result === "pending") return;
  if (result === "lost") return becomeFollower(state, state.term, { hi: 0, lo: 0 });
  if (state.role === "preCandidate") campaign(state, { preVote: false, forced: false });
  else becomeLeader(state);
}

function requestVotes(state: RaftState, kind: number): void {
  for (const member of state.tracker.members) {
    if (member === state.self || member.isLearner) continue;
    const message = state.send(kind, member);
    message.term = kind === MESSAGE_PRE_VOTE ? state.term + 1 : state.term;
    message.index = state.log.lastIndex;
    message.logTerm = state.log.lastTerm;
    message.force = state.forced;
  }
}
