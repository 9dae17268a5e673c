// Changes of role (Raft 5.1, 5.2). Each function leaves the state consistent; nobody else assigns `role` or `term`.
//
//                 deadline passed            a quorum would vote           a quorum voted
//   follower  ---------------------> preCandidate -----------> candidate -----------> leader
//      ^            (or hint)               |                      |                     |
//      +------------------------------------+----------------------+---------------------+
//            a leader or a higher term was heard, the vote was lost, the quorum is gone

import { assert } from "../base/assert.ts";
import { ID64_ZERO, type Id64, id64Compare, id64Equal } from "../base/ids.ts";
import { ENTRY_NORMAL } from "./log.ts";
import { abortReads } from "./reads.ts";
import type { RaftState } from "./state.ts";

const NO_BYTES = new Uint8Array(0);
/**
 * Who follows a leader waits T and its turn: so many of these parts of T as there are voters with larger ids beside the leader, and a
 * random share of one more. Raft's paper draws from [T, 2T), because candidates that rise together split the votes of a term. Turns keep
 * them further apart than chance does, in a tenth of the time: the first of two followers rises after 1.025 T in the mean, not 1.33 T.
 * One that is away, or whose log is shorter, costs the next one a turn. A part is many round trips, and more than what followers differ
 * by in when they heard the leader last: whoever asks sooner than that is refused, for the others' lease.
 */
const TURN = 0.05;
/** In a large cluster the last ones share a turn. */
const TURN_COUNT_MAX = 10;
/** Who follows nobody draws from [T, T + this part of T), a fresh draw for each attempt. */
const ELECTION_SPREAD = 0.5;

export function becomeFollower(state: RaftState, term: number, leader: Id64): void {
  assert(term >= state.term, "terms never fall (R30)");
  const changed = state.role !== "follower" || term > state.term || !id64Equal(leader, state.leader);
  if (term > state.term) {
    state.term = term;
    state.vote = ID64_ZERO;
    state.persistence.hardStateDirty = true;
    state.forwardNumberBefore = state.forwardNumber;
  }
  if (changed) {
    abortReads(state);
    state.matchedIndex = 0;
    state.ackedIndex = 0;
    state.ackOwed = false;
    state.leaderChanged = true;
  }
  state.role = "follower";
  state.leader = leader;
  state.forced = false;
  clearLeaderState(state);
  resetElection(state);
}

/** Asks whether a campaign would succeed, without touching term or vote (Raft thesis 9.6). */
export function becomePreCandidate(state: RaftState): void {
  assert(state.role !== "leader", "a leader does not campaign");
  assert(state.self !== undefined, "only a member campaigns");
  abortReads(state);
  state.role = "preCandidate";
  state.forced = false;
  state.leader = ID64_ZERO;
  state.leaderChanged = true;
  // It follows nobody: an attempt that fails, because a vote was split or an answer was lost, is repeated soon.
  state.leaseVoid = true;
  resetElection(state);
  state.tracker.clearVotes();
  state.self.vote = 1;
}

/** The own vote counts once it is durable (R5). */
export function becomeCandidate(state: RaftState): void {
  assert(state.role !== "leader", "a leader does not campaign");
  assert(state.self !== undefined, "only a member campaigns");
  abortReads(state);
  state.role = "candidate";
  state.term++;
  state.forwardNumberBefore = state.forwardNumber;
  state.vote = state.id;
  state.leader = ID64_ZERO;
  state.persistence.hardStateDirty = true;
  state.leaderChanged = true;
  resetElection(state);
  state.tracker.clearVotes();
}

export function becomeLeader(state: RaftState): void {
  assert(state.role === "candidate", "a leader was a candidate");
  assert(state.self !== undefined, "a leader is a member");
  assert(state.persistence.hardStateDurable, "the own vote is durable");
  state.role = "leader";
  state.ledTerm = state.term;
  state.leader = state.id;
  state.leaderChanged = true;
  state.forced = false;
  state.electionDeadlineMs = Infinity;
  // Not 0, which asks for no answer: an idle leader lives by the answers (check-quorum).
  state.heartbeatSequence = 1;
  for (const member of state.tracker.members) {
    member.reset(state.log.lastIndex);
    member.contactMs = state.nowMs;
  }
  joinAsLeader(state);
  // An entry of the own term, so that what older terms left behind can be committed (Raft 5.4.2, 8).
  state.termFirstIndex = state.log.append(ENTRY_NORMAL, state.term, NO_BYTES, 0, 0);
  startLeaderTimers(state);
}

/** A leader's own progress: what is durable here, and always in contact with itself. */
export function joinAsLeader(state: RaftState): void {
  const self = state.self;
  if (self === undefined) return;
  self.match = Math.min(state.persistence.durableIndex, state.log.lastIndex);
  self.next = Math.max(self.next, self.match + 1);
  self.contactMs = Infinity;
  self.ackedSequence = Infinity;
}

/** A member alone has nobody to send heartbeats to, and no timer runs. */
export function startLeaderTimers(state: RaftState): void {
  const alone = state.tracker.members.length === 1 && state.self !== undefined;
  state.heartbeatDeadlineMs = alone ? Infinity : state.nowMs + state.heartbeatMs;
  state.quorumDeadlineMs = alone ? Infinity : state.nowMs + state.electionMs;
}

/** Draws a new timeout and waits for it from now on (R28: a fresh draw each time keeps members apart). */
export function resetElection(state: RaftState): void {
  const follows = state.leader.hi !== 0 || state.leader.lo !== 0;
  const share = follows ? (turnOf(state) + state.prng.float()) * TURN : state.prng.float() * ELECTION_SPREAD;
  state.electionTimeoutMs = state.electionMs * (1 + share);
  state.electionDeadlineMs = state.nowMs + electionWaitMs(state);
}

/** How many rise before this member when the leader falls silent. */
function turnOf(state: RaftState): number {
  let before = 0;
  for (const member of state.tracker.members) {
    if (member === state.self || member.isLearner || id64Equal(member, state.leader)) continue;
    if (id64Compare(member, state.id) > 0) before++;
  }
  return Math.min(before, TURN_COUNT_MAX - 1);
}

function electionWaitMs(state: RaftState): number {
  // Nobody to wait for: a sole voter campaigns at once. As a candidate it waits for its own disk only.
  if (state.role === "follower" && state.tracker.isSoleVoter(state.self)) return 0;
  if (!state.leaseVoid || state.quickRetries === 0) return state.electionTimeoutMs;
  // The leader is gone and nobody has followed it: a vote that two candidates split is repeated after a few round trips, not
  // after a whole timeout. A heartbeat's interval is several of them.
  state.quickRetries--;
  return state.heartbeatMs * (1 + 2 * state.prng.float());
}

function clearLeaderState(state: RaftState): void {
  state.heartbeatDeadlineMs = Infinity;
  state.quorumDeadlineMs = Infinity;
  state.commitNoticeMs = Infinity;
  state.heldMs = Infinity;
  state.termFirstIndex = 0;
  state.transferTarget = undefined;
  state.transferOrdered = false;
  state.votesAhead = false;
  state.transferDeadlineMs = Infinity;
}
