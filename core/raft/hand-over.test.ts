// Proposals that followers forward while leadership is handed over: none is lost, and none happens twice.

import { test } from "node:test";
import assert from "node:assert/strict";
import { ADD_LEARNER, confChange, confChangeEntryType, encodeConfChange } from "./conf-change.ts";
import * as kinds from "./message.ts";
import { RaftMessage } from "./message.ts";
import { type FlyingPacket, TestCluster } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

/** A cluster that node 1 leads, at rest, and what its nodes say from now on. */
function led(): { cluster: TestCluster; said: string[] } {
  const cluster = new TestCluster({ voters: 3, spares: 1 });
  cluster.elect(1);
  const said: string[] = [];
  cluster.listener = (text) => said.push(text);
  return { cluster, said };
}

/** Node 1 wants node 2 to lead; what it says is on its way. */
function handOver(cluster: TestCluster): void {
  cluster.node(1).raft.transferLeader(testId(2));
  cluster.node(1).pump(cluster.nowMs);
}

const isForward = (packet: FlyingPacket): boolean => packet.kind === kinds.MESSAGE_FORWARD;
const isRefusal = (packet: FlyingPacket): boolean => packet.kind === kinds.MESSAGE_FORWARD_REFUSED;

/** How often an entry with this text is in the log of node 1. */
function countOf(cluster: TestCluster, data: string): number {
  return cluster.node(1).applied.filter((entry) => entry.data === data).length;
}

test("what reaches a leader that hands over comes back, and nothing more is sent to it", () => {
  const { cluster, said } = led();
  cluster.isolate(2);
  handOver(cluster);
  cluster.propose(3, "x");
  cluster.settle();
  assert.ok(said.includes("3: 1 proposals returned"), said.join("\n"));
  assert.equal(cluster.propose(3, "y"), 0);
  assert.equal(cluster.node(3).raft.refusal, "transferring");
  assert.equal(cluster.node(3).raft.hasTaker, false);
  // Nobody takes over: from then on it leads as before.
  cluster.advance(1100);
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.ok(cluster.propose(3, "z") > 0);
  cluster.settle();
  assert.equal(countOf(cluster, "z"), 1);
  assert.equal(countOf(cluster, "x"), 0, "what came back is in nobody's log");
});

test("proposals travel behind the vote for whom the leader chose, and do not wait for its first append", () => {
  const { cluster, said } = led();
  handOver(cluster);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_TIMEOUT_NOW);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE && packet.to === 3);
  assert.ok(cluster.propose(3, "x") > 0, "it has voted and knows of no leader yet");
  const sent = cluster.packets.filter((packet) => packet.from === 3 && packet.to === 2);
  assert.deepEqual(
    sent.map((packet) => packet.kind),
    [kinds.MESSAGE_VOTE_REPLY, kinds.MESSAGE_FORWARD],
  );
  cluster.settle();
  assert.equal(countOf(cluster, "x"), 1);
  assert.equal(said.filter((text) => text.includes("returned")).length, 0, said.join("\n"));
});

test("a candidate that does not lead yet sends proposals back, and takes none of them later", () => {
  const { cluster, said } = led();
  handOver(cluster);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_TIMEOUT_NOW);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE && packet.to === 3);
  cluster.propose(3, "x");
  const packet = cluster.packets.find(isForward)!;
  cluster.deliver(packet, true);
  cluster.deliverMatching(isRefusal);
  assert.ok(said.includes("3: 1 proposals returned"), said.join("\n"));
  assert.equal(cluster.node(3).raft.hasTaker, false, "it waits until somebody leads");
  // The message arrives once more, at a leader.
  cluster.dropMatching(isForward);
  cluster.settle();
  assert.equal(cluster.node(2).raft.isLeader, true);
  assert.equal(cluster.node(3).raft.hasTaker, true);
  cluster.propose(3, "x");
  cluster.packets.push(packet);
  cluster.settle();
  assert.equal(countOf(cluster, "x"), 1);
});

test("who has waited for the chosen candidate in vain sends it nothing", () => {
  const { cluster } = led();
  handOver(cluster);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_TIMEOUT_NOW);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE && packet.to === 3);
  const { raft } = cluster.node(3);
  assert.equal(raft.hasTaker, true);
  cluster.isolate(3);
  cluster.advance(2000);
  assert.equal(raft.role, "preCandidate");
  assert.equal(raft.hasTaker, false);
});

test("what reaches a leader after it has voted for another comes back, unless it was taken before", () => {
  const { cluster, said } = led();
  cluster.propose(3, "taken");
  const taken = cluster.packets.find(isForward)!;
  cluster.deliver(taken, true);
  cluster.dropMatching(isForward);
  cluster.settle();
  cluster.propose(3, "late");
  const late = cluster.packets.filter(isForward);
  cluster.dropMatching(isForward);
  handOver(cluster);
  cluster.settle();
  assert.equal(cluster.node(2).raft.isLeader, true);
  said.length = 0;
  cluster.packets.push(taken, ...late);
  cluster.settle();
  assert.deepEqual(
    said.filter((text) => text.includes("returned") || text.includes("refused")),
    ["3: 1 proposals returned"],
  );
  assert.equal(countOf(cluster, "taken"), 1);
});

test("a refusal is heard though its reader has taken a later term by then", () => {
  const { cluster, said } = led();
  handOver(cluster);
  cluster.propose(2, "x");
  cluster.deliverMatching(isForward);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_TIMEOUT_NOW);
  assert.ok(cluster.node(2).raft.term > cluster.node(1).raft.term);
  cluster.deliverMatching(isRefusal);
  assert.ok(said.includes("2: 1 proposals returned"), said.join("\n"));
});

test("a refusal that arrives twice gives the proposals back once", () => {
  const { cluster, said } = led();
  cluster.isolate(2);
  handOver(cluster);
  cluster.propose(3, "x");
  cluster.deliverMatching(isForward);
  const refusal = cluster.packets.find(isRefusal)!;
  cluster.deliver(refusal, true);
  cluster.deliver(refusal);
  assert.equal(said.filter((text) => text === "3: 1 proposals returned").length, 1, said.join("\n"));
});

test("the leader's vote is on its way with the order to campaign, once everything is committed", () => {
  const { cluster, said } = led();
  cluster.advance(1000);
  handOver(cluster);
  assert.deepEqual(
    cluster.packets.map((packet) => packet.kind),
    [kinds.MESSAGE_TIMEOUT_NOW, kinds.MESSAGE_VOTE_REPLY],
  );
  cluster.dropMatching((packet) => packet.to === 3);
  cluster.deliverMatching(() => true);
  assert.equal(cluster.node(2).raft.isLeader, true, said.join("\n"));
  assert.equal(cluster.node(1).raft.isLeader, false);
  // It votes in that term for nobody else.
  const other = new RaftMessage();
  Object.assign(other, { kind: kinds.MESSAGE_VOTE, toLo: 1, fromLo: 3, term: cluster.node(1).raft.term });
  Object.assign(other, { index: 99, logTerm: cluster.node(1).raft.term, force: true });
  cluster.node(1).raft.step(other, cluster.nowMs);
  assert.deepEqual(cluster.node(1).raft.hardState.vote, testId(2));
});

test("the leader keeps its vote until it is asked while something is not committed, the target is silent, or a change is fresh", () => {
  const keepsIt = (cluster: TestCluster): boolean => {
    handOver(cluster);
    return cluster.node(1).raft.isTransferring;
  };
  const silent = led().cluster;
  silent.advance(1000);
  silent.isolate(2);
  silent.advance(300);
  assert.ok(keepsIt(silent), "silent");
  const changed = led().cluster;
  changed.advance(1000);
  changed.change(1, [{ type: ADD_LEARNER, id: testId(4) }]);
  changed.settle();
  assert.ok(keepsIt(changed), "changed");
  const uncommitted = led().cluster;
  uncommitted.advance(1000);
  uncommitted.node(1).autoSync = false;
  uncommitted.isolate(3);
  uncommitted.propose(1, "x");
  uncommitted.deliverMatching(() => true);
  uncommitted.deliverMatching((packet) => packet.to === 1);
  assert.ok(keepsIt(uncommitted), "uncommitted");
});

test("a change of the configuration is refused and not given back: its caller decides anew", () => {
  const { cluster, said } = led();
  cluster.isolate(2);
  handOver(cluster);
  const change = confChange([{ type: ADD_LEARNER, id: testId(4) }]);
  const bytes = encodeConfChange(change);
  cluster.node(3).raft.forward(confChangeEntryType(change), bytes, 0, bytes.length);
  cluster.node(3).pump(0);
  cluster.settle();
  assert.ok(said.includes("3: forward 1 refused"), said.join("\n"));
});
