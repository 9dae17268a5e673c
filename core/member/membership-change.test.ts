import assert from "node:assert/strict";
import { test } from "node:test";
import { type Id64, id64, id64Compare } from "../base/ids.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { ADD_LEARNER, ADD_VOTER, confChange, REMOVE_MEMBER, UPDATE_MEMBER } from "../raft/conf-change.ts";
import { type ConfState, changedConfiguration, EMPTY_CONF_STATE } from "../raft/configuration.ts";
import { applyChange, assertSameMembers, refusalOfChange } from "./membership-change.ts";
import { type MemberInfo, Membership, memberContextJson } from "./membership.ts";

const LEARNER_COUNT_MAX = 1;
const ID = (number: number): Id64 => id64(0, number);

function info(number: number, url = `http://m${number}:2380`): MemberInfo {
  return { id: ID(number), name: "", peerUrls: [url], clientUrls: [], isLearner: false };
}

type Change = ReturnType<typeof confChange>;

const addVoter = (number: number, url?: string): Change =>
  confChange([{ type: ADD_VOTER, id: ID(number) }], encodeUtf8(memberContextJson(info(number, url))));
const addLearner = (number: number): Change => {
  const context = memberContextJson(
    { ...info(number), isLearner: true },
    { learnerCountMax: LEARNER_COUNT_MAX },
  );
  return confChange([{ type: ADD_LEARNER, id: ID(number) }], encodeUtf8(context));
};
const promote = (number: number): Change =>
  confChange(
    [{ type: ADD_VOTER, id: ID(number) }],
    encodeUtf8(memberContextJson(info(number), { isPromote: true })),
  );
const update = (number: number, url: string): Change =>
  confChange([{ type: UPDATE_MEMBER, id: ID(number) }], encodeUtf8(memberContextJson(info(number, url))));
const remove = (number: number): Change => confChange([{ type: REMOVE_MEMBER, id: ID(number) }]);
/** As a forced start writes it. */
const addBare = (number: number): Change => confChange([{ type: ADD_VOTER, id: ID(number) }]);

/** Applies changes to both lists, as a member does; returns what each was refused for. */
function play(changes: readonly Change[]): {
  readonly refusals: (string | undefined)[];
  readonly membership: Membership;
  readonly confState: ConfState;
} {
  const membership = new Membership();
  let confState = EMPTY_CONF_STATE;
  const refusals = changes.map((change) => {
    const refusal = refusalOfChange(membership, confState, change);
    if (refusal !== undefined) return refusal.text;
    confState = changedConfiguration(confState, change) as ConfState;
    applyChange(membership, change);
    assertSameMembers(membership, confState);
    return undefined;
  });
  return { refusals, membership, confState };
}

const START = [addVoter(1), addVoter(2), addLearner(3)];
const NOT_FOUND = "etcdserver: member not found";

test("a change that may not be made any more when it is applied is refused in etcd's words", () => {
  const cases: [string, readonly Change[], string | undefined][] = [
    ["another voter", [addVoter(4)], undefined],
    ["an id that is there", [addVoter(2, "http://elsewhere:1")], "etcdserver: member ID already exist"],
    ["a learner as a new voter", [addVoter(3)], "etcdserver: member ID already exist"],
    ["an id that was removed", [remove(2), addVoter(2)], NOT_FOUND],
    ["an address that is used", [addVoter(4, "http://m1:2380")], "etcdserver: Peer URLs already exists"],
    ["an address that is free again", [remove(2), addVoter(4, "http://m2:2380")], undefined],
    ["one learner too many", [addLearner(4)], "etcdserver: too many learner members in cluster"],
    ["a learner in a free place", [promote(3), addLearner(4)], undefined],
    ["the promotion of a learner", [promote(3)], undefined],
    ["the promotion of a voter", [promote(2)], "etcdserver: can only promote a learner member"],
    ["two promotions", [promote(3), promote(3)], "etcdserver: can only promote a learner member"],
    ["the promotion of nobody", [promote(4)], NOT_FOUND],
    ["the promotion of one that was removed", [remove(3), promote(3)], NOT_FOUND],
    ["two removals", [remove(2), remove(2)], NOT_FOUND],
    ["the removal of the last voter", [remove(2), remove(1)], NOT_ENOUGH],
    ["another address", [update(2, "http://elsewhere:1")], undefined],
    ["its own address", [update(2, "http://m2:2380")], undefined],
    ["another one's address", [update(2, "http://m1:2380")], "etcdserver: Peer URLs already exists"],
    ["the address of nobody", [update(4, "http://m4:2380")], NOT_FOUND],
    ["a forced start of a learner", [addBare(3), remove(1), remove(2)], undefined],
  ];
  for (const [name, changes, expected] of cases) {
    const { refusals } = play([...START, ...changes]);
    const before = refusals.slice(0, -1);
    assert.ok(
      before.every((refusal) => refusal === undefined),
      name,
    );
    assert.equal(refusals.at(-1), expected, name);
  }
});

const NOT_ENOUGH = "etcdserver: re-configuration failed due to not enough started members";

test("a member that is promoted or gets another address keeps what it has published", () => {
  const { membership } = play(START);
  membership.setAttributes(ID(3), "three", ["http://m3:2379"]);
  applyChange(membership, promote(3));
  applyChange(membership, update(3, "http://elsewhere:1"));
  assert.deepEqual(membership.get(ID(3)), {
    ...info(3, "http://elsewhere:1"),
    name: "three",
    clientUrls: ["http://m3:2379"],
  });
});

test("two lists that name other members, or other roles, are found", () => {
  const { membership, confState } = play(START);
  const voters = [...confState.voters, ID(4)].sort(id64Compare);
  assert.throws(() => assertSameMembers(membership, { ...confState, voters }), /the same voters/);
  assert.throws(() => assertSameMembers(membership, { ...confState, learners: [] }), /the same learners/);
  const promoted = { ...confState, voters: [ID(1), ID(2), ID(3)], learners: [] };
  assert.throws(() => assertSameMembers(membership, promoted), /the same voters/);
});

test("the bound of learners is the one that the change carries", () => {
  const { membership, confState } = play(START);
  const context = memberContextJson({ ...info(4), isLearner: true }, { learnerCountMax: 2 });
  const change = confChange([{ type: ADD_LEARNER, id: ID(4) }], encodeUtf8(context));
  assert.equal(refusalOfChange(membership, confState, change), undefined);
});
