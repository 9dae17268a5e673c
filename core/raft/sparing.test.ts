import assert from "node:assert/strict";
import { test } from "node:test";
import { ADD_LEARNER, ADD_VOTER } from "./conf-change.ts";
import { MESSAGE_APPEND } from "./message.ts";
import { type FlyingPacket, TestCluster, type TestClusterOptions } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

const DELAY_MS = 5;

/** Node 1 leads, everybody knows everything, and every follower's acknowledgements were timed. */
function quietCluster(more: Partial<TestClusterOptions> = {}): TestCluster {
  const cluster = new TestCluster({
    voters: 3,
    limits: { sparedDelayMs: DELAY_MS },
    autoSync: true,
    ...more,
  });
  cluster.elect(1);
  cluster.advance(DELAY_MS);
  return cluster;
}

const isAppend = (packet: FlyingPacket): boolean => packet.kind === MESSAGE_APPEND;

/** To whom appends are on their way. */
function targets(cluster: TestCluster): number[] {
  return cluster.packets
    .filter(isAppend)
    .map((packet) => packet.to)
    .sort((a, b) => a - b);
}

/** Proposes at the leader and says who gets it at once. */
function chosenOf(cluster: TestCluster): number[] {
  cluster.propose(1, "who");
  const chosen = targets(cluster);
  cluster.settle();
  cluster.advance(DELAY_MS);
  return chosen;
}

const lastIndexAt = (cluster: TestCluster, id: number): number => cluster.node(id).raft.lastIndex;
const committedAt = (cluster: TestCluster, id: number): number => cluster.node(id).raft.commitIndex;

test("of three members one follower gets an entry at once and the other one after the delay, all of them in one append", () => {
  const cluster = quietCluster();
  const chosen = chosenOf(cluster);
  assert.equal(chosen.length, 1);
  const spared = chosen[0] === 2 ? 3 : 2;
  for (let i = 0; i < 4; i++) {
    cluster.propose(1, `x${i}`);
    assert.deepEqual(targets(cluster), chosen);
    cluster.settle();
    assert.equal(committedAt(cluster, 1), lastIndexAt(cluster, 1), "the chosen one is enough");
    cluster.nowMs += 1;
  }
  assert.equal(lastIndexAt(cluster, spared), lastIndexAt(cluster, 1) - 4);
  cluster.advance(1, false);
  assert.deepEqual(targets(cluster), [spared], "one append for four entries");
  cluster.settle();
  assert.equal(lastIndexAt(cluster, spared), lastIndexAt(cluster, 1));
  assert.equal(committedAt(cluster, spared), committedAt(cluster, 1), "it tells what is committed as well");
  assert.ok(cluster.node(1).raft.nextDeadlineMs > cluster.nowMs + DELAY_MS, "the leader rests again");
});

test("of five members two followers get an entry at once", () => {
  assert.equal(chosenOf(quietCluster({ voters: 5 })).length, 2);
});

test("with a delay of 0 nobody is spared", () => {
  assert.deepEqual(chosenOf(quietCluster({ limits: { sparedDelayMs: 0 } })), [2, 3]);
});

test("a chosen follower that falls silent costs one delay, once", () => {
  const cluster = quietCluster();
  const [chosen] = chosenOf(cluster) as [number];
  cluster.isolate(chosen);
  cluster.propose(1, "x");
  cluster.settle();
  assert.equal(committedAt(cluster, 1), lastIndexAt(cluster, 1) - 1);
  cluster.advance(DELAY_MS);
  assert.equal(committedAt(cluster, 1), lastIndexAt(cluster, 1));
  for (let i = 0; i < 3; i++) {
    cluster.propose(1, `y${i}`);
    cluster.settle();
    assert.equal(committedAt(cluster, 1), lastIndexAt(cluster, 1), "the other one is chosen now");
  }
});

test("a chosen follower whose connection breaks is replaced at once", () => {
  const cluster = quietCluster();
  const [chosen] = chosenOf(cluster) as [number];
  cluster.isolate(chosen);
  cluster.node(1).raft.reportUnreachable(testId(chosen));
  cluster.propose(1, "x");
  cluster.settle();
  assert.equal(committedAt(cluster, 1), lastIndexAt(cluster, 1));
});

test("a follower that acknowledges much sooner takes the slow one's place", () => {
  const cluster = quietCluster();
  const [chosen] = chosenOf(cluster) as [number];
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `x${i}`);
    cluster.deliverMatching((packet) => packet.to !== chosen);
    // Its answers take a whole delay, those of the other one no time.
    for (let ms = 0; ms < DELAY_MS; ms++) {
      cluster.advance(1, false);
      cluster.deliverMatching((packet) => packet.to !== chosen && packet.from !== chosen);
      cluster.deliverMatching((packet) => packet.to === 1 && packet.from !== chosen);
    }
    cluster.settle();
  }
  assert.notDeepEqual(chosenOf(cluster), [chosen]);
});

test("a spared follower gets at once what its own client proposed, and what its reader needs", () => {
  const cluster = quietCluster();
  const spared = chosenOf(cluster)[0] === 2 ? 3 : 2;
  cluster.propose(spared, "x");
  cluster.settle();
  assert.equal(committedAt(cluster, spared), lastIndexAt(cluster, 1));
  cluster.propose(1, "y");
  cluster.settle();
  assert.equal(lastIndexAt(cluster, spared), lastIndexAt(cluster, 1) - 1);
  const context = cluster.read(spared);
  cluster.settle();
  assert.equal(cluster.reads.get(context), lastIndexAt(cluster, 1));
  assert.equal(committedAt(cluster, spared), lastIndexAt(cluster, 1));
});

test("a spared follower to which leadership is handed gets everything at once", () => {
  const cluster = quietCluster();
  const spared = chosenOf(cluster)[0] === 2 ? 3 : 2;
  cluster.propose(1, "x");
  cluster.settle();
  cluster.node(1).raft.transferLeader(testId(spared));
  cluster.node(1).pump(cluster.nowMs);
  cluster.settle();
  assert.ok(cluster.node(spared).raft.isLeader);
});

test("much that is held back goes out before its time", () => {
  const cluster = quietCluster();
  const [chosen] = chosenOf(cluster) as [number];
  cluster.propose(1, "x".repeat(10_000));
  assert.deepEqual(targets(cluster), [chosen]);
  for (let i = 0; i < 8; i++) cluster.propose(1, "x".repeat(10_000));
  assert.deepEqual([...new Set(targets(cluster))], [2, 3]);
});

test("in a joint configuration nobody is spared; a learner always is", () => {
  const cluster = quietCluster({ spares: 2 });
  cluster.change(1, [{ type: ADD_LEARNER, id: testId(4) }]);
  cluster.settle();
  cluster.advance(200);
  assert.equal(chosenOf(cluster).length, 1);
  cluster.change(1, [
    { type: ADD_VOTER, id: testId(4) },
    { type: ADD_VOTER, id: testId(5) },
  ]);
  while (cluster.node(1).raft.confState.votersOutgoing.length === 0) cluster.deliver(cluster.packets[0]!);
  cluster.dropMatching(isAppend);
  cluster.propose(1, "all that answer");
  assert.deepEqual(new Set(targets(cluster)), new Set([2, 3, 4]));
  cluster.settle();
  cluster.advance(400);
  assert.equal(cluster.node(1).raft.confState.voters.length, 5);
  assert.equal(chosenOf(cluster).length, 2);
});
