import assert from "node:assert/strict";
import { test } from "node:test";
import { id64 } from "../base/ids.ts";
import { Prng } from "../base/prng.ts";
import { MESSAGE_HEARTBEAT, MESSAGE_PRE_VOTE, MESSAGE_VOTE, RaftMessage } from "../raft/message.ts";
import type { Member } from "./member.ts";
import { isContradiction, PastLives } from "./past-lives.ts";
import type { Promises } from "./state-frames.ts";

const FOUND = { boot: 4, nonce: 1, term: 7, lastIndex: 100 };
const HONEST: Promises = { boot: 3, term: 7, ackTerm: 7, ackIndex: 100 };

const CASES: readonly (readonly [string, Partial<Promises>, boolean])[] = [
  ["what it promised is there", {}, false],
  ["nothing was heard of it", { boot: 0, term: 0, ackTerm: 0, ackIndex: 0 }, false],
  ["it was heard in a later life", { boot: 5 }, true],
  ["it was heard in another life with as many starts", { boot: 4 }, true],
  ["it voted in a later term", { term: 8 }, true],
  ["it acknowledged an entry that is not there", { ackIndex: 101 }, true],
  [
    "an entry that it acknowledged in an older term may have been replaced",
    { ackTerm: 6, ackIndex: 101 },
    false,
  ],
];

for (const [what, said, isLost] of CASES)
  test(`data are ${isLost ? "known to be lost" : "not taken for lost"}: ${what} (M2)`, () => {
    assert.equal(isContradiction(FOUND, { ...HONEST, ...said }), isLost);
  });

const [HEARD_IT, CANDIDATE] = [id64(0, 1), id64(0, 2)];
const ELECTION_MS = 500;

/** A member that was started so often, with nothing around it; the kinds of messages that reach its consensus. */
function startedMember(boot: number): { lives: PastLives; member: { nowMs: number }; stepped: number[] } {
  const stepped: number[] = [];
  const member = {
    nowMs: 0,
    membership: { isRemoved: () => false },
    raft: { term: 7, lastIndex: 100, step: (message: RaftMessage) => stepped.push(message.kind) },
    options: {
      electionMs: ELECTION_MS,
      clock: { now: () => 0 },
      prng: new Prng(1),
      peers: { writer: () => undefined },
    },
  };
  return { lives: new PastLives(member as unknown as Member, boot), member, stepped };
}

function message(kind: number): RaftMessage {
  const result = new RaftMessage();
  result.kind = kind;
  result.term = 9;
  return result;
}

test("a member that was started again votes when all that it is connected with have said what they heard (M2)", () => {
  const { lives, stepped } = startedMember(4);
  const nonce = new Prng(1).split("life").uint32();
  lives.connected(HEARD_IT);
  for (const kind of [MESSAGE_VOTE, MESSAGE_PRE_VOTE, MESSAGE_HEARTBEAT])
    lives.step(CANDIDATE, message(kind));
  assert.deepEqual(stepped, [MESSAGE_HEARTBEAT]);
  lives.onPast(HEARD_IT, { boot: 1, nonce: 3 }, { nonce, promised: HONEST });
  lives.step(CANDIDATE, message(MESSAGE_VOTE));
  assert.deepEqual(stepped, [MESSAGE_HEARTBEAT, MESSAGE_VOTE]);
});

test("who does not answer keeps a member from voting for an election timeout, and a first start waits for nobody (M2)", () => {
  const again = startedMember(4);
  again.lives.connected(HEARD_IT);
  again.member.nowMs = ELECTION_MS;
  again.lives.step(CANDIDATE, message(MESSAGE_VOTE));
  assert.deepEqual(again.stepped, [MESSAGE_VOTE]);
  const first = startedMember(1);
  first.lives.connected(HEARD_IT);
  first.lives.step(CANDIDATE, message(MESSAGE_VOTE));
  assert.deepEqual(first.stepped, [MESSAGE_VOTE]);
});
