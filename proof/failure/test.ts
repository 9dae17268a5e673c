// One failure test from start to verdict: a cluster, clients of all kinds, faults, quiet, checks. Whatever happens,
// there is a verdict within a minute after the cluster got stuck, and it is written to a file.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Prng } from "../../core/base/prng.ts";
import { Client } from "../../product/client/index.ts";
import { judge, type Verdict } from "./checker.ts";
import { LoadClient, Prober, Watcher } from "./clients.ts";
import { Cluster, type MemberProcess } from "./cluster.ts";
import { OurDriver, startPeerDrivers } from "./drivers.ts";
import { type Fault, faultsFor } from "./faults.ts";
import { History } from "./history.ts";
import { checkNoneLeft, LeaseHolder } from "./leases.ts";
import type { Network } from "./network.ts";
import { retry } from "./retry.ts";
import {
  assignGaps,
  clientRows,
  type FailureResult,
  gapCdf,
  type TimelineItem,
  waitQuantiles,
  writesOf,
} from "./report.ts";

export interface Options {
  readonly memberCount: number;
  readonly durationMs: number;
  /** As it was asked for, and the program with its first arguments. */
  readonly exec: string;
  readonly command: readonly string[];
  readonly seed: number;
  readonly clientsPerMember: number;
  readonly makeNetwork: () => Promise<Network>;
  /** Told of each fault when it begins. */
  readonly tell: (line: string) => void;
  /** Ends the faults early; what was seen until then is checked. */
  readonly signal: AbortSignal;
}

const QUIET_MS = 2_000;
/** Of one fault with all that the cluster has to do in it: restarts, changes of membership. */
const FAULT_LIMIT_MS = 30_000;
/** From the end of a fault to an acknowledged write. */
const RECOVERY_LIMIT_MS = 20_000;
/** Of one put after the last fault. Etcd loses what a leader that was deposed had taken, and tells the client after 7 s. */
const SETTLE_ATTEMPT_MS = 8_000;
/** For each check at the end, when the cluster serves; when it does not, there is less to wait for. */
const SETTLE_LIMIT_MS = 20_000;
const STUCK_SETTLE_LIMIT_MS = 5_000;
const LONGEST_GAPS = 5;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function failureTest(options: Options): Promise<FailureResult> {
  return new FailureTest(options).run();
}

class FailureTest {
  readonly #options: Options;
  readonly #directory = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-failure-"));
  readonly #history = new History();
  readonly #prng: Prng;
  readonly #timeline: TimelineItem[] = [];
  readonly #violations: string[] = [];
  readonly #leftOut: string[] = [];
  #kinds: readonly string[] = [];
  #verdict: Verdict = { checkedOperations: 0, checkedEvents: 0, violations: [] };
  #hashes: readonly string[] = [];
  #network: Network | undefined;
  #cluster: Cluster | undefined;
  #load: Load | undefined;
  /** The cluster does not serve any more: no more faults, and short checks. */
  #isStuck = false;

  constructor(options: Options) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
  }

  async run(): Promise<FailureResult> {
    const fail = (error: unknown): void => {
      this.#violations.push(`the test failed: ${(error as Error).stack ?? String(error)}`);
    };
    // Also what nobody waits for.
    process.on("uncaughtException", fail);
    await this.#breakAndCheck().catch(fail);
    this.#load?.close();
    await this.#cluster?.stop();
    process.off("uncaughtException", fail);
    this.#violations.push(...(this.#cluster?.unexpectedEnds ?? []));
    const result = this.#result();
    fs.writeFileSync(result.resultFile, JSON.stringify(result, undefined, 2));
    if (result.violations.length > 0) this.#cluster?.keepData();
    else this.#cluster?.removeData();
    return result;
  }

  async #breakAndCheck(): Promise<void> {
    const { memberCount, command, makeNetwork } = this.#options;
    this.#network = await makeNetwork();
    const cluster = new Cluster({ memberCount, directory: this.#directory, command, network: this.#network });
    this.#cluster = cluster;
    await cluster.start();
    await this.#break(cluster);
    await this.#check(cluster);
  }

  async #break(cluster: Cluster): Promise<void> {
    const peers = await startPeerDrivers(cluster.endpoints);
    const { faults, leftOut } = faultsFor(cluster);
    this.#leftOut.push(...leftOut, ...peers.leftOut);
    this.#kinds = faults.map((fault) => fault.name);
    const drivers = cluster.endpoints.flatMap((endpoint) =>
      Array.from({ length: this.#options.clientsPerMember }, () => new OurDriver(endpoint)),
    );
    const clients = [...drivers, ...peers.drivers].map(
      (driver, number) => new LoadClient(driver, number, this.#history),
    );
    const probes = cluster.endpoints.map((endpoint) => new OurDriver(endpoint));
    this.#load = new Load(cluster, [...clients, new Prober(probes, this.#history)]);
    this.#load.start();
    const { durationMs, signal } = this.#options;
    const endMs = performance.now() + durationMs;
    await pause(QUIET_MS);
    // Each kind once, in random order, then again.
    let bag: Fault[] = [];
    while (performance.now() < endMs && !this.#isStuck && !signal.aborted) {
      if (bag.length === 0) bag = [...faults];
      const [fault] = bag.splice(this.#prng.below(bag.length), 1);
      this.#timeline.push(await this.#oneFault(cluster, fault!));
    }
  }

  async #oneFault(cluster: Cluster, fault: Fault): Promise<TimelineItem> {
    const prng = this.#prng;
    const victim = await this.#victim(cluster, fault);
    const wasLeader = victim === (await cluster.leader());
    const startedMs = performance.now();
    const atSeconds = tenths(startedMs - this.#history.startedMs);
    const name = fault.isOfAll === true ? "all" : victim.name;
    const who = `${name}${wasLeader && name !== "all" ? " (leader)" : ""}`;
    this.#options.tell(`${atSeconds.toFixed(1).padStart(6)} s  ${fault.name}: ${who}\n`);
    let note = "";
    try {
      const endMs = startedMs + FAULT_LIMIT_MS;
      note = await fault.run({ cluster, victim, prng, endMs });
    } catch (error) {
      this.#isStuck = true;
      note = `not ended within ${FAULT_LIMIT_MS / 1000} s: ${(error as Error).message}`;
      this.#violations.push(`STUCK at ${atSeconds} s in ${fault.name} of ${who}: ${note}`);
      cluster.heal();
    }
    const endedMs = performance.now();
    const seconds = tenths(endedMs - startedMs);
    if (!this.#isStuck) await pause(prng.between(500, 2500));
    const recoveredMs = this.#isStuck ? undefined : await this.#recovery(endedMs);
    if (!this.#isStuck && recoveredMs === undefined) {
      this.#isStuck = true;
      this.#violations.push(
        `STUCK: no write was acknowledged within ${RECOVERY_LIMIT_MS / 1000} s after ${fault.name} of ${who} at ${atSeconds} s`,
      );
    }
    return {
      ...{ atSeconds, fault: fault.name, victim: name, wasLeader, seconds },
      ...{ recoveredMs, longestGapMs: 0, note },
    };
  }

  async #victim(cluster: Cluster, fault: Fault): Promise<MemberProcess> {
    const leader = await cluster.leader();
    if (fault.needsSmallDisk === true) {
      const victim = cluster.members.find((member) => member.smallDisk !== undefined)!;
      if (leader !== undefined && leader !== victim && this.#prng.chance(0.5))
        await moveLeader(leader, victim);
      return victim;
    }
    return leader !== undefined && this.#prng.chance(0.5) ? leader : this.#prng.pick(cluster.members);
  }

  /** Until a write is acknowledged after the end of a fault. */
  async #recovery(endedMs: number): Promise<number | undefined> {
    for (;;) {
      const atMs = this.#history.acknowledgedAfter(endedMs);
      if (atMs !== undefined) return Math.round(atMs - endedMs);
      if (performance.now() > endedMs + RECOVERY_LIMIT_MS) return undefined;
      await pause(100);
    }
  }

  async #check(cluster: Cluster): Promise<void> {
    const load = this.#load!;
    const limitMs = this.#isStuck ? STUCK_SETTLE_LIMIT_MS : SETTLE_LIMIT_MS;
    if (!this.#isStuck) this.#violations.push(...(await settle(cluster)));
    await load.stop(limitMs);
    this.#verdict = judge(this.#history, load.watchers);
    this.#violations.push(...this.#verdict.violations, ...load.problems);
    if (this.#isStuck) return;
    const client = Client.connect({ endpoints: cluster.endpoints });
    try {
      this.#violations.push(...(await checkNoneLeft(client)));
      this.#hashes = await hashesOf(cluster);
    } finally {
      client.close();
    }
    const hashes = new Set(this.#hashes.map((it) => it.replace(/^\S+ /, "")));
    if (hashes.size > 1) this.#violations.push(`the members' hashes differ: ${this.#hashes.join(", ")}`);
  }

  #result(): FailureResult {
    const { exec, memberCount, seed, signal } = this.#options;
    const history = this.#history;
    const [gaps, writes] = [history.gaps(), writesOf(history)];
    assignGaps(this.#timeline, gaps);
    const longest = gaps.toSorted((a, b) => b.lengthMs - a.lengthMs).slice(0, LONGEST_GAPS);
    return {
      ...{ exec, members: memberCount, seed, isInterrupted: signal.aborted },
      seconds: Math.round((performance.now() - history.startedMs) / 1000),
      network:
        this.#network?.kind === "proxies"
          ? "loopback, a proxy before each member"
          : "one of its own for each member",
      kinds: this.#kinds,
      timeline: this.#timeline,
      gapCdf: gapCdf(gaps),
      waitMs: waitQuantiles(gaps),
      longestGaps: longest.map((gap) => ({
        atSeconds: tenths(gap.atMs),
        lengthMs: Math.round(gap.lengthMs),
      })),
      clients: clientRows(history.operations),
      operations: this.#verdict.checkedOperations,
      acknowledgedWrites: writes.filter((it) => it.outcome === "ok").length,
      unknownWrites: writes.filter((it) => it.outcome === "unknown").length,
      checkedEvents: this.#verdict.checkedEvents,
      leases: this.#load?.leases ?? { kept: 0, ended: 0, latestMs: 0 },
      hashes: this.#hashes,
      leftOut: this.#leftOut,
      violations: this.#violations,
      directory: this.#directory,
      resultFile: path.join(this.#directory, "result.json"),
    };
  }
}

/** The clients of all kinds. */
class Load {
  readonly watchers: readonly Watcher[];
  readonly #clients: readonly (LoadClient | Prober)[];
  readonly #holders: readonly LeaseHolder[];

  constructor(cluster: Cluster, clients: readonly (LoadClient | Prober)[]) {
    this.watchers = cluster.members.map((member) => new Watcher(member.name, member.endpoint));
    this.#clients = clients;
    this.#holders = [1, 2, 3].map((number) => new LeaseHolder(cluster.endpoints, number));
  }

  get problems(): string[] {
    return [...this.#holders, ...this.watchers, ...this.#clients].flatMap((it) => it.problems);
  }

  get leases(): FailureResult["leases"] {
    const sum = (of: (holder: LeaseHolder) => number): number =>
      this.#holders.reduce((total, holder) => total + of(holder), 0);
    return {
      kept: sum((it) => it.keptCount),
      ended: sum((it) => it.endedCount),
      latestMs: Math.round(Math.max(...this.#holders.map((it) => it.latestMs))),
    };
  }

  start(): void {
    for (const client of [...this.#clients, ...this.#holders]) client.start();
  }

  async stop(limitMs: number): Promise<void> {
    await Promise.all([...this.#clients, ...this.#holders].map((client) => client.stop()));
    // What the last writes caused is told, too.
    await settleWatches(this.watchers, limitMs);
  }

  close(): void {
    for (const watcher of this.watchers) watcher.close();
  }
}

async function moveLeader(leader: MemberProcess, to: MemberProcess): Promise<void> {
  const client = Client.connect({ endpoints: [leader.endpoint] });
  try {
    const { members } = await client.cluster.list({ timeoutMs: 3_000 });
    const target = members.find((member) => member.name === to.name);
    if (target !== undefined) await client.maintenance.moveLeader(target.id, { timeoutMs: 3_000 });
  } catch {
    // It is as well when another one leads.
  } finally {
    client.close();
  }
}

/** With every fault gone the cluster must serve again. A put that was on its way as a leader went may still be lost. */
async function settle(cluster: Cluster): Promise<string[]> {
  const client = Client.connect({ endpoints: cluster.endpoints });
  try {
    const endMs = performance.now() + SETTLE_LIMIT_MS;
    await retry(endMs, () => {
      const timeoutMs = Math.max(1, Math.min(SETTLE_ATTEMPT_MS, endMs - performance.now()));
      return client.kv.put("failure-settled", "x", { timeoutMs });
    });
  } catch (error) {
    return [
      `STUCK: no write was possible within ${SETTLE_LIMIT_MS / 1000} s after the last fault: ${(error as Error).message}`,
    ];
  } finally {
    client.close();
  }
  return [];
}

/** Every watch must come to the end. */
async function settleWatches(watchers: readonly Watcher[], limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs;
  let calm = 0;
  let seen = "";
  while (performance.now() < endMs && calm < 10) {
    await pause(100);
    const counts = watchers.map((it) => it.events.length);
    const same = new Set(counts).size === 1 && counts.join() === seen;
    calm = same ? calm + 1 : 0;
    seen = counts.join();
  }
}

/** All at one revision: what happens meanwhile is no difference. */
async function hashesOf(cluster: Cluster): Promise<string[]> {
  const hashes: string[] = [];
  let revision = 0;
  for (const { name, endpoint } of cluster.members) {
    const client = Client.connect({ endpoints: [endpoint] });
    try {
      // A linearizable read first, so that this member has applied it all.
      const { header } = await client.kv.get("failure-settled", { timeoutMs: SETTLE_LIMIT_MS });
      if (revision === 0) revision = header.revision;
      const { hash } = await client.maintenance.hashKv(revision, { timeoutMs: SETTLE_LIMIT_MS });
      hashes.push(`${name} ${hash.toString(16)} at ${revision}`);
    } finally {
      client.close();
    }
  }
  return hashes;
}

function tenths(ms: number): number {
  return Math.round(ms / 100) / 10;
}
