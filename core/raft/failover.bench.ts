// How long a cluster is without a leader after its leader dies, on links of 1 ms and disks of 2 ms (as simulated time, so
// that the figures are the machine's own). Run: npx tsx core/raft/failover.bench.ts

import { TestCluster } from "./testing-cluster.ts";

const LINK_MS = 1;
const DISK_MS = 2;

/** Lets a cluster live until it has a leader other than `except` that has committed in its term; returns the time it took. */
function untilLeader(cluster: TestCluster, except: number): number {
  const startMs = cluster.nowMs;
  const arrivals = new Map<number, number>();
  const syncs = new Map<string, number>();
  while (cluster.nowMs - startMs < 60_000) {
    const leader = cluster.nodes.find((node) => node.isUp && node.raft.isLeader && node.id !== except);
    if (leader !== undefined && leader.raft.log.term(leader.raft.commitIndex) === leader.raft.term)
      return cluster.nowMs - startMs;
    let nextMs = Infinity;
    let act = (): void => {};
    const consider = (atMs: number, action: () => void): void => {
      if (atMs >= nextMs) return;
      nextMs = atMs;
      act = action;
    };
    for (const packet of cluster.packets) {
      if (!arrivals.has(packet.number)) arrivals.set(packet.number, cluster.nowMs + LINK_MS);
      consider(arrivals.get(packet.number)!, () => cluster.deliver(packet));
    }
    for (const node of cluster.nodes) {
      if (!node.isUp) continue;
      const batch = node.batches[0];
      if (batch !== undefined) {
        const key = `${node.id}/${batch.sequence}`;
        if (!syncs.has(key)) syncs.set(key, cluster.nowMs + DISK_MS);
        consider(syncs.get(key)!, () => cluster.sync(node.id));
      }
      consider(node.raft.nextDeadlineMs, () => {
        node.raft.onDeadline(cluster.nowMs);
        node.pump(cluster.nowMs);
      });
    }
    cluster.nowMs = Math.max(cluster.nowMs, nextMs);
    act();
  }
  throw new Error("no leader within a minute");
}

function measure(name: string, voters: number, hint: boolean): void {
  const times: number[] = [];
  for (let seed = 1; seed <= 1000; seed++) {
    const cluster = new TestCluster({ voters, seed });
    cluster.elect(1);
    for (const node of cluster.nodes) node.autoSync = false;
    cluster.crash(1);
    if (hint)
      for (const node of cluster.nodes) if (node.isUp) node.raft.peerDisconnected({ hi: 0, lo: 1 }, 0);
    times.push(untilLeader(cluster, 1));
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(0);
  console.log(
    `${name}, ${voters} members: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`,
  );
}

for (const voters of [3, 5]) {
  measure("leader's connections close", voters, true);
  measure("leader falls silent", voters, false);
}
