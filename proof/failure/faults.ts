// The faults, one after the other, each followed by a time to recover. What can be done to one member is done to the
// leader as often as to any other.

import type { Prng } from "../../core/base/prng.ts";
import * as fs from "node:fs";
import { Client } from "../../product/client/index.ts";
import type { Cluster, MemberProcess } from "./cluster.ts";

export interface Fault {
  readonly name: string;
  readonly run: (cluster: Cluster, victim: MemberProcess, prng: Prng) => Promise<void>;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9",
    run: async (cluster, victim, prng) => {
      await cluster.kill(victim);
      await wait(prng.between(200, 3000));
      await restart(cluster, victim);
    },
  },
  {
    name: "pause (SIGSTOP)",
    run: async (cluster, victim, prng) => {
      cluster.pause(victim);
      await wait(prng.between(500, 4000));
      cluster.resume(victim);
    },
  },
  {
    name: "partition",
    run: async (_cluster, victim, prng) => {
      victim.proxy.cut({ inward: true, outward: true });
      await wait(prng.between(500, 4000));
      victim.proxy.heal();
    },
  },
  {
    name: "one-way partition, inward",
    run: async (_cluster, victim, prng) => {
      victim.proxy.cut({ inward: true, outward: false });
      await wait(prng.between(500, 4000));
      victim.proxy.heal();
    },
  },
  {
    name: "one-way partition, outward",
    run: async (_cluster, victim, prng) => {
      victim.proxy.cut({ inward: false, outward: true });
      await wait(prng.between(500, 4000));
      victim.proxy.heal();
    },
  },
  {
    name: "restart storm",
    run: async (cluster, victim, prng) => {
      for (let i = 0; i < 4; i++) {
        await cluster.kill(victim);
        cluster.startMember(victim);
        await wait(prng.between(50, 600));
      }
      await cluster.ready(victim);
    },
  },
  {
    name: "kill -9 of all members",
    run: async (cluster) => {
      await Promise.all(cluster.members.map((member) => cluster.kill(member)));
      for (const member of cluster.members) cluster.startMember(member);
      await Promise.all(cluster.members.map((member) => cluster.ready(member)));
    },
  },
  {
    name: "member replaced, its disk lost",
    run: replace,
  },
];

async function restart(cluster: Cluster, victim: MemberProcess): Promise<void> {
  cluster.startMember(victim);
  await cluster.ready(victim);
}

async function replace(cluster: Cluster, victim: MemberProcess): Promise<void> {
  await cluster.kill(victim);
  const others = cluster.members.filter((member) => member !== victim);
  const client = Client.connect({ endpoints: others.map((member) => `127.0.0.1:${member.clientPort}`) });
  try {
    const options = { timeoutMs: 10_000 };
    const { members } = await retry(() => client.cluster.list(options));
    const old = members.find((member) => member.name === victim.name);
    if (old !== undefined) await retry(() => client.cluster.remove(old.id, options));
    fs.rmSync(victim.directory, { recursive: true, force: true });
    await retry(() => client.cluster.add([`http://127.0.0.1:${victim.proxy.port}`], options));
  } finally {
    client.close();
  }
  victim.joins = true;
  await restart(cluster, victim);
}

/** Membership changes may be refused while a member is missing or was just replaced. */
async function retry<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt === 30) throw error;
      await wait(500);
    }
  }
}
