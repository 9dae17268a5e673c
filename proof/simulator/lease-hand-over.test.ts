import assert from "node:assert/strict";
import { test } from "node:test";
import { id64ToBigInt } from "../../core/base/ids.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { SmallCluster } from "./small-cluster.ts";

const MOVE_EVERY_MS = 3_000;
/** A new leader adds an election timeout (500 ms); remainders are whole seconds; then the revocation commits. */
const PROLONGED_BY_MOVE_MS = 500 + 1_000 + 100;

function started(): SmallCluster {
  const cluster = new SmallCluster({ memberCount: 3 });
  cluster.runUntil(() => cluster.nodes.some((node) => node.member?.lessor.isPrimary === true), 10_000);
  cluster.run(1_000); // what is granted before a new leader's extension is over counts as unrenewed
  return cluster;
}

/** Hands leadership to the next member and waits until its lessor rules. */
function moveLeader(cluster: SmallCluster): void {
  const from = cluster.leader;
  const to = (from + 1) % cluster.nodes.length;
  const targetID = id64ToBigInt(cluster.nodes[to]!.id);
  const outcome = cluster.ask(from, METHOD.moveLeader, m.MoveLeaderRequest, { targetID });
  cluster.runUntil(() => outcome.code !== undefined, 2_000);
  assert.deepEqual(outcome, { code: 0, text: "" });
  assert.ok(cluster.runUntil(() => cluster.member(to).lessor.isPrimary, 2_000) >= 0);
}

test("a lease that nobody renews ends though leadership is handed over every 3 s", () => {
  const cluster = started();
  const ttlSeconds = 12;
  cluster.ask(cluster.leader, METHOD.leaseGrant, m.LeaseGrantRequest, { ID: 7n, TTL: ttlSeconds });
  assert.ok(cluster.runUntil(() => cluster.member(cluster.leader).lessor.count === 1, 1_000) >= 0);
  const grantedMs = cluster.nowMs;
  let moveCount = 0;
  while (cluster.member(cluster.leader).lessor.count > 0) {
    // Once it is as if renewed, when it is younger than half its TTL at the first move.
    const latestMs = grantedMs + ttlSeconds * 1_500 + moveCount * PROLONGED_BY_MOVE_MS + 200;
    assert.ok(cluster.nowMs < latestMs, `still there after ${moveCount} moves at ${cluster.nowMs} ms`);
    if (cluster.runUntil(() => cluster.member(cluster.leader).lessor.count === 0, MOVE_EVERY_MS) >= 0) break;
    moveLeader(cluster);
    moveCount++;
  }
  assert.ok(cluster.nowMs - grantedMs >= ttlSeconds * 1_000, "and not before its time");
  assert.ok(moveCount >= 4, `${moveCount} moves`);
});

test("a lease that is younger than half its TTL starts anew at the leader that takes over", () => {
  const cluster = started();
  cluster.ask(cluster.leader, METHOD.leaseGrant, m.LeaseGrantRequest, { ID: 7n, TTL: 12 });
  cluster.run(3_000);
  moveLeader(cluster);
  const { lessor } = cluster.member(cluster.leader);
  assert.equal(lessor.table.remainderSeconds(lessor.find(0, 7)), 0);
  assert.equal(lessor.remainingSeconds(lessor.find(0, 7), cluster.member(cluster.leader).clock.now()), 12);
});

test("ten thousand remainders are in the log before leadership moves, and it moves within a second", () => {
  const cluster = started();
  const count = 10_000;
  for (let id = 1; id <= count; id++) {
    cluster.ask(cluster.leader, METHOD.leaseGrant, m.LeaseGrantRequest, { ID: BigInt(id), TTL: 60 });
    if (id % 1_000 === 0) cluster.run(20);
  }
  cluster.run(40_000);
  const { lessor } = cluster.member((cluster.leader + 1) % 3);
  assert.equal(lessor.count, count);
  const startedMs = cluster.nowMs;
  moveLeader(cluster);
  assert.ok(cluster.nowMs - startedMs < 1_000);
  for (let id = 1; id <= count; id++) {
    const seconds = lessor.table.remainderSeconds(lessor.find(0, id));
    assert.ok(seconds >= 18 && seconds <= 21, `lease ${id} is handed over with ${seconds} s`);
  }
});
