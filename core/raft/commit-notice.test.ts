import assert from "node:assert/strict";
import { test } from "node:test";
import { MESSAGE_HEARTBEAT } from "./message.ts";
import { ADD_LEARNER } from "./conf-change.ts";
import { TestCluster } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

const DELAY_MS = 5;

/** Node 1 leads, everybody knows everything. */
function quietCluster(more: { readonly spares?: number } = {}): TestCluster {
  const limits = { commitNoticeDelayMs: DELAY_MS };
  const cluster = new TestCluster({ voters: 3, limits, autoSync: true, ...more });
  cluster.elect(1);
  cluster.advance(DELAY_MS);
  return cluster;
}

function heartbeatsDuring(cluster: TestCluster, action: () => void): number {
  let count = 0;
  cluster.listener = (text) => (count += text.includes("heartbeat") && !text.includes("reply") ? 1 : 0);
  action();
  cluster.listener = undefined;
  return count;
}

const committedAt = (cluster: TestCluster, id: number): number => cluster.node(id).raft.commitIndex;

test("a commit index travels with the next append, and no message of its own is sent meanwhile", () => {
  const cluster = quietCluster();
  const told = heartbeatsDuring(cluster, () => {
    for (let i = 0; i < 10; i++) {
      cluster.propose(1, `x${i}`);
      cluster.settle();
      cluster.nowMs += 1;
    }
  });
  assert.equal(told, 0);
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1) - 1);
});

test("a commit index that no append takes along is told after the delay, once", () => {
  const cluster = quietCluster();
  cluster.propose(1, "x");
  cluster.settle();
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1) - 1);
  assert.equal(cluster.node(1).raft.nextDeadlineMs, cluster.nowMs + DELAY_MS);
  assert.equal(
    heartbeatsDuring(cluster, () => cluster.advance(DELAY_MS)),
    2,
  );
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1));
  assert.equal(committedAt(cluster, 3), committedAt(cluster, 1));
  assert.ok(cluster.node(1).raft.nextDeadlineMs > cluster.nowMs + DELAY_MS, "the leader rests again");
});

test("a follower that forwarded the proposal is told of its commit at once, the others later", () => {
  const cluster = quietCluster();
  cluster.propose(2, "x");
  cluster.settle();
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1));
  assert.equal(committedAt(cluster, 3), committedAt(cluster, 1) - 1);
});

test("a change of the configuration is told at once", () => {
  const cluster = quietCluster({ spares: 1 });
  cluster.change(1, [{ type: ADD_LEARNER, id: testId(4) }]);
  cluster.settle();
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1));
  assert.equal(committedAt(cluster, 3), committedAt(cluster, 1));
});

test("a follower whose read was confirmed is told at once what it waits for", () => {
  const cluster = quietCluster();
  // Node 2 gets the entry last: its acknowledgement comes when the read was confirmed already.
  cluster.propose(1, "x");
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 1);
  const append = cluster.packets.filter((packet) => packet.to === 2);
  cluster.dropMatching((packet) => packet.to === 2);
  const context = cluster.read(2);
  cluster.settle();
  assert.equal(cluster.reads.get(context), committedAt(cluster, 1));
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1) - 1);
  cluster.packets.push(...append);
  cluster.settle();
  assert.equal(committedAt(cluster, 2), committedAt(cluster, 1));
  assert.equal(cluster.packets.filter((packet) => packet.kind === MESSAGE_HEARTBEAT).length, 0);
});
