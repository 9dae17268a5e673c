// More writes than can be done: those that would wait for too long are refused at once, and the others are answered. What
// nobody waits for any more is not done.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const LEAST = 4;

/** A member of three whose writes wait longer than they may: for every one it needs the others. */
function overloaded(place: (leader: number) => number): { cluster: SmallCluster; at: number } {
  const cluster = new SmallCluster({
    memberCount: 3,
    limits: { admittedMs: 0.01, admittedCountMin: LEAST, proposalCountMax: 64 },
  });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0, "somebody leads");
  cluster.run(1_000);
  const at = place(cluster.leader);
  put(cluster, at);
  cluster.run(100);
  return { cluster, at };
}

function put(cluster: SmallCluster, place: number): Outcome {
  return cluster.ask(place, METHOD.put, m.PutRequest, { key: encodeUtf8("k"), value: encodeUtf8("v") });
}

for (const [who, place] of [
  ["leader", (leader: number): number => leader],
  ["follower", (leader: number): number => (leader + 1) % 3],
] as const) {
  test(`a ${who} refuses the writes that would wait too long, and answers the others`, () => {
    const { cluster, at } = overloaded(place);
    const outcomes = Array.from({ length: 2 * LEAST }, () => put(cluster, at));
    // The refusals do not wait for those that are worked on.
    assert.deepEqual(
      outcomes.map((it) => it.text),
      [...new Array<string>(LEAST).fill(""), ...new Array<string>(LEAST).fill(STATUS.tooManyRequests.text)],
    );
    assert.ok(outcomes.slice(0, LEAST).every((it) => it.code === undefined));
    cluster.run(1_000);
    assert.ok(outcomes.slice(0, LEAST).every((it) => it.code === 0));
  });
}

test("what is no write is answered beside refused writes", () => {
  const { cluster, at } = overloaded((leader) => leader);
  const puts = Array.from({ length: 2 * LEAST }, () => put(cluster, at));
  const range = cluster.ask(at, METHOD.range, m.RangeRequest, { key: encodeUtf8("k") });
  const grant = cluster.ask(at, METHOD.leaseGrant, m.LeaseGrantRequest, { TTL: 10 });
  cluster.run(1_000);
  assert.equal(puts.at(-1)!.text, STATUS.tooManyRequests.text);
  assert.deepEqual([range.code, grant.code], [0, 0]);
});

test("a write that its caller gave up before there was a leader is not done", () => {
  const cluster = new SmallCluster({ memberCount: 3 });
  cluster.run(1);
  assert.equal(cluster.leader, -1);
  const [wanted, givenUp] = [put(cluster, 0), put(cluster, 0)];
  givenUp.isGivenUp = true;
  assert.ok(cluster.runUntil(() => wanted.code !== undefined, 10_000) >= 0, "it is done");
  cluster.run(1_000);
  assert.deepEqual([wanted.code, givenUp.text], [0, STATUS.requestCanceled.text]);
  assert.equal(cluster.member(0).store.revision, 2);
});
