// One test per claim of the Raft paper and thesis that a single conversation can show; what must hold in every history is
// in testing-invariants.ts (election safety 5.2, log matching 5.3, leader completeness and state machine safety 5.4).

import { test } from "node:test";
import assert from "node:assert/strict";
import { ADD_LEARNER, ADD_VOTER, REMOVE_MEMBER } from "./conf-change.ts";
import * as kinds from "./message.ts";
import { RaftMessage } from "./message.ts";
import { TestCluster, type TestClusterOptions } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

function led(options: Partial<TestClusterOptions> = {}): TestCluster {
  const cluster = new TestCluster({ voters: 3, ...options });
  cluster.elect(1);
  return cluster;
}

function message(kind: number, to: number, from: number, term: number): RaftMessage {
  const result = new RaftMessage();
  result.kind = kind;
  result.toLo = to;
  result.fromLo = from;
  result.term = term;
  return result;
}

const count = (cluster: TestCluster, kind: number, from?: number): number =>
  cluster.packets.filter((packet) => packet.kind === kind && (from === undefined || packet.from === from))
    .length;

test("a member takes over any newer term it sees (5.1)", () => {
  for (const kind of [
    kinds.MESSAGE_APPEND_REPLY,
    kinds.MESSAGE_HEARTBEAT,
    kinds.MESSAGE_HEARTBEAT_REPLY,
    kinds.MESSAGE_VOTE_REPLY,
  ]) {
    const cluster = led();
    cluster.node(2).raft.step(message(kind, 2, 3, 9), 0);
    assert.equal(cluster.node(2).raft.term, 9);
  }
});

test("a leader and a candidate become followers when they see a newer term (5.1)", () => {
  const cluster = led();
  cluster.node(1).raft.step(message(kinds.MESSAGE_HEARTBEAT, 1, 2, 5), 0);
  assert.equal(cluster.node(1).raft.role, "follower");
  cluster.isolate(3);
  cluster.order(3);
  assert.equal(cluster.node(3).raft.role, "candidate");
  cluster.node(3).raft.step(message(kinds.MESSAGE_HEARTBEAT, 3, 2, 7), 0);
  assert.equal(cluster.node(3).raft.role, "follower");
});

test("an append of an older term changes nothing (5.1)", () => {
  const cluster = led();
  cluster.order(2);
  cluster.settle();
  const { raft } = cluster.node(3);
  const before = raft.lastIndex;
  const old = message(kinds.MESSAGE_HEARTBEAT, 3, 1, 1);
  old.commit = before;
  raft.step(old, 0);
  assert.equal(raft.leader.lo, 2);
  assert.equal(raft.term, 2);
});

test("members start as followers (5.2)", () => {
  const cluster = new TestCluster({ voters: 3 });
  for (const node of cluster.nodes) assert.equal(node.raft.role, "follower");
});

test("heartbeats keep followers from campaigning (5.2)", () => {
  const cluster = led();
  cluster.advance(20_000);
  assert.equal(cluster.node(1).raft.term, 1);
  assert.equal(cluster.node(1).raft.isLeader, true);
});

test("a follower that hears nothing for an election timeout campaigns in the next term (5.2)", () => {
  const cluster = led();
  cluster.crash(1);
  cluster.advance(4000);
  assert.notEqual(cluster.leader, undefined);
  assert.ok(cluster.leader!.raft.term >= 2);
});

test("a member votes once in a term, for whom asks first (5.2)", () => {
  const cluster = new TestCluster({ voters: 3 });
  cluster.order(1);
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.settle();
  assert.equal(cluster.node(3).raft.hardState.vote.lo, 1);
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.equal(cluster.node(2).raft.isLeader, false);
});

test("a candidate leads by a majority of votes and not by fewer (5.2)", () => {
  const cluster = new TestCluster({ voters: 5 });
  cluster.order(1);
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.role, "candidate", "two of five");
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.role, "leader", "three of five");
});

test("a candidate that hears a leader of its term follows it (5.2)", () => {
  const cluster = new TestCluster({ voters: 3 });
  cluster.order(1);
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.from === 3);
  assert.equal(cluster.node(1).raft.isLeader, true);
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(cluster.node(2).raft.role, "follower");
  assert.equal(cluster.node(2).raft.leader.lo, 1);
});

test("a split vote ends in a new election (5.2)", () => {
  const cluster = new TestCluster({ voters: 4 });
  cluster.order(1);
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.from === 1 && packet.to === 3);
  cluster.deliverMatching((packet) => packet.from === 2 && packet.to === 4);
  cluster.settle();
  assert.equal(cluster.leader, undefined);
  cluster.advance(10_000);
  assert.ok(cluster.leader!.raft.term > 1);
});

test("a leader sends an entry to everybody, commits it on a majority and tells so (5.3)", () => {
  const cluster = led({ voters: 5 });
  cluster.propose(1, "x");
  assert.equal(count(cluster, kinds.MESSAGE_APPEND), 4);
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.commitIndex, 1);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.commitIndex, 2);
  cluster.deliverMatching((packet) => packet.to === 3);
  assert.equal(cluster.node(3).raft.commitIndex, 2);
});

test("committing an entry commits all before it, of earlier leaders, too (5.3)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.dropMatching(() => true);
  cluster.crash(1);
  cluster.order(2);
  cluster.settle();
  assert.equal(
    cluster
      .node(3)
      .applied.map((entry) => entry.data)
      .join(),
    ",x,",
  );
});

test("a follower refuses entries that do not follow what it has (5.3)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching((packet) => packet.to === 2);
  cluster.propose(1, "y");
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(cluster.node(2).raft.lastIndex, 1);
  cluster.settle();
  assert.equal(cluster.node(2).raft.lastIndex, 3);
});

test("a leader never changes its own log but for appending (5.3)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.settle();
  const { raft } = cluster.node(1);
  const answer = message(kinds.MESSAGE_APPEND_REPLY, 1, 2, 1);
  answer.reject = true;
  answer.index = 2;
  raft.step(answer, 0);
  cluster.settle();
  assert.equal(raft.lastIndex, 2);
});

test("a rejection skips a whole term at a time (5.3, end)", () => {
  const cluster = led();
  cluster.isolate(1);
  for (let i = 0; i < 50; i++) cluster.propose(1, `lost${i}`);
  cluster.order(2);
  cluster.settle();
  for (let i = 0; i < 60; i++) cluster.propose(2, `kept${i}`);
  cluster.settle();
  cluster.heal();
  const before = cluster.packetNumber;
  cluster.advance(300);
  assert.equal(cluster.node(1).raft.lastIndex, cluster.node(2).raft.lastIndex);
  assert.ok(cluster.packetNumber - before < 30, "a few messages, not one for each entry");
});

test("retries do no harm: a message that arrives twice changes nothing the second time (5.5)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  for (const packet of [...cluster.packets]) {
    cluster.deliver(packet, true);
    cluster.deliver(packet);
  }
  cluster.settle();
  for (const node of cluster.nodes) assert.equal(node.raft.lastIndex, 2);
});

test("a candidate whose log is behind gets no vote (5.4.1)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching((packet) => packet.to === 3);
  cluster.settle();
  cluster.crash(1);
  cluster.order(3);
  cluster.settle();
  assert.equal(cluster.node(3).raft.isLeader, false);
  cluster.advance(10_000);
  assert.equal(cluster.node(2).raft.isLeader, true);
  assert.equal(
    cluster.node(3).applied.some((entry) => entry.data === "x"),
    true,
  );
});

test("writes go on while a minority is down, and stop without a majority (5.5)", () => {
  const cluster = led({ voters: 5 });
  cluster.crash(4);
  cluster.crash(5);
  cluster.propose(1, "x");
  cluster.settle();
  assert.equal(cluster.node(1).raft.commitIndex, 2);
  cluster.crash(3);
  cluster.propose(1, "y");
  cluster.settle();
  assert.equal(cluster.node(1).raft.commitIndex, 2);
});

test("a new leader appends an entry of its term at once (8)", () => {
  const cluster = led();
  assert.equal(cluster.node(1).raft.lastIndex, 1);
  assert.equal(cluster.node(1).entryAt(1).data, "");
});

test("a follower installs a snapshot in place of a log that conflicts with it, and keeps one that agrees (7)", () => {
  const cluster = led();
  cluster.isolate(3);
  cluster.order(3);
  cluster.propose(1, "x");
  cluster.settle();
  cluster.node(1).compact(2);
  cluster.heal();
  cluster.advance(5_000);
  assert.equal(
    cluster.node(3).applied.some((entry) => entry.data === "x"),
    true,
  );
  // Agreeing: node 2 has everything; a snapshot of entry 2 removes nothing.
  const { raft } = cluster.node(2);
  const last = raft.lastIndex;
  const snapshot = message(kinds.MESSAGE_SNAPSHOT, 2, raft.leader.lo, raft.term);
  snapshot.index = 2;
  snapshot.logTerm = 1;
  snapshot.confState = raft.confState;
  raft.step(snapshot, cluster.nowMs);
  assert.equal(raft.lastIndex, last);
});

test("leadership can be handed over without a pause of an election timeout (thesis 3.10)", () => {
  const cluster = led();
  cluster.node(1).raft.transferLeader(testId(3));
  cluster.node(1).pump(0);
  cluster.settle();
  assert.equal(cluster.node(3).raft.isLeader, true);
  assert.equal(cluster.nowMs, 0);
});

test("a member is added while the cluster serves, one that is far behind as a learner first (thesis 4.1, 4.2.1)", () => {
  const cluster = led({ spares: 1 });
  for (let i = 0; i < 20; i++) cluster.propose(1, `v${i}`);
  cluster.settle();
  cluster.change(1, [{ type: ADD_LEARNER, id: testId(4) }]);
  cluster.settle();
  assert.equal(cluster.node(4).appliedIndex, cluster.node(1).appliedIndex);
  cluster.change(1, [{ type: ADD_VOTER, id: testId(4) }]);
  cluster.settle();
  assert.equal(cluster.node(4).raft.confState.voters.length, 4);
});

test("a leader manages the cluster until its own removal is committed (thesis 4.2.2)", () => {
  const cluster = led({ bootstrap: true });
  cluster.isolate(1);
  cluster.change(1, [{ type: REMOVE_MEMBER, id: testId(1) }]);
  cluster.settle();
  assert.equal(cluster.node(1).raft.isLeader, true);
  cluster.heal();
  cluster.advance(300);
  assert.equal(cluster.node(1).raft.isLeader, false);
});

test("a removed member that does not know of it disturbs nobody (thesis 4.2.3)", () => {
  const cluster = led({ bootstrap: true });
  cluster.isolate(3);
  cluster.change(1, [{ type: REMOVE_MEMBER, id: testId(3) }]);
  cluster.settle();
  // It hears nobody, and everybody hears it.
  for (const link of ["3>1", "3>2"]) cluster.cut.delete(link);
  cluster.advance(30_000);
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.equal(cluster.node(1).raft.term, 2, "the term of the first election");
});

test("a joint configuration needs both majorities to elect (thesis 4.3)", () => {
  const cluster = led({ voters: 3, spares: 2, bootstrap: true });
  cluster.change(1, [
    { type: ADD_VOTER, id: testId(4) },
    { type: ADD_VOTER, id: testId(5) },
    { type: REMOVE_MEMBER, id: testId(2) },
    { type: REMOVE_MEMBER, id: testId(3) },
  ]);
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.deliverMatching((packet) => packet.to === 1);
  cluster.deliverMatching((packet) => packet.to === 2);
  const { raft } = cluster.node(2);
  assert.equal(raft.confState.votersOutgoing.length, 3, "node 2 is joint");
  cluster.crash(1);
  cluster.dropMatching(() => true);
  cluster.isolate(4);
  cluster.isolate(5);
  cluster.advance(10_000);
  assert.equal(cluster.leader, undefined, "without the new majority there is no leader");
});

test("a leader steps down when it hears no majority for an election timeout (thesis 6.2)", () => {
  const cluster = led();
  cluster.isolate(1);
  cluster.advance(900);
  assert.equal(cluster.node(1).raft.isLeader, true);
  cluster.advance(200);
  assert.equal(cluster.node(1).raft.isLeader, false);
});

test("all reads of a turn are confirmed by one round of heartbeats (thesis 6.4)", () => {
  const cluster = led();
  const node = cluster.node(1);
  for (let context = 100; context < 200; context++) {
    cluster.invariants.onReadAsked(node, context);
    node.raft.readIndex(context);
  }
  node.pump(0);
  assert.equal(cluster.packets.length, 2);
  cluster.settle();
  for (let context = 100; context < 200; context++) assert.equal(cluster.reads.get(context), 1);
});

test("a candidate that would lose raises no term: pre-vote (thesis 9.6)", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching((packet) => packet.to === 3);
  cluster.settle();
  cluster.crash(1);
  cluster.campaign(3);
  cluster.settle();
  assert.equal(cluster.node(3).raft.term, 1);
  assert.equal(cluster.node(2).raft.term, 1);
});

test("a leader sends while its own disk works, and counts others before itself (thesis 10.2.1)", () => {
  const cluster = led({ autoSync: false });
  cluster.propose(1, "x");
  assert.equal(count(cluster, kinds.MESSAGE_APPEND, 1), 2);
  cluster.deliverMatching(() => true);
  cluster.sync(2);
  cluster.sync(3);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.commitIndex, 2, "two others have it durably");
  assert.equal(cluster.node(1).appliedIndex, 1, "but here it is applied when it is durable here");
  cluster.sync(1);
  assert.equal(cluster.node(1).appliedIndex, 2);
});

test("proposals of a turn travel in one message to each follower (thesis 10.2.2)", () => {
  const cluster = led();
  const { raft } = cluster.node(1);
  for (let i = 0; i < 100; i++) raft.propose(new Uint8Array(10), 0, 10);
  cluster.node(1).pump(0);
  assert.equal(count(cluster, kinds.MESSAGE_APPEND), 2);
});

test("appends are pipelined: the next goes out before the last was acknowledged (thesis 10.2.2)", () => {
  const cluster = led();
  for (let i = 0; i < 5; i++) cluster.propose(1, `v${i}`);
  assert.equal(count(cluster, kinds.MESSAGE_APPEND), 10);
});
