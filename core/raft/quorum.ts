// Majorities. Small pure functions over a scratch array, tested against slow obvious models.

import { assert } from "../base/assert.ts";

export type VoteResult = "won" | "lost" | "pending";

/**
 * The largest value that a majority of `values[0, count)` has reached; Infinity for nobody, so that an absent half of a joint
 * configuration restricts nothing. Sorts the values (traps R10: unsorted values, majority - 1).
 */
export function majorityValue(values: Float64Array, count: number): number {
  assert(count <= values.length, "the values are there");
  if (count === 0) return Infinity;
  // Insertion sort, descending: there are seven of them, not seven thousand.
  for (let i = 1; i < count; i++) {
    const value = values[i]!;
    let at = i;
    while (at > 0 && values[at - 1]! < value) {
      values[at] = values[at - 1]!;
      at--;
    }
    values[at] = value;
  }
  return values[majority(count) - 1]!;
}

/** How many of `count` are a majority. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** Where a vote of `count` members stands; nobody is asked: won. */
export function majorityVote(granted: number, rejected: number, count: number): VoteResult {
  assert(granted + rejected <= count, "nobody votes twice");
  if (count === 0) return "won";
  if (granted >= majority(count)) return "won";
  if (rejected > count - majority(count)) return "lost";
  return "pending";
}

/** Both halves of a joint configuration must agree (Raft thesis 4.3); one lost half loses (trap R16: never one union). */
export function jointVote(incoming: VoteResult, outgoing: VoteResult): VoteResult {
  if (incoming === outgoing) return incoming;
  if (incoming === "lost" || outgoing === "lost") return "lost";
  return "pending";
}
