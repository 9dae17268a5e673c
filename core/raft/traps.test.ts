// One test per trap of others (R1-R30 in the list that docs/internals/raft.md names), called after what it protects. Some are
// properties and stand with their module: R10, R16 quorum.test.ts, R12, R26 progress.test.ts, R23 log.test.ts; liveness after all of them:
// random-cluster.test.ts.

import { test } from "node:test";
import assert from "node:assert/strict";
import { Prng } from "../base/prng.ts";
import { ADD_LEARNER, ADD_VOTER, REMOVE_MEMBER } from "./conf-change.ts";
import { EntryBatch } from "./entry-batch.ts";
import { RaftLog } from "./log.ts";
import * as kinds from "./message.ts";
import { RaftMessage } from "./message.ts";
import { LogLostError } from "./state.ts";
import { TestCluster, type TestClusterOptions } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

/** A cluster that node 1 leads, at rest. */
function led(options: Partial<TestClusterOptions> = {}): TestCluster {
  const cluster = new TestCluster({ voters: 3, ...options });
  cluster.elect(1);
  return cluster;
}

/** A message to node `to`, of a term. */
function message(kind: number, to: number, from: number, term: number): RaftMessage {
  const result = new RaftMessage();
  result.kind = kind;
  result.toLo = to;
  result.fromLo = from;
  result.term = term;
  return result;
}

function append(
  to: number,
  from: number,
  term: number,
  previous: readonly [number, number],
  entryTerms: readonly number[],
): RaftMessage {
  const result = message(kinds.MESSAGE_APPEND, to, from, term);
  result.index = previous[0];
  result.logTerm = previous[1];
  const batch = new EntryBatch();
  for (const entryTerm of entryTerms) batch.add(0, entryTerm, new Uint8Array(0), 0, 0);
  result.batch = batch;
  return result;
}

const sentBy = (cluster: TestCluster, from: number, kind: number): number =>
  cluster.packets.filter((packet) => packet.from === from && packet.kind === kind).length;

test("R1: an entry of an older term on a majority is not committed by counting", () => {
  const cluster = led({ limits: { raftAppendBytesMax: 1 } });
  cluster.propose(1, "x");
  cluster.dropMatching(() => true);
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(cluster.node(2).raft.isLeader, true);
  cluster.dropMatching(() => true);
  cluster.crash(1);
  cluster.restart(1);
  cluster.order(1);
  cluster.dropMatching(() => true);
  cluster.order(1);
  cluster.dropMatching((packet) => packet.to === 2);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(1).raft.isLeader, true);
  // Node 3 rejects, then gets x alone.
  for (let i = 0; i < 4 && cluster.node(3).raft.lastIndex < 2; i++)
    cluster.deliverMatching((packet) => packet.to !== 2);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.node(3).raft.log.term(2), 1, "x is on a majority");
  assert.equal(cluster.node(1).raft.commitIndex, 1);
});

test("R2: a new leader confirms no read before it has committed in its term", () => {
  const cluster = led();
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE_REPLY);
  assert.equal(cluster.node(2).raft.isLeader, true);
  const context = cluster.read(2);
  assert.equal(sentBy(cluster, 2, kinds.MESSAGE_HEARTBEAT), 0);
  cluster.settle();
  assert.equal(cluster.reads.get(context), 2);
});

test("R3: a late answer to an earlier heartbeat confirms no later read", () => {
  const cluster = led();
  const first = cluster.read(1);
  cluster.deliverMatching((packet) => packet.to === 2);
  const second = cluster.read(1);
  cluster.dropMatching((packet) => packet.kind === kinds.MESSAGE_HEARTBEAT);
  cluster.deliverMatching((packet) => packet.to === 1);
  assert.equal(cluster.reads.get(first), 1);
  assert.equal(cluster.reads.get(second), undefined);
});

test("R3: an answer for an earlier life of the follower confirms nothing", () => {
  const cluster = led();
  cluster.read(3);
  cluster.deliverMatching((packet) => packet.from === 3);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_HEARTBEAT);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_HEARTBEAT_REPLY);
  assert.equal(sentBy(cluster, 1, kinds.MESSAGE_READ_INDEX_REPLY), 1);
  cluster.crash(3);
  cluster.restart(3);
  const stale = cluster.packets.find((packet) => packet.kind === kinds.MESSAGE_READ_INDEX_REPLY)!;
  // It has to know the leader again, and its first request has the same number.
  cluster.advance(100, false);
  cluster.deliverMatching((packet) => packet.to === 3 && packet.kind === kinds.MESSAGE_HEARTBEAT);
  const context = cluster.read(3);
  cluster.deliver(stale);
  assert.equal(cluster.reads.get(context), undefined);
});

test("R4: a leader that hears nobody confirms no read, however fresh its lease is", () => {
  const cluster = led();
  cluster.isolate(1);
  const context = cluster.read(1);
  cluster.settle();
  assert.equal(cluster.reads.get(context), undefined);
});

test("R5: neither a vote nor a candidacy leaves before term and vote are durable", () => {
  const cluster = new TestCluster({ voters: 3, autoSync: false });
  cluster.order(1);
  assert.equal(cluster.packets.length, 0);
  cluster.sync(1);
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(sentBy(cluster, 2, kinds.MESSAGE_VOTE_REPLY), 0);
  // Lost with the crash, the vote was never given: another candidate may have it.
  cluster.crash(2);
  cluster.restart(2);
  assert.equal(cluster.node(2).raft.term, 0);
  cluster.order(3);
  cluster.sync(3);
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.sync(2);
  assert.equal(cluster.node(2).raft.hardState.vote.lo, 3);
});

test("R6: a member alone commits nothing before its own disk has it", () => {
  const cluster = new TestCluster({ voters: 1, autoSync: false });
  cluster.campaign(1);
  cluster.sync(1);
  cluster.sync(1);
  cluster.propose(1, "x");
  assert.equal(cluster.node(1).raft.commitIndex, 1);
  cluster.sync(1);
  assert.equal(cluster.node(1).raft.commitIndex, 2);
});

test("R7: a follower acknowledges what is durable, not what it has heard", () => {
  const cluster = led({ autoSync: false });
  cluster.propose(1, "x");
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(sentBy(cluster, 2, kinds.MESSAGE_APPEND_REPLY), 0);
  cluster.sync(2);
  assert.equal(sentBy(cluster, 2, kinds.MESSAGE_APPEND_REPLY), 1);
});

test("R8: a write that was replaced and came back is not durable by its first write", () => {
  const cluster = new TestCluster({ voters: 3, autoSync: false });
  const node = cluster.node(3);
  const step = (incoming: RaftMessage): void => {
    node.raft.step(incoming, 0);
    node.pump(0);
  };
  step(append(3, 1, 1, [0, 0], [1, 1]));
  step(append(3, 2, 2, [0, 0], [2, 2]));
  step(append(3, 1, 3, [0, 0], [1, 1, 3]));
  assert.equal(node.batches.length, 3);
  assert.equal(node.raft.log.term(2), 1, "entry 2 is what it was at first");
  cluster.sync(3, 1);
  assert.equal(node.raft.durableIndex, 0, "but the write that replaced it is still to come");
  cluster.sync(3, 1);
  assert.equal(node.raft.durableIndex, 0);
  cluster.sync(3, 1);
  assert.equal(node.raft.durableIndex, 3);
});

test("R9: late and repeated completions of the disk change nothing", () => {
  const cluster = led({ voters: 1, autoSync: false });
  const node = cluster.node(1);
  cluster.propose(1, "x");
  cluster.propose(1, "y");
  const [first, second] = node.batches.splice(0);
  node.raft.persisted(second!.sequence);
  assert.equal(node.raft.durableIndex, 3);
  node.raft.persisted(first!.sequence);
  node.raft.persisted(second!.sequence);
  assert.equal(node.raft.durableIndex, 3);
});

test("R11: an acknowledgement of another term, or of entries that were never sent, counts for nothing", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching(() => true);
  const { raft } = cluster.node(1);
  const old = message(kinds.MESSAGE_APPEND_REPLY, 1, 2, 0);
  old.index = 2;
  raft.step(old, 0);
  const wild = message(kinds.MESSAGE_APPEND_REPLY, 1, 2, raft.term);
  wild.index = 50;
  raft.step(wild, 0);
  assert.equal(raft.commitIndex, 1);
  assert.equal(raft.matchIndexOf(testId(2)), 1);
});

test("R12: an old rejection does not take back what was acknowledged", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.settle();
  const { raft } = cluster.node(1);
  const old = message(kinds.MESSAGE_APPEND_REPLY, 1, 2, raft.term);
  old.reject = true;
  old.index = 1;
  raft.step(old, 0);
  cluster.propose(1, "y");
  assert.equal(sentBy(cluster, 1, kinds.MESSAGE_APPEND), 2, "the pipeline goes on");
  cluster.settle();
  assert.equal(raft.commitIndex, 3);
});

test("R13: a heartbeat tells a follower no more than it is known to have", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching((packet) => packet.to === 3);
  cluster.settle();
  assert.equal(cluster.node(1).raft.commitIndex, 2);
  cluster.advance(100, false);
  cluster.deliverMatching((packet) => packet.to === 3);
  assert.equal(cluster.node(3).raft.commitIndex, 1);
});

test("R14: one change of the configuration at a time", () => {
  const cluster = led({ voters: 3, spares: 2 });
  const { raft } = cluster.node(1);
  assert.ok(cluster.change(1, [{ type: ADD_VOTER, id: testId(4) }]) > 0);
  assert.equal(cluster.change(1, [{ type: ADD_VOTER, id: testId(5) }]), 0);
  assert.equal(raft.refusal, "changePending");
  cluster.settle();
  assert.ok(cluster.change(1, [{ type: ADD_VOTER, id: testId(5) }]) > 0);
});

test("R14: a change in the log of an earlier leader counts as well", () => {
  const cluster = led({ voters: 3, spares: 2 });
  cluster.change(1, [{ type: ADD_VOTER, id: testId(4) }]);
  cluster.deliverMatching((packet) => packet.to === 2);
  cluster.dropMatching(() => true);
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.to === 3);
  cluster.deliverMatching((packet) => packet.to === 2);
  assert.equal(cluster.change(2, [{ type: ADD_VOTER, id: testId(5) }]), 0);
  assert.equal(cluster.node(2).raft.refusal, "changePending");
});

test("R15: no change before the leader has committed in its term", () => {
  const cluster = led({ voters: 3, spares: 1 });
  cluster.order(2);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE);
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_VOTE_REPLY);
  assert.equal(cluster.node(2).raft.isLeader, true);
  assert.equal(cluster.change(2, [{ type: ADD_VOTER, id: testId(4) }]), 0);
  assert.equal(cluster.node(2).raft.refusal, "notCommittedInTerm");
});

test("R16: while joint, the old majority alone commits nothing", () => {
  const cluster = led({ voters: 3, spares: 2 });
  cluster.isolate(4);
  cluster.isolate(5);
  cluster.change(1, [
    { type: ADD_VOTER, id: testId(4) },
    { type: ADD_VOTER, id: testId(5) },
    { type: REMOVE_MEMBER, id: testId(2) },
    { type: REMOVE_MEMBER, id: testId(3) },
  ]);
  cluster.settle();
  const { raft } = cluster.node(1);
  assert.equal(raft.confState.votersOutgoing.length, 3);
  const before = raft.commitIndex;
  assert.ok(cluster.propose(1, "x") > 0);
  cluster.settle();
  assert.equal(raft.commitIndex, before);
  cluster.heal();
  cluster.advance(1000);
  assert.ok(raft.commitIndex > before);
});

test("R17: a learner counts for nothing", () => {
  const cluster = led({ voters: 2, learners: 1 });
  cluster.isolate(2);
  cluster.propose(1, "x");
  cluster.settle();
  assert.equal(cluster.node(3).raft.lastIndex, 2);
  assert.equal(cluster.node(1).raft.commitIndex, 1);
  cluster.campaign(3);
  assert.equal(cluster.node(3).raft.role, "follower");
});

test("R18: a removed leader commits its removal, orders a successor and leads no more", () => {
  const cluster = led({ voters: 3, bootstrap: true });
  cluster.change(1, [{ type: REMOVE_MEMBER, id: testId(1) }]);
  cluster.settle();
  assert.equal(cluster.node(1).raft.role, "follower");
  assert.notEqual(cluster.leader, undefined, "the others have a leader at once");
  cluster.campaign(1);
  assert.equal(cluster.node(1).raft.role, "follower", "who is removed does not campaign");
});

test("R18: the vote of a removed member does not count", () => {
  const cluster = led({ voters: 3, bootstrap: true });
  cluster.change(1, [{ type: REMOVE_MEMBER, id: testId(3) }]);
  cluster.settle();
  cluster.crash(1);
  cluster.order(2);
  const vote = message(kinds.MESSAGE_VOTE_REPLY, 2, 3, cluster.node(2).raft.term);
  cluster.node(2).raft.step(vote, 0);
  assert.equal(cluster.node(2).raft.role, "candidate");
});

test("R19: a member that believes to be a learner votes when it is asked", () => {
  const cluster = led({ voters: 2, learners: 1 });
  cluster.isolate(3);
  cluster.change(1, [{ type: ADD_VOTER, id: testId(3) }]);
  cluster.settle();
  assert.equal(cluster.node(3).raft.confState.learners.length, 1);
  cluster.heal();
  cluster.crash(1);
  cluster.order(2);
  cluster.settle();
  assert.equal(cluster.node(2).raft.isLeader, true);
});

test("R20: a member that is stuck with a newer term comes back by the answer to an old heartbeat", () => {
  const cluster = led();
  cluster.isolate(3);
  cluster.order(3);
  assert.equal(cluster.node(3).raft.term, 2);
  cluster.heal();
  cluster.advance(5000);
  const { leader } = cluster;
  assert.notEqual(leader, undefined);
  for (const node of cluster.nodes) assert.equal(node.raft.term, leader!.raft.term);
});

test("R20: a pre-vote of an older term is refused aloud, so that the candidate learns the term", () => {
  const cluster = led();
  cluster.isolate(3);
  cluster.order(2);
  cluster.settle();
  cluster.order(2);
  cluster.settle();
  cluster.heal();
  cluster.campaign(3);
  cluster.settle();
  assert.equal(cluster.node(3).raft.term, cluster.node(2).raft.term);
  assert.notEqual(cluster.node(3).raft.role, "preCandidate");
});

test("R21: with one link broken for ever there is one leader, and terms stand still", () => {
  for (const cut of [["1>3", "3>1"], ["1>3"], ["3>1"], ["2>3", "3>2"]]) {
    const cluster = led();
    for (const link of cut) cluster.cut.add(link);
    cluster.advance(5_000);
    const { term } = cluster.leader!.raft;
    const before = cluster.leader!.raft.commitIndex;
    cluster.advance(60_000);
    assert.equal(cluster.leader!.raft.term, term, `${cut.join()}: terms stand still`);
    cluster.propose(cluster.leader!.id, "x");
    cluster.settle();
    assert.ok(cluster.leader!.raft.commitIndex > before, `${cut.join()}: writes go on`);
  }
});

test("R22: an old append does not cut off entries that came after it", () => {
  const cluster = led();
  cluster.propose(1, "x");
  const copies = cluster.packets.filter((packet) => packet.to === 2);
  for (const packet of copies) cluster.deliver(packet, true);
  cluster.propose(1, "y");
  cluster.deliverMatching((packet) => packet.to === 2 && !copies.includes(packet));
  assert.equal(cluster.node(2).raft.lastIndex, 3);
  for (const packet of copies) cluster.deliver(packet);
  assert.equal(cluster.node(2).raft.lastIndex, 3);
  assert.equal(cluster.node(2).lastDurable, 3);
});

test("R23: a longer log of an older term gets no vote", () => {
  const cluster = led();
  cluster.isolate(1);
  for (const value of ["a", "b", "c"]) cluster.propose(1, value);
  cluster.order(2);
  cluster.settle();
  cluster.heal();
  cluster.crash(1);
  cluster.restart(1);
  cluster.order(1);
  cluster.order(1);
  assert.equal(cluster.node(1).raft.term, 3);
  cluster.settle();
  assert.equal(cluster.node(1).raft.lastIndex, 4);
  assert.equal(cluster.node(1).raft.isLeader, false);
});

test("R24: a snapshot that is older than what is committed installs nothing and is acknowledged", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.settle();
  const { raft } = cluster.node(2);
  const old = message(kinds.MESSAGE_SNAPSHOT, 2, 1, raft.term);
  old.index = 1;
  old.logTerm = 1;
  old.confState = raft.confState;
  raft.step(old, 0);
  const output = raft.takeOutput(0)!;
  assert.equal(output.snapshot, undefined);
  assert.equal(output.messages[0]!.index, 2);
});

test("R25: a follower behind a log that was compacted to its end gets a snapshot from an idle leader", () => {
  const cluster = led();
  cluster.isolate(3);
  cluster.propose(1, "x");
  cluster.settle();
  cluster.node(1).compact(cluster.node(1).appliedIndex);
  cluster.heal();
  cluster.advance(500);
  assert.equal(cluster.node(3).appliedIndex, 2);
  assert.equal(cluster.node(3).applied.at(-1)!.data, "x");
});

test("R26: whatever is lost on the way, the peer is fed again", () => {
  const cluster = led({ limits: { raftInflightCountMax: 2 } });
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `v${i}`);
    cluster.dropMatching((packet) => packet.to === 3);
    cluster.settle();
  }
  cluster.advance(500);
  assert.equal(cluster.node(3).appliedIndex, 21);
});

test("R27: the room for proposals comes back, also when a change of leaders drops them", () => {
  const cluster = led({ limits: { proposalBytesMax: 200 } });
  const fill = (id: number): number => {
    let count = 0;
    while (cluster.propose(id, "0123456789") > 0) count++;
    assert.equal(cluster.node(id).raft.refusal, "tooMuch");
    return count;
  };
  const first = fill(1);
  cluster.settle();
  assert.equal(fill(1), first, "after they were applied");
  cluster.dropMatching(() => true);
  cluster.isolate(1);
  cluster.order(2);
  cluster.settle();
  cluster.heal();
  cluster.advance(1000);
  cluster.settle();
  cluster.order(1);
  cluster.settle();
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.equal(fill(1), first, "after they were replaced");
});

test("R28: every attempt waits for a time of its own", () => {
  const cluster = new TestCluster({ voters: 3 });
  cluster.isolate(1);
  const { raft } = cluster.node(1);
  cluster.advance(10_000, false); // the first ones after a start are short
  const waits = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const wait = raft.nextDeadlineMs - cluster.nowMs;
    assert.ok(wait >= 1000 && wait < 2000, `${wait} lies between one and two timeouts`);
    waits.add(wait);
    cluster.advance(wait, false);
  }
  assert.ok(waits.size > 40, "timeouts differ");
});

test("R29: leadership goes to no learner, stranger or itself", () => {
  const cluster = led({ voters: 2, learners: 1 });
  const { raft } = cluster.node(1);
  for (const id of [1, 3, 9]) {
    assert.equal(raft.transferLeader(testId(id)), false);
    assert.equal(raft.refusal, "invalidTarget");
  }
  assert.equal(cluster.node(2).raft.transferLeader(testId(1)), false);
  assert.equal(cluster.node(2).raft.refusal, "notLeader");
});

test("R29: a target that lags catches up first, and no proposal is taken meanwhile", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.dropMatching((packet) => packet.to === 2);
  const { raft } = cluster.node(1);
  raft.transferLeader(testId(2));
  cluster.node(1).pump(0);
  assert.equal(sentBy(cluster, 1, kinds.MESSAGE_TIMEOUT_NOW), 0);
  assert.equal(cluster.propose(1, "y"), 0);
  assert.equal(raft.refusal, "transferring");
  cluster.settle();
  cluster.advance(300);
  assert.equal(cluster.node(2).raft.isLeader, true);
  assert.equal(cluster.node(2).applied.at(-2)!.data, "x");
});

test("R29: a transfer to a member that does not answer ends after an election timeout", () => {
  const cluster = led();
  cluster.isolate(2);
  cluster.advance(300);
  const { raft } = cluster.node(1);
  raft.transferLeader(testId(2));
  cluster.advance(1100);
  assert.equal(raft.isLeader, true);
  assert.ok(cluster.propose(1, "x") > 0);
});

test("R29: a transfer ends when its target is removed", () => {
  const cluster = led({ bootstrap: true });
  cluster.change(1, [{ type: REMOVE_MEMBER, id: testId(2) }]);
  cluster.isolate(2);
  const { raft } = cluster.node(1);
  raft.transferLeader(testId(2));
  cluster.settle();
  assert.equal(raft.confState.voters.length, 2);
  assert.ok(cluster.propose(1, "x") > 0, "proposals are taken again");
});

test("R30: an isolated member's term stands still, and it disturbs nobody when it comes back", () => {
  const cluster = led();
  cluster.isolate(3);
  cluster.advance(60_000);
  assert.equal(cluster.node(3).raft.term, 1);
  cluster.heal();
  cluster.advance(5_000);
  assert.equal(cluster.node(1).raft.isLeader, true);
  assert.equal(cluster.node(1).raft.term, 1);
});

test("R30: term and vote survive a restart", () => {
  const cluster = led();
  cluster.crash(2);
  cluster.restart(2);
  assert.deepEqual(cluster.node(2).raft.hardState, { term: 1, vote: testId(1), commit: 0 });
});

test("a configuration change is applied only once it is durable that it is committed", () => {
  const cluster = led({ voters: 1, spares: 1, autoSync: false });
  cluster.change(1, [{ type: ADD_VOTER, id: testId(2) }]);
  cluster.sync(1, 1);
  const { raft } = cluster.node(1);
  assert.equal(raft.commitIndex, raft.lastIndex, "committed");
  assert.equal(raft.confState.voters.length, 1, "and not in force");
  cluster.sync(1, 1);
  assert.equal(raft.confState.voters.length, 2);
  cluster.crash(1);
  cluster.restart(1);
  cluster.campaign(1);
  assert.notEqual(cluster.node(1).raft.role, "leader", "after a restart it does not act alone");
});

test("members of a new configuration learn from a vote's answer that it is committed", () => {
  const cluster = led({ voters: 3, bootstrap: true });
  const toFollowers = (id: number): void => void cluster.deliverMatching((packet) => packet.to === id);
  cluster.change(1, [
    { type: REMOVE_MEMBER, id: testId(1) },
    { type: REMOVE_MEMBER, id: testId(3) },
  ]);
  toFollowers(2);
  toFollowers(1);
  // The leader is joint now and proposes to leave; 2 gets that and does not hear that it is committed, 3 gets one entry more.
  cluster.propose(1, "x");
  cluster.deliverMatching((packet) => packet.to === 2 && packet.kind === kinds.MESSAGE_HEARTBEAT);
  const appends = cluster.packets.filter((packet) => packet.to === 2 && packet.kind === kinds.MESSAGE_APPEND);
  cluster.deliver(appends[0]!);
  cluster.dropMatching((packet) => packet === appends[1]);
  toFollowers(3);
  cluster.dropMatching((packet) => packet.from === 1);
  cluster.cut.add("1>2");
  cluster.deliverMatching((packet) => packet.from === 3);
  toFollowers(1);
  toFollowers(3);
  for (const id of [1, 3])
    assert.deepEqual(cluster.node(id).raft.confState, {
      ...cluster.node(1).raft.confState,
      voters: [testId(2)],
    });
  assert.equal(cluster.node(1).raft.isLeader, false, "it has left");
  const { raft } = cluster.node(2);
  assert.ok(
    raft.lastIndex < cluster.node(3).raft.lastIndex,
    "the others' logs are longer, so they vote for nobody",
  );
  cluster.dropMatching(() => true);
  cluster.heal();
  cluster.advance(10_000);
  assert.equal(raft.isLeader, true);
});

test("a forwarded proposal that arrives twice is appended once", () => {
  const cluster = led();
  cluster.propose(2, "x");
  const packet = cluster.packets[0]!;
  cluster.deliver(packet, true);
  cluster.deliver(packet);
  cluster.settle();
  assert.equal(cluster.node(1).applied.filter((entry) => entry.data === "x").length, 1);
});

test("forwarded proposals that were certainly not appended come back as refused, and only those", () => {
  const cluster = led({ limits: { proposalBytesMax: 40 } });
  const said: string[] = [];
  cluster.listener = (text) => said.push(text);
  cluster.propose(1, "0123456789012345678901234567890123456789");
  cluster.propose(2, "0123456789");
  cluster.deliverMatching((packet) => packet.kind === kinds.MESSAGE_FORWARD);
  cluster.settle();
  assert.ok(said.includes("2: forward 1 refused"), said.join("\n"));
  assert.equal(cluster.node(1).appliedIndex, 2);
});

test("a proposal without a known leader is refused, not kept", () => {
  const cluster = new TestCluster({ voters: 3 });
  assert.equal(cluster.propose(1, "x"), 0);
  assert.equal(cluster.node(1).raft.refusal, "noLeader");
});

test("a closed connection of the leader is followed by a campaign within 30 ms, one of a follower by none", () => {
  const cluster = led();
  const { raft } = cluster.node(2);
  raft.peerDisconnected(testId(3), 0);
  assert.ok(raft.nextDeadlineMs >= 1000);
  raft.peerDisconnected(testId(1), 0);
  assert.ok(raft.nextDeadlineMs <= 30);
});

test("a leader whose disk stands still for an election timeout hands over", () => {
  const cluster = led({ autoSync: false });
  cluster.node(2).autoSync = true;
  cluster.node(3).autoSync = true;
  cluster.propose(1, "x");
  for (let i = 0; i < 13; i++) {
    cluster.advance(100, false);
    while (cluster.packets.length > 0) cluster.deliverMatching(() => true);
  }
  // Its entry is committed by the others, and one of them was told to lead.
  assert.equal(cluster.node(1).raft.isLeader, false);
  assert.notEqual(cluster.leader, undefined);
});

test("a member that lost acknowledged entries stops instead of voting and leading", () => {
  const cluster = led();
  cluster.propose(1, "x");
  cluster.settle();
  const node = cluster.node(2);
  cluster.crash(2);
  node.entries = [];
  node.hardState = { ...node.hardState, commit: 0 };
  cluster.restart(2);
  cluster.advance(50, false);
  assert.throws(() => cluster.advance(300), LogLostError);
});

test("an idle cluster of three sends 40 messages a second, a member alone waits for nothing", () => {
  const cluster = led();
  cluster.advance(1000);
  const before = cluster.packetNumber;
  cluster.advance(10_000);
  assert.equal(cluster.packetNumber - before, 400);
  assert.equal(led({ voters: 1 }).node(1).raft.nextDeadlineMs, Infinity);
});

test("a peer behind the memory tail is fed from storage", () => {
  const cluster = led({ limits: { raftMemoryBytesMax: 0, raftAppendBytesMax: 40 } });
  cluster.isolate(3);
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `v${i}`);
    cluster.settle();
  }
  assert.ok(cluster.node(1).raft.log.memoryFirst > 15, "old entries are not in memory");
  cluster.heal();
  cluster.advance(500);
  assert.equal(cluster.node(3).appliedIndex, 21);
  assert.equal(cluster.node(3).raft.log.compactedIndex, 0, "without a snapshot");
});

test("a learner can be added, catch up and be promoted", () => {
  const cluster = led({ voters: 1, spares: 1 });
  cluster.change(1, [{ type: ADD_LEARNER, id: testId(2) }]);
  cluster.settle();
  const { raft } = cluster.node(1);
  assert.equal(raft.matchIndexOf(testId(2)), raft.lastIndex);
  cluster.change(1, [{ type: ADD_VOTER, id: testId(2) }]);
  cluster.settle();
  assert.equal(cluster.node(2).raft.confState.voters.length, 2);
});

test("a bootstrap that was cut off by a crash is done again", () => {
  const cluster = new TestCluster({ voters: 1, spares: 1 });
  const node = cluster.node(2);
  node.autoSync = false;
  const changes = [1, 2].map((id) => ({
    transition: 0,
    changes: [{ type: ADD_VOTER, id: testId(id) }],
    context: new Uint8Array(0),
    requestId: testId(0),
  }));
  node.raft.bootstrap(changes);
  node.pump(0);
  cluster.crash(2, 1); // the entries were written, that they are committed was not
  node.restart(0);
  assert.equal(node.raft.needsBootstrap, true);
  node.raft.bootstrap(changes);
  node.pump(0);
  while (node.batches.length > 0) node.sync(0);
  assert.equal(node.raft.needsBootstrap, false);
  assert.equal(node.raft.confState.voters.length, 2);
});

test("the machine draws from the generator that it is given, and from nothing else", () => {
  const run = (): string => {
    const cluster = new TestCluster({ voters: 3, seed: 5 });
    const said: string[] = [];
    cluster.listener = (text) => said.push(text);
    cluster.advance(5000);
    return said.join("\n");
  };
  assert.equal(run(), run());
  assert.notEqual(new Prng(1).uint32(), new Prng(2).uint32());
});

test("a log keeps the terms of entries that are only in storage", () => {
  const log = new RaftLog({ arenaBytes: 64, compactedIndex: 0, compactedTerm: 0 });
  for (let i = 1; i <= 10; i++) log.append(0, Math.ceil(i / 3), new Uint8Array(10), 0, 10);
  log.evictTo(8);
  assert.equal(log.term(2), 1);
  assert.throws(() => log.bytes(2), /still in memory/);
});
