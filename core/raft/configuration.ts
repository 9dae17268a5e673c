// Who votes, and how a change turns one configuration into the next (Raft thesis 4; joint consensus 4.3).
//
//   simple:  {A B C} --add D--> {A B C D}                         one voter differs: any two majorities overlap
//   joint:   {A B C} --add D, remove A--> {B C D} && {A B C} --leave--> {B C D}
//
// While a configuration is joint, everything needs a majority of the new voters and one of the outgoing ones.

import { assert } from "../base/assert.ts";
import { type Id64, id64Compare, id64Equal, id64Hex } from "../base/ids.ts";
import {
  ADD_LEARNER,
  ADD_VOTER,
  type ConfChange,
  REMOVE_MEMBER,
  TRANSITION_AUTO,
  TRANSITION_JOINT_EXPLICIT,
  UPDATE_MEMBER,
} from "./conf-change.ts";

/** A configuration, immutable; every list is sorted by id. */
export interface ConfState {
  readonly voters: readonly Id64[];
  /** The voters before a joint change; empty when the configuration is not joint. */
  readonly votersOutgoing: readonly Id64[];
  /** They get the log and do not count. Disjoint from both lists of voters. */
  readonly learners: readonly Id64[];
  /** Outgoing voters that are learners once the joint configuration is left. */
  readonly learnersNext: readonly Id64[];
  /** The leader proposes to leave the joint configuration as soon as it is applied. */
  readonly autoLeave: boolean;
}

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function isJoint(state: ConfState): boolean {
  return state.votersOutgoing.length > 0;
}

/** What the change leads to, or a text that says why it cannot be made. The same on every member: no other input. */
export function changedConfiguration(state: ConfState, change: ConfChange): ConfState | string {
  const next = change.changes.length === 0 ? left(state) : entered(state, change);
  if (typeof next !== "string") assertConfiguration(next);
  return next;
}

/** The invariants between the lists. */
export function assertConfiguration(state: ConfState): void {
  const counted = [...state.voters, ...state.votersOutgoing];
  for (const learner of state.learners) {
    assert(!counted.some((voter) => id64Equal(voter, learner)), "a learner is no voter");
  }
  for (const learner of state.learnersNext) {
    assert(
      state.votersOutgoing.some((voter) => id64Equal(voter, learner)),
      "a future learner is an outgoing voter",
    );
    assert(!state.voters.some((voter) => id64Equal(voter, learner)), "a future learner is no incoming voter");
  }
  assert(isJoint(state) || !state.autoLeave, "only a joint configuration is left");
}

function left(state: ConfState): ConfState | string {
  if (!isJoint(state)) return "Cannot leave a joint configuration: it is not joint";
  const learners = [...state.learners, ...state.learnersNext].sort(id64Compare);
  return { voters: state.voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false };
}

function entered(state: ConfState, change: ConfChange): ConfState | string {
  if (isJoint(state)) return "Cannot change the configuration: it is joint already";
  const joint = change.changes.length > 1 || change.transition !== TRANSITION_AUTO;
  const draft = new Draft(state, joint);
  for (const one of change.changes) {
    if (one.type === ADD_VOTER) draft.addVoter(one.id);
    else if (one.type === ADD_LEARNER) draft.addLearner(one.id);
    else if (one.type === REMOVE_MEMBER) draft.remove(one.id);
    else if (one.type !== UPDATE_MEMBER)
      return `Cannot change the configuration: unknown type of change ${one.type}`;
  }
  if (draft.voters.length === 0) return "Cannot change the configuration: no voter would be left";
  return draft.finish(joint && change.transition !== TRANSITION_JOINT_EXPLICIT);
}

class Draft {
  voters: Id64[];
  #learners: Id64[];
  #learnersNext: Id64[] = [];
  readonly #outgoing: readonly Id64[];

  constructor(state: ConfState, joint: boolean) {
    this.voters = [...state.voters];
    this.#learners = [...state.learners];
    // The very first configuration has nothing to be joint with.
    this.#outgoing = joint ? [...state.voters] : [];
  }

  addVoter(id: Id64): void {
    this.remove(id);
    this.voters.push(id);
  }

  addLearner(id: Id64): void {
    this.remove(id);
    // A voter of the outgoing half still counts, so it becomes a learner when the joint configuration is left.
    if (this.#outgoing.some((voter) => id64Equal(voter, id))) this.#learnersNext.push(id);
    else this.#learners.push(id);
  }

  remove(id: Id64): void {
    const isOther = (other: Id64): boolean => !id64Equal(other, id);
    this.voters = this.voters.filter(isOther);
    this.#learners = this.#learners.filter(isOther);
    this.#learnersNext = this.#learnersNext.filter(isOther);
  }

  finish(autoLeave: boolean): ConfState {
    return {
      voters: this.voters.sort(id64Compare),
      votersOutgoing: [...this.#outgoing].sort(id64Compare),
      learners: this.#learners.sort(id64Compare),
      learnersNext: this.#learnersNext.sort(id64Compare),
      autoLeave: autoLeave && this.#outgoing.length > 0,
    };
  }
}

/** For logs and golden files: `(1 2 3)&&(1 2) learners=(4) next=(5) auto`. */
export function formatConfState(state: ConfState): string {
  const list = (ids: readonly Id64[]): string => `(${ids.map(id64Hex).join(" ")})`;
  let text = list(state.voters);
  if (isJoint(state)) text += `&&${list(state.votersOutgoing)}`;
  if (state.learners.length > 0) text += ` learners=${list(state.learners)}`;
  if (state.learnersNext.length > 0) text += ` next=${list(state.learnersNext)}`;
  if (state.autoLeave) text += " auto";
  return text;
}
