// The leader's side of replication (Raft 5.3, 5.4.2).

import { assert } from "../base/assert.ts";
import type { RaftState } from "./state.ts";

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

/** Commits what a quorum has durably, if it is of the own term (Raft 5.4.2, figure 8; R1). Returns whether that is news. */
export function maybeCommit(state: RaftState): boolean {
  const index = state.tracker.quorumMatch();
  if (index <= state.commitIndex || index < state.termFirstIndex) return false;
  if (index === Infinity) return false;
  assert(state.log.term(index) === state.term, "entries from the leader's first on are of its term");
  state.commitTo(index);
  return true;
}
