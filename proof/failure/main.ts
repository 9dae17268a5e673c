// `holdfast test failure`: a cluster of real processes is broken in every way while clients work on it, and afterwards
// every history is checked. With `--exec etcd` it does the same to etcd.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { Prng } from "../../core/base/prng.ts";
import { Client } from "../../product/client/index.ts";
import { findPeer } from "../peers/peers.ts";
import { judge, type Verdict } from "./checker.ts";
import { LeaseHolder, LoadClient, Watcher } from "./clients.ts";
import { Cluster, type MemberProcess } from "./cluster.ts";
import { FAULTS } from "./faults.ts";
import { History } from "./history.ts";

interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

const USAGE = `holdfast test failure [--members 3] [--minutes 3] [--exec PROGRAM]

Starts a cluster of real processes on loopback and breaks it: kill -9, pauses, full and one-way partitions, restart
storms, all members at once, a member replaced after its disk was lost. Meanwhile clients write unique values, compare
and set, read, delete, watch and hold leases. Afterwards everything is checked: nothing acknowledged is lost, strict
serializability by revisions, watch order and completeness, leases, equal hashes. The exit code is 1 for any violation.

  --exec PROGRAM   the server to break: holdfast (default), etcd, or a path of one that takes etcd's flags
  --seed S         of the faults (default: drawn and printed)
  --clients N      per member (default 3)
  --out FILE       result file (JSON)
  -w json          print the result as JSON
`;

const QUIET_MS = 2_000;
const SETTLE_TIMEOUT_MS = 60_000;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      members: { type: "string", default: "3" },
      minutes: { type: "string", default: "3" },
      exec: { type: "string", default: "holdfast" },
      seed: { type: "string" },
      clients: { type: "string", default: "3" },
      out: { type: "string" },
      "write-out": { type: "string", short: "w", default: "simple" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    io.stdout.write(USAGE);
    return 0;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const result = await failureTest(
    {
      memberCount: Number(values.members),
      durationMs: Number(values.minutes) * 60_000,
      exec: values.exec,
      seed,
      clientsPerMember: Number(values.clients),
    },
    io,
  );
  if (values.out !== undefined) fs.writeFileSync(values.out, JSON.stringify(result, undefined, 2));
  io.stdout.write(values["write-out"] === "json" ? `${JSON.stringify(result)}\n` : report(result));
  return result.violations.length > 0 ? 1 : 0;
}

interface Options {
  readonly memberCount: number;
  readonly durationMs: number;
  readonly exec: string;
  readonly seed: number;
  readonly clientsPerMember: number;
}

interface TimelineItem {
  readonly atSeconds: number;
  readonly fault: string;
  readonly victim: string;
  readonly wasLeader: boolean;
  readonly seconds: number;
}

export interface FailureResult {
  readonly exec: string;
  readonly members: number;
  readonly seed: number;
  readonly seconds: number;
  readonly timeline: readonly TimelineItem[];
  readonly gaps: readonly { readonly atSeconds: number; readonly lengthMs: number }[];
  readonly operations: number;
  readonly acknowledgedWrites: number;
  readonly unknownWrites: number;
  readonly checkedEvents: number;
  readonly checkedLeases: number;
  readonly hashes: readonly string[];
  readonly violations: readonly string[];
  readonly directory: string;
}

export async function failureTest(options: Options, io: Io): Promise<FailureResult> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-failure-"));
  const cluster = await Cluster.start({
    memberCount: options.memberCount,
    directory,
    command: commandOf(options.exec),
  });
  const history = new History();
  const load = new Load(cluster, history, options.clientsPerMember);
  const prng = new Prng(options.seed);
  const timeline: TimelineItem[] = [];
  const violations: string[] = [];
  const endMs = performance.now() + options.durationMs;
  try {
    load.start();
    await pause(QUIET_MS);
    while (performance.now() < endMs) timeline.push(await oneFault({ cluster, history, prng, io }));
    violations.push(...(await settle(cluster)));
    await load.stop();
    const hashes = await hashesOf(cluster);
    if (new Set(hashes).size > 1) violations.push(`the members' hashes differ: ${hashes.join(", ")}`);
    const verdict = judge(history, load.watchers);
    violations.push(...verdict.violations, ...load.problems, ...cluster.unexpectedEnds);
    return resultOf({
      options,
      history,
      timeline,
      verdict,
      hashes,
      violations,
      directory,
      checkedLeases: load.checkedLeases,
    });
  } finally {
    load.close();
    await cluster.stop();
    if (violations.length === 0) fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** The clients of all kinds. */
class Load {
  readonly watchers: readonly Watcher[];
  readonly #clients: LoadClient[] = [];
  readonly #holders: readonly LeaseHolder[];

  constructor(cluster: Cluster, history: History, clientsPerMember: number) {
    this.watchers = cluster.members.map(
      (member) => new Watcher(member.name, `127.0.0.1:${member.clientPort}`),
    );
    for (const member of cluster.members) {
      for (let i = 0; i < clientsPerMember; i++) {
        this.#clients.push(new LoadClient(`127.0.0.1:${member.clientPort}`, this.#clients.length, history));
      }
    }
    this.#holders = [1, 2].map((number) => new LeaseHolder(cluster.endpoints, number));
  }

  get problems(): string[] {
    return [...this.#holders.flatMap((it) => it.problems), ...this.watchers.flatMap((it) => it.problems)];
  }

  get checkedLeases(): number {
    return this.#holders.reduce((sum, it) => sum + it.checkedCount, 0);
  }

  start(): void {
    for (const client of [...this.#clients, ...this.#holders]) client.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#clients, ...this.#holders].map((client) => client.stop()));
    // What the last writes caused is told, too.
    await settleWatches(this.watchers);
  }

  close(): void {
    for (const watcher of this.watchers) watcher.close();
  }
}

interface Scene {
  readonly cluster: Cluster;
  readonly history: History;
  readonly prng: Prng;
  readonly io: Io;
}

async function oneFault({ cluster, history, prng, io }: Scene): Promise<TimelineItem> {
  const fault = prng.pick(FAULTS);
  const leader = await cluster.leader();
  const victim: MemberProcess =
    leader !== undefined && prng.chance(0.5) ? leader : prng.pick(cluster.members);
  const startedMs = performance.now();
  const atSeconds = Math.round((startedMs - history.startedMs) / 100) / 10;
  io.stderr.write(
    `${atSeconds.toFixed(1).padStart(6)} s  ${fault.name}: ${victim.name}${victim === leader ? " (leader)" : ""}\n`,
  );
  await fault.run(cluster, victim, prng);
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  await pause(prng.between(500, 2500));
  return { atSeconds, fault: fault.name, victim: victim.name, wasLeader: victim === leader, seconds };
}

/** With every fault gone the cluster must serve again. */
async function settle(cluster: Cluster): Promise<string[]> {
  const client = Client.connect({ endpoints: cluster.endpoints });
  try {
    await client.kv.put("failure-settled", "x", { timeoutMs: SETTLE_TIMEOUT_MS });
  } catch (error) {
    return [
      `no write was possible within ${SETTLE_TIMEOUT_MS / 1000} s after the last fault: ${(error as Error).message}`,
    ];
  } finally {
    client.close();
  }
  return [];
}

/** Every watch must come to the end. */
async function settleWatches(watchers: readonly Watcher[]): Promise<void> {
  const endMs = performance.now() + SETTLE_TIMEOUT_MS;
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

async function hashesOf(cluster: Cluster): Promise<string[]> {
  const hashes: string[] = [];
  for (const endpoint of cluster.endpoints) {
    const client = Client.connect({ endpoints: [endpoint] });
    // A linearizable read first, so that every member has applied the same.
    await client.kv.get("failure-settled", { timeoutMs: SETTLE_TIMEOUT_MS });
    const { hash, header } = await client.maintenance.hashKv();
    hashes.push(`${hash.toString(16)} at ${header.revision}`);
    client.close();
  }
  return hashes;
}

interface Outcome {
  readonly options: Options;
  readonly history: History;
  readonly timeline: readonly TimelineItem[];
  readonly verdict: Verdict;
  readonly hashes: readonly string[];
  readonly violations: readonly string[];
  readonly directory: string;
  readonly checkedLeases: number;
}

function resultOf({
  options,
  history,
  timeline,
  verdict,
  hashes,
  violations,
  directory,
  checkedLeases,
}: Outcome): FailureResult {
  const writes = history.operations.filter((it) => it.kind !== "get");
  return {
    exec: options.exec,
    members: options.memberCount,
    seed: options.seed,
    seconds: Math.round((performance.now() - history.startedMs) / 1000),
    timeline,
    gaps: history.gaps(10).map(({ atMs, lengthMs }) => ({
      atSeconds: Math.round(atMs / 100) / 10,
      lengthMs: Math.round(lengthMs),
    })),
    operations: verdict.checkedOperations,
    acknowledgedWrites: writes.filter((it) => it.outcome === "ok").length,
    unknownWrites: writes.filter((it) => it.outcome === "unknown").length,
    checkedEvents: verdict.checkedEvents,
    checkedLeases,
    hashes,
    violations,
    directory,
  };
}

function commandOf(exec: string): string[] {
  if (exec === "holdfast") return [process.execPath, ...process.execArgv, process.argv[1]!, "server"];
  if (exec === "etcd") return [findPeer("etcd") ?? "etcd"];
  return [exec];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function report(result: FailureResult): string {
  const lines = [
    `${result.exec}, ${result.members} members, ${result.seconds} s, seed ${result.seed}: ${result.timeline.length} faults`,
    ...result.timeline.map(
      (it) =>
        `${it.atSeconds.toFixed(1).padStart(8)} s  ${it.fault}, ${it.victim}${it.wasLeader ? " (leader)" : ""}, ${it.seconds} s`,
    ),
    "longest times without an acknowledged write:",
    ...result.gaps.slice(0, 5).map((it) => `${it.atSeconds.toFixed(1).padStart(8)} s  ${it.lengthMs} ms`),
    `checked: ${result.operations} operations (${result.acknowledgedWrites} acknowledged writes, ${result.unknownWrites} of unknown outcome), ${result.checkedEvents} watch events, ${result.checkedLeases} lease renewals, hashes ${result.hashes.join(", ")}`,
    ...result.violations.map((text) => `VIOLATION: ${text}`),
    result.violations.length === 0
      ? "no violation"
      : `${result.violations.length} violations; data and logs in ${result.directory}`,
  ];
  return lines.join("\n") + "\n";
}
