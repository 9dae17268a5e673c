import assert from "node:assert/strict";
import { test } from "node:test";
import { MESSAGE_HEARTBEAT, MESSAGE_READ_INDEX } from "./message.ts";
import { TestCluster } from "./testing-cluster.ts";

function quietCluster(options: { readonly voters: number; readonly learners?: number }): TestCluster {
  const cluster = new TestCluster({ ...options, autoSync: true });
  cluster.elect(1);
  cluster.advance(10);
  return cluster;
}

const questions = (cluster: TestCluster): number =>
  cluster.packets.filter((packet) => packet.kind === MESSAGE_HEARTBEAT).length;

test("of three members a follower's question is its own confirmation: nobody else is asked", () => {
  const cluster = quietCluster({ voters: 3 });
  const index = cluster.propose(1, "x");
  cluster.settle();
  cluster.isolate(3);
  const context = cluster.read(2);
  cluster.deliverMatching((packet) => packet.kind === MESSAGE_READ_INDEX);
  assert.equal(questions(cluster), 0);
  cluster.settle();
  assert.equal(cluster.reads.get(context), index);
});

test("of five members, and for a learner, others have to answer", () => {
  for (const options of [{ voters: 5 }, { voters: 3, learners: 1 }]) {
    const cluster = quietCluster(options);
    const asker = options.voters === 5 ? 2 : 4;
    const context = cluster.read(asker);
    cluster.deliverMatching((packet) => packet.kind === MESSAGE_READ_INDEX);
    assert.ok(questions(cluster) > 0);
    assert.equal(cluster.reads.get(context), undefined);
    cluster.settle();
    assert.equal(cluster.reads.get(context), cluster.node(1).raft.commitIndex);
  }
});

test("a question of an earlier term confirms nothing: its sender may have followed another leader meanwhile", () => {
  const cluster = quietCluster({ voters: 3 });
  const context = cluster.read(2);
  const [question] = cluster.packets.filter((packet) => packet.kind === MESSAGE_READ_INDEX);
  cluster.dropMatching(() => true);
  cluster.order(3);
  cluster.settle();
  cluster.order(1);
  cluster.settle();
  assert.ok(cluster.node(1).raft.isLeader);
  cluster.packets.push(question!);
  cluster.deliver(question!);
  cluster.settle();
  assert.equal(cluster.reads.get(context), -1, "it was handed back when the term ended");
});

test("a leader that was replaced and does not know it answers no question of a follower that does", () => {
  const cluster = quietCluster({ voters: 3 });
  cluster.isolate(1);
  cluster.order(2);
  cluster.settle();
  const index = cluster.propose(2, "x");
  cluster.settle();
  cluster.heal();
  const context = cluster.read(3);
  cluster.settle();
  assert.equal(cluster.reads.get(context), index);
});
