// The faults, one after the other, each followed by a time to recover. What can be done to one member is done to the
// leader as often as to any other.

import type { Prng } from "../../core/base/prng.ts";
import * as fs from "node:fs";
import { Client, EtcdError } from "../../product/client/index.ts";
import type { Cluster, MemberProcess } from "./cluster.ts";
import type { NamespaceNetwork, Pair, ProxyNetwork } from "./network.ts";
import { retry } from "./retry.ts";
import { fillDisk, freeDisk } from "./small-disk.ts";
import { canDelaySyncs, delaySyncs, keepDiskBusy } from "./slow-disk.ts";

export interface Scene {
  readonly cluster: Cluster;
  readonly victim: MemberProcess;
  readonly prng: Prng;
  /** When the fault must be over, with all that the cluster has to do for it. */
  readonly endMs: number;
}

export interface Fault {
  readonly name: string;
  /** The victim is the member that has a disk of its own. */
  readonly needsSmallDisk?: boolean;
  /** It is done to all at once. */
  readonly isOfAll?: boolean;
  /** Resolves, when the fault is over, to what else there is to say. */
  readonly run: (scene: Scene) => Promise<string>;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Faults {
  readonly faults: readonly Fault[];
  /** What cannot be done here, and why. */
  readonly leftOut: readonly string[];
}

export function faultsFor(cluster: Cluster): Faults {
  const { network, members } = cluster;
  const faults = [KILL, PAUSE, STORM, KILL_ALL, REPLACE];
  const leftOut: string[] = [];
  if (network.kind === "namespaces") {
    faults.push(...cuts(network, members.length), FULL_DISK);
  } else {
    faults.push(stall(network));
    leftOut.push(
      `partitions of pairs, one-way partitions, full disk: no sandbox (${network.why}); instead what others open to the victim is stalled`,
    );
  }
  if (canDelaySyncs()) faults.push(SLOW_DISK);
  else {
    faults.push(BUSY_DISK);
    leftOut.push("slow disk: strace cannot be used; instead the disk is kept busy by others");
  }
  return { faults, leftOut };
}

const KILL: Fault = {
  name: "kill -9",
  run: async (scene) => {
    const { cluster, victim, prng } = scene;
    await cluster.kill(victim);
    await wait(prng.between(200, 3000));
    await restart(scene);
    return "";
  },
};

const PAUSE: Fault = {
  name: "pause (SIGSTOP)",
  run: async ({ cluster, victim, prng }) => {
    cluster.pause(victim);
    await wait(prng.between(500, 4000));
    cluster.resume(victim);
    return "";
  },
};

const STORM: Fault = {
  name: "restart storm",
  run: async ({ cluster, victim, prng, endMs }) => {
    for (let i = 0; i < 4; i++) {
      await cluster.kill(victim);
      cluster.startMember(victim);
      await wait(prng.between(50, 600));
    }
    await cluster.ready(victim, endMs);
    return "";
  },
};

const KILL_ALL: Fault = {
  name: "kill -9 of all members",
  isOfAll: true,
  run: async ({ cluster, endMs }) => {
    await Promise.all(cluster.members.map((member) => cluster.kill(member)));
    for (const member of cluster.members) cluster.startMember(member);
    await Promise.all(cluster.members.map((member) => cluster.ready(member, endMs)));
    return "";
  },
};

const REPLACE: Fault = { name: "member replaced, its disk lost", run: replace };

const FULL_DISK: Fault = { name: "full disk", needsSmallDisk: true, run: fullDisk };

const SLOW_DISK: Fault = {
  name: "slow disk (every sync delayed)",
  run: async ({ victim, prng }) => {
    const delayMs = prng.between(20, 150);
    const tracer = delaySyncs(victim.process!.pid!, delayMs);
    await wait(prng.between(1500, 4000));
    await tracer.stop();
    return `${tracer.calls} by ${delayMs} ms`;
  },
};

const BUSY_DISK: Fault = {
  name: "busy disk (others sync beside)",
  run: async ({ victim, prng }) => {
    const load = keepDiskBusy(victim.directory);
    await wait(prng.between(1500, 4000));
    await load.stop();
    return "";
  },
};

/** What is lost between whom, of all members but the victim. */
type Cut = (victim: number, others: readonly number[], prng: Prng) => readonly Pair[];

const both = (a: number, b: number): Pair[] => [
  { from: a, to: b },
  { from: b, to: a },
];

const CUTS: Readonly<Record<string, Cut>> = {
  "partition, both ways": (victim, others) => others.flatMap((other) => both(victim, other)),
  "one-way partition, nothing reaches it": (victim, others) =>
    others.map((other) => ({ from: other, to: victim })),
  "one-way partition, nothing leaves it": (victim, others) =>
    others.map((other) => ({ from: victim, to: other })),
  "one link cut": (victim, others, prng) => both(victim, prng.pick(others)),
};

const SPLIT: Cut = (victim, others, prng) => {
  const minority = [victim, prng.pick(others)];
  const rest = others.filter((other) => !minority.includes(other));
  return minority.flatMap((one) => rest.flatMap((other) => both(one, other)));
};

function cuts(network: NamespaceNetwork, memberCount: number): Fault[] {
  const table = memberCount < 5 ? CUTS : { ...CUTS, "two members cut off together": SPLIT };
  return Object.entries(table).map(([name, cut]) => ({
    name,
    run: async ({ cluster, victim, prng }: Scene) => {
      const others = cluster.members.filter((it) => it !== victim).map((it) => it.index);
      const pairs = cut(victim.index, others, prng);
      network.cut(pairs);
      await wait(prng.between(500, 5000));
      network.heal();
      return pairs.map(({ from, to }) => `m${from + 1}>m${to + 1}`).join(" ");
    },
  }));
}

function stall(network: ProxyNetwork): Fault {
  return {
    name: "stalled: what others open to it",
    run: async ({ victim, prng }) => {
      network.stall(victim.index);
      await wait(prng.between(500, 5000));
      network.heal();
      return "";
    },
  };
}

async function restart({ cluster, victim, endMs }: Scene): Promise<void> {
  cluster.startMember(victim);
  await cluster.ready(victim, endMs);
}

async function replace(scene: Scene): Promise<string> {
  const { cluster, victim, endMs } = scene;
  await cluster.kill(victim);
  const client = clientOfOthers(cluster, victim);
  const { peerUrl } = victim.address;
  try {
    const options = { timeoutMs: 5_000 };
    // Changes may be refused while a member is missing or was just replaced. Looked at before each attempt: one of unknown
    // outcome may have been done.
    await retry(endMs, async () => {
      const { members } = await client.cluster.list(options);
      const old = members.find((member) => member.peerUrls.includes(peerUrl));
      if (old !== undefined) await client.cluster.remove(old.id, options);
    });
    fs.rmSync(victim.directory, { recursive: true, force: true });
    await retry(endMs, async () => {
      const { members } = await client.cluster.list(options);
      const isThere = members.some((member) => member.peerUrls.includes(peerUrl));
      if (!isThere) await client.cluster.add([peerUrl], options);
    });
  } finally {
    client.close();
  }
  victim.joins = true;
  await restart(scene);
  return "";
}

/** What is written while a disk is full: enough that every server needs new blocks. */
const BULK_VALUE = "x".repeat(64 * 1024);
const BULK_COUNT = 400;
const BULK_KEYS = 8;
const BULK_LANES = 4;
const NOTICE_LIMIT_MS = 8_000;
/** Ours looks for room every second while its disk is full. */
const ALARM_CALM_MS = 2_500;

async function fullDisk(scene: Scene): Promise<string> {
  const { cluster, victim, prng, endMs } = scene;
  const disk = victim.smallDisk!;
  const client = clientOfOthers(cluster, victim);
  const bulk = new BulkWriter(client);
  victim.mayEnd = true;
  try {
    fillDisk(disk);
    bulk.start();
    const noticed = await notice(client, victim);
    await wait(prng.between(500, 2500));
    await bulk.stop();
    freeDisk(disk);
    const hasEnded = victim.process === undefined;
    if (hasEnded) await restart(scene);
    await retry(endMs, () => disarm(client, endMs));
    return hasEnded && noticed !== "it ended" ? `${noticed}, then it ended` : noticed;
  } finally {
    victim.mayEnd = false;
    await bulk.stop();
    client.close();
  }
}

/** Until the alarm is raised or the server has ended. */
async function notice(client: Client, victim: MemberProcess): Promise<string> {
  const startedMs = performance.now();
  while (performance.now() < startedMs + NOTICE_LIMIT_MS) {
    if (victim.process === undefined) return "it ended";
    const alarms = await client.maintenance.alarms({ timeoutMs: 1000 }).catch(() => []);
    if (alarms.length > 0) return `alarm after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
    await wait(100);
  }
  return "it needed no room";
}

/** An alarm comes back as long as the member does not know of the room; it is over when none has for a time. */
async function disarm(client: Client, endMs: number): Promise<void> {
  const options = { timeoutMs: 3_000 };
  let calmMs = performance.now();
  while (performance.now() < calmMs + ALARM_CALM_MS) {
    const alarms = await client.maintenance.alarms(options);
    for (const alarm of alarms) await client.maintenance.disarm(alarm, options);
    if (alarms.length > 0) calmMs = performance.now();
    if (calmMs > endMs) throw new Error("the alarm comes back although there is room");
    await wait(100);
  }
}

class BulkWriter {
  readonly #client: Client;
  #lanes: Promise<void>[] = [];
  #left = BULK_COUNT;

  constructor(client: Client) {
    this.#client = client;
  }

  start(): void {
    this.#lanes = Array.from({ length: BULK_LANES }, () => this.#run());
  }

  async stop(): Promise<void> {
    this.#left = 0;
    await Promise.all(this.#lanes);
  }

  async #run(): Promise<void> {
    while (this.#left-- > 0) {
      try {
        const key = `failure-bulk/${this.#left % BULK_KEYS}`;
        await this.#client.kv.put(key, BULK_VALUE, { timeoutMs: 3_000 });
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        await wait(50);
      }
    }
  }
}

function clientOfOthers(cluster: Cluster, victim: MemberProcess): Client {
  const others = cluster.members.filter((member) => member !== victim);
  return Client.connect({ endpoints: others.map((member) => member.endpoint) });
}
