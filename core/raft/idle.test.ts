import assert from "node:assert/strict";
import { test } from "node:test";
import { TestCluster } from "./testing-cluster.ts";

test("an idle leader stays leader: its heartbeats ask for answers although nobody reads", () => {
  const cluster = new TestCluster({ voters: 3 });
  cluster.elect(1);
  const term = cluster.node(1).raft.term;
  for (let i = 0; i < 50; i++) cluster.advance(100);
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.equal(cluster.node(1).raft.term, term);
});
