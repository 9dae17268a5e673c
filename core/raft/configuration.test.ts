import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Id64 } from "../base/ids.ts";
import {
  ADD_LEARNER,
  ADD_VOTER,
  confChange,
  LEAVE_JOINT,
  REMOVE_MEMBER,
  TRANSITION_JOINT_EXPLICIT,
  TRANSITION_JOINT_IMPLICIT,
  UPDATE_MEMBER,
} from "./conf-change.ts";
import {
  changedConfiguration,
  type ConfState,
  EMPTY_CONF_STATE,
  formatConfState,
  isJoint,
} from "./configuration.ts";
import { testId } from "./testing-node.ts";

const names = (ids: readonly Id64[]): number[] => ids.map((id) => id.lo);

function change(state: ConfState, ...changes: readonly (readonly [number, number])[]): ConfState {
  const next = changedConfiguration(
    state,
    confChange(changes.map(([type, id]) => ({ type, id: testId(id) }))),
  );
  assert.equal(typeof next, "object", String(next));
  return next as ConfState;
}

function of(...voters: number[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: voters.map(testId) };
}

test("one changed voter goes in one step", () => {
  assert.equal(formatConfState(change(of(1, 2, 3), [ADD_VOTER, 4])), "(1 2 3 4)");
  assert.equal(formatConfState(change(of(1, 2, 3), [REMOVE_MEMBER, 2])), "(1 3)");
  assert.equal(formatConfState(change(of(1, 2, 3), [ADD_LEARNER, 3])), "(1 2) learners=(3)");
  assert.equal(formatConfState(change(of(1, 2, 3), [UPDATE_MEMBER, 3])), "(1 2 3)");
});

test("several changed members are joint, and leave by themselves", () => {
  const joint = change(of(1, 2, 3), [ADD_VOTER, 4], [REMOVE_MEMBER, 1]);
  assert.equal(formatConfState(joint), "(2 3 4)&&(1 2 3) auto");
  assert.equal(formatConfState(changedConfiguration(joint, LEAVE_JOINT) as ConfState), "(2 3 4)");
});

test("an outgoing voter becomes a learner only when the joint configuration is left", () => {
  const joint = change(of(1, 2, 3), [ADD_LEARNER, 3], [ADD_VOTER, 4]);
  assert.equal(formatConfState(joint), "(1 2 4)&&(1 2 3) next=(3) auto");
  assert.equal(
    formatConfState(changedConfiguration(joint, LEAVE_JOINT) as ConfState),
    "(1 2 4) learners=(3)",
  );
});

test("what cannot be is refused with a reason", () => {
  const refused = (state: ConfState, changes: readonly (readonly [number, number])[]): string | ConfState =>
    changedConfiguration(state, confChange(changes.map(([type, id]) => ({ type, id: testId(id) }))));
  assert.match(String(refused(of(1), [[REMOVE_MEMBER, 1]])), /no voter would be left/);
  assert.match(String(refused(of(1, 2), [])), /it is not joint/);
  const joint = change(of(1, 2, 3), [ADD_VOTER, 4], [REMOVE_MEMBER, 1]);
  assert.match(String(refused(joint, [[ADD_VOTER, 5]])), /it is joint already/);
});

test("a change that is asked to be joint is, and stays so when told", () => {
  const one = [{ type: ADD_VOTER, id: testId(4) }];
  const implicit = changedConfiguration(of(1, 2, 3), {
    ...confChange(one),
    transition: TRANSITION_JOINT_IMPLICIT,
  }) as ConfState;
  assert.equal(implicit.autoLeave, true);
  const explicit = changedConfiguration(of(1, 2, 3), {
    ...confChange(one),
    transition: TRANSITION_JOINT_EXPLICIT,
  }) as ConfState;
  assert.equal(isJoint(explicit) && !explicit.autoLeave, true);
});

/** The slow obvious model: a map from member to what it is. */
function model(
  roles: Map<number, "voter" | "learner">,
  changes: readonly (readonly [number, number])[],
): void {
  for (const [type, id] of changes) {
    if (type === ADD_VOTER) roles.set(id, "voter");
    else if (type === ADD_LEARNER) roles.set(id, "learner");
    else if (type === REMOVE_MEMBER) roles.delete(id);
  }
}

test("any sequence of changes, simple or joint, leads where the model says", () => {
  const one = fc.tuple(
    fc.constantFrom(ADD_VOTER, REMOVE_MEMBER, UPDATE_MEMBER, ADD_LEARNER),
    fc.integer({ min: 1, max: 6 }),
  );
  fc.assert(
    fc.property(fc.array(fc.array(one, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), (steps) => {
      let state = of(1, 2, 3);
      const roles = new Map<number, "voter" | "learner">(names(state.voters).map((id) => [id, "voter"]));
      for (const changes of steps) {
        const next = changedConfiguration(
          state,
          confChange(changes.map(([type, id]) => ({ type, id: testId(id) }))),
        );
        const wanted = new Map(roles);
        model(wanted, changes);
        if (![...wanted.values()].includes("voter")) {
          assert.equal(typeof next, "string");
          continue;
        }
        assert.equal(typeof next, "object");
        const before = names(state.voters);
        state = next as ConfState;
        if (isJoint(state)) {
          assert.deepEqual(names(state.votersOutgoing), before, "the outgoing half is what it was");
          state = changedConfiguration(state, LEAVE_JOINT) as ConfState;
        } else {
          const now = names(state.voters);
          const differing = [
            ...before.filter((id) => !now.includes(id)),
            ...now.filter((id) => !before.includes(id)),
          ];
          assert.ok(differing.length <= 1, "a simple change touches one voter");
        }
        model(roles, changes);
        const having = (role: string): number[] =>
          [...roles]
            .filter(([, is]) => is === role)
            .map(([id]) => id)
            .sort((a, b) => a - b);
        assert.deepEqual(names(state.voters), having("voter"));
        assert.deepEqual(names(state.learners), having("learner"));
        assert.equal(state.learnersNext.length, 0);
      }
    }),
    { numRuns: 500 },
  );
});
