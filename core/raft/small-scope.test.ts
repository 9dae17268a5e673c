// Every history up to a bound, over the real code (not a model of it): three members, any order of delivery, loss (what is
// not delivered), duplication, crashes that lose what was not synced, two candidates, reads, one membership change. Breadth first
// over distinct states; each is reached by replaying its path. HOLDFAST_STATES=n visits n states per scenario instead of the default.

import { test } from "node:test";
import assert from "node:assert/strict";
import { ADD_VOTER, REMOVE_MEMBER } from "./conf-change.ts";
import { TestCluster } from "./testing-cluster.ts";
import { testId } from "./testing-node.ts";

/** How often each may happen in one history. */
interface Budget {
  campaigns: number;
  proposals: number;
  crashes: number;
  duplicates: number;
  reads: number;
  changes: number;
}

interface Scenario {
  readonly name: string;
  readonly autoSync: boolean;
  readonly spares?: number;
  readonly budget: Budget;
  /** What happened before the search starts. */
  prepare(cluster: TestCluster): void;
}

/** A step: what, and to whom (a node, or the place of a packet on its way). */
interface Action {
  readonly kind:
    | "deliver"
    | "duplicate"
    | "campaign"
    | "propose"
    | "sync"
    | "crash"
    | "restart"
    | "read"
    | "change";
  readonly at: number;
}

const NOTHING: Budget = { campaigns: 0, proposals: 0, crashes: 0, duplicates: 0, reads: 0, changes: 0 };

const SCENARIOS: readonly Scenario[] = [
  {
    name: "two candidates from nothing",
    autoSync: true,
    budget: { ...NOTHING, campaigns: 3, proposals: 1 },
    prepare: () => {},
  },
  {
    name: "a leader with an entry on its way, another candidate, crashes that lose what is not synced",
    autoSync: false,
    budget: { ...NOTHING, campaigns: 1, proposals: 1, crashes: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
    },
  },
  {
    name: "a new leader over an old one's entries, every message twice (figure 8)",
    autoSync: true,
    budget: { ...NOTHING, campaigns: 2, proposals: 1, duplicates: 1, crashes: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
      cluster.propose(1, "x");
      cluster.dropMatching((packet) => packet.to === 3);
    },
  },
  {
    name: "reads at an old and a new leader",
    autoSync: true,
    budget: { ...NOTHING, campaigns: 1, proposals: 1, reads: 2, duplicates: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
    },
  },
  {
    name: "a voter is removed while leaders change",
    autoSync: true,
    budget: { ...NOTHING, campaigns: 2, changes: 1, crashes: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
    },
  },
  {
    name: "a voter is removed, with losses, a message that comes twice and a crash that loses what is not synced",
    autoSync: false,
    budget: { ...NOTHING, campaigns: 1, proposals: 1, crashes: 1, duplicates: 1, changes: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
    },
  },
  {
    name: "a voter is replaced (joint) while leaders change",
    autoSync: true,
    spares: 1,
    budget: { ...NOTHING, campaigns: 1, changes: 1 },
    prepare: (cluster) => {
      cluster.order(1);
      cluster.settle();
    },
  },
];

class World {
  readonly cluster: TestCluster;
  readonly #scenario: Scenario;
  readonly #left: Budget;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#left = { ...scenario.budget };
    this.cluster = new TestCluster({ voters: 3, spares: scenario.spares ?? 0, autoSync: scenario.autoSync });
    scenario.prepare(this.cluster);
  }

  actions(): Action[] {
    const { cluster } = this;
    const left = this.#left;
    const actions: Action[] = [];
    for (let at = 0; at < cluster.packets.length; at++) {
      const target = cluster.node(cluster.packets[at]!.to);
      if (!target.isUp) continue;
      actions.push({ kind: "deliver", at });
      if (left.duplicates > 0) actions.push({ kind: "duplicate", at });
    }
    for (const node of cluster.nodes) {
      const at = node.id;
      if (!node.isUp) {
        actions.push({ kind: "restart", at });
        continue;
      }
      if (node.batches.length > 0) actions.push({ kind: "sync", at });
      if (left.crashes > 0) actions.push({ kind: "crash", at });
      if (left.campaigns > 0 && !node.raft.isLeader && at <= 3) actions.push({ kind: "campaign", at });
      if (!node.raft.isLeader) continue;
      if (left.proposals > 0) actions.push({ kind: "propose", at });
      if (left.reads > 0) actions.push({ kind: "read", at });
      if (left.changes > 0) actions.push({ kind: "change", at });
    }
    return actions;
  }

  run(action: Action): void {
    const { cluster } = this;
    const left = this.#left;
    const { at } = action;
    switch (action.kind) {
      case "deliver":
        return cluster.deliver(cluster.packets[at]!);
      case "duplicate":
        left.duplicates--;
        return cluster.deliver(cluster.packets[at]!, true);
      case "campaign":
        left.campaigns--;
        return cluster.order(at);
      case "propose":
        left.proposals--;
        return void cluster.propose(at, `p${left.proposals}`);
      case "sync":
        return cluster.sync(at, 1);
      case "crash":
        left.crashes--;
        return cluster.crash(at);
      case "restart":
        return cluster.restart(at);
      case "read":
        left.reads--;
        return void cluster.read(at);
      case "change":
        left.changes--;
        return this.#change(at);
    }
  }

  #change(leader: number): void {
    const leaving = { type: REMOVE_MEMBER, id: testId(leader === 3 ? 1 : 3) };
    const joining = { type: ADD_VOTER, id: testId(4) };
    this.cluster.change(leader, this.#scenario.spares === 1 ? [joining, leaving] : [leaving]);
  }

  /** Equal keys have equal futures. */
  key(): number {
    const { cluster } = this;
    let text = Object.values(this.#left).join();
    for (const node of cluster.nodes) {
      text += `|${node.isUp ? node.raft.fingerprint() : "down"}`;
      text += `;${node.hardState.term}/${node.hardState.vote.lo}/${node.hardState.commit}`;
      for (const entry of node.entries) text += `,${entry.term}${entry.data}`;
      for (const batch of node.batches)
        text += `;${batch.hardState?.term}${batch.entries.map((entry) => `${entry.index}/${entry.term}`).join()}`;
    }
    const packets = cluster.packets.map((packet) => String.fromCharCode(...packet.bytes)).sort();
    return hash(`${text}#${packets.join("#")}`);
  }
}

/** 53 bits: among a million states a collision has a chance of one in ten thousand, and hides one state at most. */
function hash(text: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff);
}

function replay(scenario: Scenario, path: readonly Action[]): World {
  const world = new World(scenario);
  for (const action of path) world.run(action);
  return world;
}

function describe(path: readonly Action[]): string {
  return path.map((action) => `${action.kind} ${action.at}`).join(", ");
}

/** Visits states breadth first; returns how many, how deep, and whether that was all. */
function search(
  scenario: Scenario,
  stateCountMax: number,
): { states: number; depth: number; complete: boolean } {
  const seen = new Set<number>([replay(scenario, []).key()]);
  let frontier: Action[][] = [[]];
  let depth = 0;
  while (frontier.length > 0) {
    const next: Action[][] = [];
    for (const path of frontier) {
      // The first child goes on in the world that listed them.
      let world: World | undefined = replay(scenario, path);
      for (const action of world.actions()) {
        const child = [...path, action];
        try {
          world ??= replay(scenario, path);
          world.run(action);
        } catch (error) {
          throw new Error(`${scenario.name}: after ${describe(child)}: ${(error as Error).stack}`, {
            cause: error,
          });
        }
        const key = world.key();
        world = undefined;
        if (seen.has(key)) continue;
        seen.add(key);
        next.push(child);
        if (seen.size >= stateCountMax) return { states: seen.size, depth: depth + 1, complete: false };
      }
    }
    frontier = next;
    if (next.length > 0) depth++;
  }
  return { states: seen.size, depth, complete: true };
}

for (const scenario of SCENARIOS) {
  test(`no history breaks an invariant: ${scenario.name}`, () => {
    const found = search(scenario, Number(process.env["HOLDFAST_STATES"] ?? 700));
    console.log(
      `# ${found.states} states, ${found.depth} steps deep${found.complete ? ", all there are" : ""}`,
    );
    assert.ok(found.states > 100, "the search goes somewhere");
  });
}
