// What a member without a leader says, as etcd does: at once to those that ask for a leader, to their open streams after
// three election timeouts, and to the others when their time is over.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const ELECTION_MS = 500;
const REQUEST_TIMEOUT_MS = 5_000 + 2 * ELECTION_MS;
const HAS_LEADER = { hasleader: "true" };
const key = encodeUtf8("key");

/** A cluster that stands, and one of its followers. */
function followerOfThree(): { world: SmallCluster; follower: number } {
  const world = new SmallCluster({ memberCount: 3 });
  assert.ok(world.runUntil(() => world.leader >= 0, 10_000) >= 0, "somebody leads");
  world.run(1_000);
  return { world, follower: (world.leader + 1) % 3 };
}

/** Takes the others away; ends when the member knows of no leader. */
function leaveAlone(world: SmallCluster, place: number): void {
  world.nodes.forEach((node, other) => other !== place && node.shutDown());
  assert.ok(world.runUntil(() => !world.member(place).hasLeader, 5_000) >= 0, "it finds no leader");
}

test("open streams that ask for a leader end after three election timeouts without one, others stay", () => {
  const { world, follower } = followerOfThree();
  const open = (metadata = {}): Outcome[] => [
    world.openStream(follower, METHOD.watch, m.WatchRequest, [{ create_request: { key } }], metadata),
    world.openStream(follower, METHOD.leaseKeepAlive, m.LeaseKeepAliveRequest, [], metadata),
  ];
  const asking = open(HAS_LEADER);
  const others = open();
  world.run(100);
  leaveAlone(world, follower);
  const withinMs = world.runUntil(() => asking.every((it) => it.text !== ""), 10_000);
  assert.ok(Math.abs(withinMs - 3 * ELECTION_MS) <= 5, `${withinMs} ms`);
  for (const { code, text } of asking)
    assert.deepEqual([code, text], [STATUS.noLeader.code, "etcdserver: no leader"]);
  world.run(10_000);
  assert.deepEqual(
    others.map((it) => it.text),
    ["", ""],
  );
});

test("calls that ask for a leader are refused at once, serializable reads and new streams among them", () => {
  const { world, follower } = followerOfThree();
  leaveAlone(world, follower);
  const outcomes = [
    world.ask(follower, METHOD.range, m.RangeRequest, { key, serializable: true }, HAS_LEADER),
    world.ask(follower, METHOD.put, m.PutRequest, { key, value: key }, HAS_LEADER),
    world.openStream(follower, METHOD.watch, m.WatchRequest, [], HAS_LEADER),
    world.openStream(follower, METHOD.leaseKeepAlive, m.LeaseKeepAliveRequest, [], HAS_LEADER),
  ];
  world.run(5);
  assert.deepEqual(
    outcomes.map((it) => it.text),
    outcomes.map(() => STATUS.noLeader.text),
  );
});

test("a renewal that finds no leader ends its stream when its time is over", () => {
  const { world, follower } = followerOfThree();
  leaveAlone(world, follower);
  const requests = [{ ID: 7n }];
  const stream = world.openStream(follower, METHOD.leaseKeepAlive, m.LeaseKeepAliveRequest, requests);
  const withinMs = world.runUntil(() => stream.text !== "", 10_000);
  assert.equal(stream.text, STATUS.noLeader.text);
  assert.ok(Math.abs(withinMs - REQUEST_TIMEOUT_MS) <= 20, `${withinMs} ms`);
});
