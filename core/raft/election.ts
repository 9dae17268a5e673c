// Elections (Raft 5.2, 5.4.1), pre-vote (thesis 9.6) and the lease on votes (thesis 4.2.3): whoever heard a leader within
// an election timeout helps nobody to depose it, unless the leader itself asked for that, or its connection closed.

import { assert } from "../base/assert.ts";
import { ID64_ZERO, type Id64, id64Compare, id64Equal } from "../base/ids.ts";
import {
  MESSAGE_PRE_VOTE,
  MESSAGE_PRE_VOTE_REPLY,
  MESSAGE_VOTE,
  MESSAGE_VOTE_REPLY,
  type RaftMessage,
} from "./message.ts";
import { isJoint } from "./configuration.ts";
import type { Progress } from "./progress.ts";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate, resetElection } from "./roles.ts";
import type { RaftState } from "./state.ts";

/**
 * After the leader's connection closed, a member waits a random part of this before it asks for pre-votes. All members see
 * it close at the same time; at once, two of them would collide. Ten round trips of a large cluster.
 */
const HINT_DELAY_MS_MAX = 30;

/** Whether this member may campaign: it votes, and no change is committed that might say otherwise once it is applied. */
export function isPromotable(state: RaftState): boolean {
  const self = state.self;
  if (self === undefined || self.isLearner || state.snapshot !== undefined) return false;
  return !hasCommittedChange(state);
}

export function campaign(
  state: RaftState,
  options: { readonly preVote: boolean; readonly forced: boolean },
): void {
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

/** Whether a leader has the lease on this member's vote. */
export function isInLease(state: RaftState): boolean {
  if (state.role === "leader") return true;
  if (state.leader.hi === 0 && state.leader.lo === 0) return false;
  return !state.leaseVoid && state.nowMs - state.leaderContactMs < state.electionMs;
}

/** vote or preVote. Of a vote with a higher term, the term was taken over before. */
export function onVoteRequest(state: RaftState, message: RaftMessage): void {
  const preVote = message.kind === MESSAGE_PRE_VOTE;
  assert(preVote || message.term <= state.term, "a vote's term was taken over");
  const from: Id64 = { hi: message.fromHi, lo: message.fromLo };
  const upToDate = state.log.isUpToDate(message.index, message.logTerm);
  // Learners vote, too: they may be voters that do not know it yet (R19).
  if (message.term >= state.term && upToDate && mayVoteFor(state, from, message)) {
    if (preVote) yieldTo(state, from);
    else {
      if (!id64Equal(state.vote, from)) state.persistence.hardStateDirty = true;
      state.vote = from;
      if (message.force) state.successorTerm = state.term;
      resetElection(state);
    }
    return reply(state, message, false);
  }
  // An explicit no, also to lower terms: a candidate that hears nothing would try for ever (R20).
  reply(state, message, true);
  if (preVote && !upToDate && state.role === "follower" && !isInLease(state)) hurry(state);
}

function mayVoteFor(state: RaftState, from: Id64, message: RaftMessage): boolean {
  if (message.kind === MESSAGE_PRE_VOTE) {
    if (!message.force && isInLease(state)) return false;
    if (message.term > state.term) return true;
  }
  if (id64Equal(state.vote, from)) return true; // asked twice, or the answer was lost
  return id64Equal(state.vote, ID64_ZERO) && id64Equal(state.leader, ID64_ZERO);
}

function reply(state: RaftState, request: RaftMessage, reject: boolean): void {
  const kind = request.kind === MESSAGE_PRE_VOTE ? MESSAGE_PRE_VOTE_REPLY : MESSAGE_VOTE_REPLY;
  const message = state.send(kind, { hi: request.fromHi, lo: request.fromLo });
  message.reject = reject;
  tellCommitted(state, message);
  // A pre-vote is granted for a term that does not exist yet; everything else speaks of our own.
  if (!reject) message.term = request.term;
}

/** Answer to a vote or pre-vote of the term that is asked for now, or a refusal in the present one. */
export function onVoteReply(state: RaftState, message: RaftMessage): void {
  if (message.kind === MESSAGE_VOTE_REPLY) {
    if (state.role !== "candidate" || message.term !== state.term) return;
  } else {
    if (state.role !== "preCandidate") return;
    if (message.term !== (message.reject ? state.term : state.term + 1)) return;
  }
  const member = state.tracker.find(message.fromHi, message.fromLo);
  if (member === undefined || member.vote !== 0) return;
  member.vote = message.reject ? -1 : 1;
  countVotes(state);
}

/**
 * Whether the leader, which has just told the target to campaign, may give it its vote before it is asked. The target has everything that is
 * in this log, nothing was added since (R29) and nobody waits for a commit here; it was heard a moment ago, and there is no change of the
 * configuration that it may have to apply before it campaigns. Else the leader waits, to go on leading if nothing comes of it.
 */
export function mayVoteAhead(state: RaftState, target: Progress): boolean {
  const { self, log, tracker } = state;
  assert(target.match === log.lastIndex, "the target has everything");
  if (state.commitIndex < log.lastIndex || self === undefined || !self.isVoter) return false;
  if (target.state !== "replicate" || state.nowMs - target.contactMs >= 2 * state.heartbeatMs) return false;
  if (log.firstUnappliedConfIndex !== 0 || isJoint(tracker.configuration)) return false;
  return state.nowMs - state.configuredMs >= state.electionMs;
}

/** The old leader's vote is on its way while the target's own becomes durable: with three voters that is the election. */
export function voteAhead(state: RaftState): void {
  const target = state.transferTarget;
  assert(
    state.role === "leader" && target !== undefined && state.transferOrdered,
    "the target was told to campaign",
  );
  const to: Id64 = { hi: target.hi, lo: target.lo };
  becomeFollower(state, state.term + 1, ID64_ZERO);
  state.vote = to;
  // Nothing is forwarded before its own request comes: on another connection that would overtake the order, and end it by the newer term.
  tellCommitted(state, state.send(MESSAGE_VOTE_REPLY, to));
}

/** The leader asks this member to take over: no pre-vote, and others ignore their lease (thesis 3.10). */
export function onTimeoutNow(state: RaftState): void {
  if (state.role === "leader") return;
  // The change that is being applied may be the reason for the order; the campaign follows it.
  if (hasCommittedChange(state)) state.orderedTerm = state.term;
  else if (isPromotable(state)) campaign(state, { preVote: false, forced: true });
}

/** A configuration was applied: an order to campaign may have waited for it. */
export function campaignIfOrdered(state: RaftState): void {
  if (state.orderedTerm !== state.term || hasCommittedChange(state)) return;
  state.orderedTerm = 0;
  if (state.role === "follower" && isPromotable(state)) campaign(state, { preVote: false, forced: true });
}

/** The connection to the leader closed, from its side: it is probably gone. */
export function onLeaderDisconnected(state: RaftState): void {
  state.leaseVoid = true;
  hurry(state);
}

/**
 * Whoever was promised a vote goes first: an own campaign now would split it. Two that ask each other at the same time would
 * both win their pre-votes and then split the votes; the one with the smaller id withdraws.
 */
function yieldTo(state: RaftState, from: Id64): void {
  if (state.role === "preCandidate" && id64Compare(from, state.id) > 0)
    becomeFollower(state, state.term, ID64_ZERO);
  if (state.role !== "follower") return;
  const deadline = state.nowMs + state.heartbeatMs;
  if (state.electionDeadlineMs < deadline) state.electionDeadlineMs = deadline;
}

function hurry(state: RaftState): void {
  const deadline = state.nowMs + state.prng.float() * HINT_DELAY_MS_MAX;
  if (deadline < state.electionDeadlineMs) state.electionDeadlineMs = deadline;
}

function tellCommitted(state: RaftState, message: RaftMessage): void {
  message.commit = state.commitIndex;
  message.commitTerm = state.log.term(state.commitIndex);
}

/**
 * Everything about votes says what its sender knows to be committed; who has that very entry has everything before it
 * and may commit it, whoever says so. Without this the members of a new configuration could depend for ever on the votes of members that
 * have left: these know that the change is committed, have later entries, and cannot be leaders themselves.
 */
export function learnCommitted(state: RaftState, message: RaftMessage): void {
  if (message.commit <= state.commitIndex || !state.log.matches(message.commit, message.commitTerm)) return;
  state.commitTo(message.commit);
  const campaigns = state.role === "preCandidate" || state.role === "candidate";
  // A change may make this campaign pointless or easy: another one follows once it is applied.
  if (campaigns && hasCommittedChange(state)) becomeFollower(state, state.term, ID64_ZERO);
}

function hasCommittedChange(state: RaftState): boolean {
  const change = state.log.firstUnappliedConfIndex;
  return change !== 0 && change <= state.commitIndex;
}

function countVotes(state: RaftState): void {
  const result = state.tracker.voteResult();
  if (result === "pending") return;
  if (result === "lost") return becomeFollower(state, state.term, ID64_ZERO);
  if (state.role === "preCandidate") campaign(state, { preVote: false, forced: false });
  else becomeLeader(state);
}

function requestVotes(state: RaftState, kind: number): void {
  for (const member of state.tracker.members) {
    if (member === state.self || member.isLearner) continue;
    const message = state.send(kind, member);
    if (kind === MESSAGE_PRE_VOTE) message.term = state.term + 1;
    message.index = state.log.lastIndex;
    message.logTerm = state.log.lastTerm;
    tellCommitted(state, message);
    message.force = state.forced;
  }
}
