// A cluster that everything happens to, from a seed: loss, duplication, reordering, partitions, crashes that lose unsynced
// writes, compaction, transfers, membership changes. The invariants are checked after every step; at the end everything
// is healed and the cluster must come to agree and to serve. HOLDFAST_SEEDS=n runs n seeds, HOLDFAST_SEED=s one.

import { test } from "node:test";
import assert from "node:assert/strict";
import { Prng } from "../base/prng.ts";
import { ADD_LEARNER, ADD_VOTER, type MemberChange, REMOVE_MEMBER } from "./conf-change.ts";
import { TestCluster } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

const STEPS = 1_500;

class Chaos {
  readonly cluster: TestCluster;
  readonly #prng: Prng;
  #value = 0;
  readonly #total: number;
  readonly #loss: number;
  readonly #canChange: boolean;
  readonly #disturbance: number;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
    const prng = this.#prng;
    const voters = prng.pick([1, 2, 3, 3, 3, 5]);
    const spares = prng.below(3);
    this.#total = voters + spares;
    this.#loss = prng.pick([0, 0.02, 0.2]);
    this.#canChange = prng.chance(0.6);
    this.#disturbance = prng.pick([0.005, 0.02, 0.05, 0.15]);
    this.cluster = new TestCluster({
      voters,
      spares,
      seed,
      bootstrap: true,
      autoSync: prng.chance(0.3),
      limits: {
        raftAppendBytesMax: prng.pick([16, 64, 1024 * 1024]),
        raftInflightCountMax: prng.pick([1, 2, 8, 512]),
        raftInflightBytesMax: prng.pick([64, 1024, 1024 * 1024]),
        raftMemoryBytesMax: prng.pick([0, 64, 4096]),
        raftArenaBytes: prng.pick([32, 128, 4096]),
        proposalBytesMax: prng.pick([64, 4096]),
        proposalCountMax: prng.pick([4, 100]),
        raftReadCountMax: prng.pick([2, 100]),
        sparedDelayMs: prng.pick([0, 2, 50]),
      },
    });
  }

  run(): void {
    for (let i = 0; i < STEPS; i++) this.#step();
  }

  #step(): void {
    const { cluster } = this;
    const prng = this.#prng;
    // Of a thousand steps most move the cluster on; how many disturb it depends on the seed, so that some seeds get far.
    const roll = prng.float();
    if (roll < this.#disturbance) return this.#disturb();
    const kind = prng.below(100);
    if (kind < 60) this.#deliver();
    else if (kind < 74) cluster.sync(this.#any(), prng.between(1, 3));
    else if (kind < 84) cluster.propose(this.#proposer(), `v${++this.#value}${"x".repeat(prng.below(20))}`);
    else if (kind < 92) cluster.advance(prng.pick([1, 5, 20, 50, 100]), false);
    else if (kind < 96) this.#read();
    else if (kind < 98) this.#change();
    else this.#compact();
  }

  #disturb(): void {
    const { cluster } = this;
    const roll = this.#prng.below(100);
    if (roll < 25) this.#crashOrRestart();
    else if (roll < 45) this.#rewire();
    else if (roll < 60) cluster.advance(this.#prng.pick([400, 1500]), false);
    else if (roll < 75) this.#transfer();
    else if (roll < 85) cluster.campaign(this.#any());
    else this.#disconnect();
  }

  /** Mostly the leader, or nothing would be proposed at all. */
  #proposer(): number {
    const { leader } = this.cluster;
    return leader !== undefined && this.#prng.chance(0.7) ? leader.id : this.#any();
  }

  #any(): number {
    return this.#prng.between(1, this.#total);
  }

  #deliver(): void {
    const { packets } = this.cluster;
    if (packets.length === 0) return;
    const prng = this.#prng;
    // Mostly in order, sometimes anything.
    const packet = prng.chance(0.7) ? packets[0]! : prng.pick(packets);
    if (prng.chance(this.#loss)) return void this.cluster.dropMatching((other) => other === packet);
    this.cluster.deliver(packet, prng.chance(0.05));
    if (packets.length > 300) this.cluster.dropMatching((other) => other.number % 2 === 0);
  }

  #read(): void {
    const node = this.cluster.node(this.#any());
    if (node.isUp) this.cluster.read(node.id);
  }

  #crashOrRestart(): void {
    const down = this.cluster.nodes.filter((node) => !node.isUp);
    if (down.length > 0 && this.#prng.chance(0.8)) return this.cluster.restart(this.#prng.pick(down).id);
    const node = this.cluster.node(this.#any());
    if (node.isUp) this.cluster.crash(node.id, this.#prng.below(node.batches.length + 1));
  }

  #change(): void {
    const { leader } = this.cluster;
    if (leader === undefined || !this.#canChange) return;
    const changes: MemberChange[] = [];
    for (let i = this.#prng.pick([1, 1, 1, 2, 3]); i > 0; i--) {
      changes.push({
        type: this.#prng.pick([ADD_VOTER, ADD_VOTER, REMOVE_MEMBER, ADD_LEARNER]),
        id: testId(this.#any()),
      });
    }
    this.cluster.change(leader.id, changes);
  }

  #compact(): void {
    const node = this.cluster.node(this.#any());
    if (node.isUp && node.appliedIndex > 0) node.compact(this.#prng.between(0, node.appliedIndex));
    this.cluster.check();
  }

  #rewire(): void {
    const { cluster } = this;
    if (cluster.cut.size > 0 || this.#total === 1) return cluster.heal();
    const prng = this.#prng;
    if (prng.chance(0.4)) return cluster.isolate(this.#any());
    // Any set of one-way links, so that who hears whom is not an equivalence (R21).
    for (let i = prng.between(1, this.#total); i > 0; i--) cluster.cut.add(`${this.#any()}>${this.#any()}`);
  }

  #transfer(): void {
    const { leader } = this.cluster;
    if (leader === undefined) return;
    leader.raft.transferLeader(testId(this.#any()));
    leader.pump(this.cluster.nowMs);
    this.cluster.check();
  }

  #disconnect(): void {
    const node = this.cluster.node(this.#any());
    const peer = testId(this.#any());
    if (!node.isUp || peer.lo === node.id) return;
    if (this.#prng.chance(0.5)) node.raft.peerDisconnected(peer, this.cluster.nowMs);
    else node.raft.reportUnreachable(peer);
    node.pump(this.cluster.nowMs);
    this.cluster.check();
  }

  /** Heals everything; then the cluster must elect, agree, and serve (liveness; R9, R20, R25, R26, R27). */
  calm(): void {
    const { cluster } = this;
    cluster.heal();
    for (const node of cluster.nodes) {
      if (!node.isUp) cluster.restart(node.id);
      node.autoSync = true;
    }
    cluster.settle();
    // A transfer that was lost holds proposals up for an election timeout.
    cluster.advance(2000);
    for (let i = 0; i < 40 && !this.#isCalm(); i++) cluster.advance(500);
    assert.ok(this.#isCalm(), `the cluster agrees in time:\n${this.describe()}`);
    const leader = cluster.leader!;
    // Reads are never lost: each was confirmed or handed back by now, or its member crashed.
    const index = cluster.propose(leader.id, "last");
    assert.ok(index > 0, `the leader takes a proposal: ${leader.raft.refusal}`);
    const context = cluster.read(leader.id);
    cluster.settle();
    cluster.advance(300);
    assert.equal(cluster.reads.get(context)! >= index - 1, true, "a read is confirmed");
    for (const node of this.#members()) assert.equal(node.appliedIndex, leader.appliedIndex, this.describe());
    assert.ok(leader.appliedIndex >= index, "the proposal is applied");
    // Left alone, it stays as it is: no timer of a follower runs ahead of the heartbeats.
    const { term } = leader.raft;
    cluster.advance(10_000);
    assert.equal(
      leader.raft.isLeader && leader.raft.term === term,
      true,
      `the leader stays:\n${this.describe()}`,
    );
  }

  #members() {
    const { leader } = this.cluster;
    if (leader === undefined) return [];
    const { voters, learners } = leader.raft.confState;
    return this.cluster.nodes.filter((node) => [...voters, ...learners].some((id) => id.lo === node.id));
  }

  #isCalm(): boolean {
    const { leader } = this.cluster;
    if (leader === undefined || leader.raft.confState.autoLeave) return false;
    return this.#members().every((node) => node.appliedIndex === leader.raft.lastIndex);
  }

  describe(): string {
    return this.cluster.nodes
      .map((node) => {
        const { raft } = node;
        const voters = raft.confState.voters.map((id) => id.lo).join(" ");
        return `${node.id}: ${raft.role} term ${raft.term} leader ${raft.leader.lo} last ${raft.lastIndex} commit ${raft.commitIndex} applied ${raft.appliedIndex} durable ${node.lastDurable} voters (${voters})`;
      })
      .join("\n");
  }
}

/** What happened in all seeds together: a test that reaches nothing proves nothing. */
const reached = { committed: 0, terms: 0, messages: 0, changes: 0, snapshots: 0, reads: 0, restarts: 0 };

function tally(cluster: TestCluster): void {
  reached.committed += cluster.invariants.committed.length;
  reached.changes += cluster.invariants.committed.filter((entry) => entry.type !== 0).length;
  reached.terms += Math.max(...cluster.nodes.map((node) => node.raft.term));
  reached.messages += cluster.packetNumber;
  reached.snapshots += cluster.nodes.filter((node) => node.raft.log.compactedIndex > 0).length;
  for (const index of cluster.reads.values()) if (index >= 0) reached.reads++;
  for (const node of cluster.nodes) reached.restarts += node.incarnation - 1;
}

function runSeed(seed: number): void {
  const chaos = new Chaos(seed);
  try {
    if (process.env["HOLDFAST_TRACE"] !== undefined) chaos.cluster.listener = (text) => console.log(text);
    chaos.run();
    chaos.calm();
    tally(chaos.cluster);
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).stack}\n${chaos.describe()}`, { cause: error });
  }
}

test("a random cluster keeps every invariant and recovers when everything is healed", () => {
  const one = process.env["HOLDFAST_SEED"];
  if (one !== undefined) return runSeed(Number(one));
  const count = Number(process.env["HOLDFAST_SEEDS"] ?? 15);
  const first = Number(process.env["HOLDFAST_SEED_FIRST"] ?? 1);
  const startedMs = Date.now();
  for (let seed = first; seed < first + count; seed++) runSeed(seed);
  console.log(
    `# seeds ${first}..${first + count - 1}: ${count * STEPS} steps in ${Date.now() - startedMs} ms: ${JSON.stringify(reached)}`,
  );
  for (const [name, times] of Object.entries(reached)) assert.ok(times > 0, `${name} were reached`);
});
