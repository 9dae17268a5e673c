// `holdfast profile`: where the time of a running Node program goes, a Holdfast above all, and what holds it back.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { CommandIo } from "../bench/main.ts";
import { ENDPOINT_FLAGS, parseEndpoints, parseFlags, UsageError } from "../bench/options.ts";
import { localPortOf, pidListeningOn } from "../bench/process-sampler.ts";
import { writePage } from "../bench/report/page.ts";
import type { Page } from "../bench/report/sections.ts";
import { formatBytes, formatDuration } from "../bench/units.ts";
import { type Bottleneck, type Evidence, nameBottleneck } from "./bottleneck.ts";
import {
  type CpuProfile,
  heaviestAllocators,
  type HeapProfile,
  readCpuProfile,
  type Reading,
} from "./cpu-profile.ts";
import { Inspector } from "./inspector.ts";
import { metricsOf } from "./metrics-page.ts";
import { cpuPprof, heapPprof } from "./pprof.ts";
import { evidenceOf, type Inside } from "./evidence.ts";
import { pageOf } from "./profile-page.ts";
import type { Stall } from "./stalls.ts";
import { lookAt, type Subject } from "./surroundings.ts";

interface ProfileOptions extends Subject {
  readonly seconds: number;
  /** Of the files' names. */
  readonly prefix: string;
  readonly json: boolean;
}

export interface ProfileResult {
  readonly format: 1;
  readonly kind: "profile";
  readonly pid: number;
  readonly seconds: number;
  readonly bottleneck: Bottleneck;
  readonly evidence: Evidence;
  readonly heaviest: Reading["heaviest"];
  readonly stalls: readonly Stall[];
  /** How late the loop was at most, in each tenth of a second. */
  readonly delaysMs: readonly number[];
  readonly allocators: readonly { readonly name: string; readonly bytes: number }[];
  readonly allocatedBytesPerSecond: number;
  readonly files: readonly string[];
}

const HELP = `Usage: holdfast profile [--endpoints H:P] [--pid N] [--seconds 10] [--output PREFIX] [-w json]

Profiles a running Holdfast, or any Node program of this machine, without a restart: CPU, allocations, stalls of the
event loop. Writes PREFIX.cpuprofile and PREFIX.heapprofile (for browsers' and editors' tools), PREFIX.pb.gz and
PREFIX.heap.pb.gz (for go tool pprof) and PREFIX.html (a flame graph), and says in one line what holds the program back.
The process is the one that serves the endpoint, of several endpoints the leader; the others say how fast their disks are.
With --pid alone there are no metrics to judge by, with both there are.
`;

/** Runs `holdfast profile ARGV…`. */
export async function run(argv: string[], io: CommandIo): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    io.stdout.write(HELP);
    return 0;
  }
  try {
    const options = await parse(argv);
    io.stderr.write(`profiling process ${options.pid} for ${options.seconds} s\n`);
    const { result, reading } = await profile(options);
    writePage(`${options.prefix}.html`, pageOf(result, reading));
    io.stdout.write(options.json ? `${JSON.stringify(result)}\n` : describe(result));
    return 0;
  } catch (error) {
    io.stderr.write(`holdfast profile: ${(error as Error).message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function parse(argv: readonly string[]): Promise<ProfileOptions> {
  const text = { type: "string" } as const;
  const values = parseFlags(argv, {
    ...ENDPOINT_FLAGS,
    pid: text,
    seconds: text,
    output: text,
    "write-out": { type: "string", short: "w" },
  });
  const read = (name: string): string | undefined =>
    typeof values[name] === "string" ? values[name] : undefined;
  const seconds = Number(read("seconds") ?? "10");
  if (!(seconds > 0 && seconds <= 600)) throw new UsageError("--seconds must be between 0 and 600");
  const isByPid = read("endpoints") === undefined && read("pid") !== undefined;
  const endpoints = isByPid ? [] : parseEndpoints(read("endpoints"));
  const endpoint = (await leaderAmong(endpoints)) ?? endpoints[0];
  const pid = read("pid") === undefined ? pidOf(endpoint!) : Number(read("pid"));
  if (!Number.isInteger(pid) || pid <= 0) throw new UsageError("--pid must be a process id");
  return {
    pid,
    endpoint,
    peers: endpoints.filter((other) => other !== endpoint),
    seconds,
    prefix: read("output") ?? `holdfast-${pid}`,
    json: read("write-out") === "json",
  };
}

/** Undefined when there is nothing to choose from. */
async function leaderAmong(endpoints: readonly string[]): Promise<string | undefined> {
  if (endpoints.length < 2) return undefined;
  const pages = await Promise.all(endpoints.map((endpoint) => metricsOf(endpoint)));
  return endpoints.find((_, i) => pages[i]!["etcd_server_is_leader"] === 1);
}

function pidOf(endpoint: string): number {
  const port = localPortOf(endpoint);
  const pid = port === undefined ? undefined : pidListeningOn(port);
  if (pid === undefined)
    throw new UsageError(
      `${endpoint} is served by no process of this machine that we may look into; name it with --pid`,
    );
  return pid;
}

/** Of the series of the loop's lateness. */
export const DELAY_SLOT_MS = 100;
/** When the profiler died, its clock in the server ends with the longest profile. */
const DELAY_SLOTS_MAX = (600_000 + 10_000) / DELAY_SLOT_MS;
const DELAY_EVERY_MS = 5;

/** Starts what is watched inside the process. Runs there, as text. */
const WATCH = `(() => {
  const { monitorEventLoopDelay, PerformanceObserver, performance } = require("node:perf_hooks");
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  let gcMs = 0, gcMsMax = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) { gcMs += entry.duration; gcMsMax = Math.max(gcMsMax, entry.duration); }
  });
  observer.observe({ entryTypes: ["gc"] });
  const loop = performance.eventLoopUtilization();
  const startMs = performance.now(), delaysMs = [];
  let dueMs = startMs + ${DELAY_EVERY_MS};
  const timer = setInterval(() => {
    const nowMs = performance.now(), slot = Math.floor((nowMs - startMs) / ${DELAY_SLOT_MS});
    if (slot > ${DELAY_SLOTS_MAX}) return clearInterval(timer);
    while (delaysMs.length <= slot) delaysMs.push(0);
    delaysMs[slot] = Math.max(delaysMs[slot], nowMs - dueMs);
    dueMs = nowMs + ${DELAY_EVERY_MS};
  }, ${DELAY_EVERY_MS}).unref();
  globalThis[Symbol.for("holdfast.profile")] = () => {
    delay.disable();
    clearInterval(timer);
    observer.disconnect();
    delete globalThis[Symbol.for("holdfast.profile")];
    const busy = performance.eventLoopUtilization(performance.eventLoopUtilization(), loop);
    return { gcMs, gcMsMax, delaysMs, loopUtilisation: busy.utilization, delayMsMax: Math.max(0, delay.max / 1e6 - 5), delayMsP99: Math.max(0, delay.percentile(99) / 1e6 - 5) };
  };
})()`;

const CPU_INTERVAL_US = 500;
const HEAP_INTERVAL_BYTES = 32 * 1024;

/**
 * Profiles the server of a local endpoint beside a load: sections for the load's page. It waits out the warm-up; a server that
 * cannot be looked into gives a line that says why.
 */
export async function profileBeside(
  endpoint: string,
  times: { readonly waitMs: number; readonly seconds: number },
): Promise<Page["sections"]> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-profile-"));
  try {
    await new Promise((resolve) => setTimeout(resolve, times.waitMs));
    const options = {
      pid: pidOf(endpoint),
      endpoint,
      peers: [],
      seconds: times.seconds,
      prefix: path.join(folder, "server"),
      json: false,
    };
    const { result, reading } = await profile(options);
    const page = pageOf(result, reading);
    return [{ kind: "text", title: page.title, paragraphs: page.lead }, ...page.sections];
  } catch (error) {
    return [{ kind: "text", title: "No profile of the server", paragraphs: [(error as Error).message] }];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function profile(options: ProfileOptions): Promise<{ result: ProfileResult; reading: Reading }> {
  const inspector = await Inspector.open(options.pid);
  try {
    await inspector.call("Profiler.enable");
    await inspector.call("HeapProfiler.enable");
    await inspector.call("Profiler.setSamplingInterval", { interval: CPU_INTERVAL_US });
    await inspector.evaluate(WATCH);
    const before = await lookAt(options);
    await inspector.call("HeapProfiler.startSampling", {
      samplingInterval: HEAP_INTERVAL_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    await inspector.call("Profiler.start");
    const pending = await pendingDuring(options);
    const inside = await inspector.evaluate<Inside>(`globalThis[Symbol.for("holdfast.profile")]()`);
    const { profile: cpu } = await inspector.call<{ profile: CpuProfile }>("Profiler.stop");
    const { profile: heap } = await inspector.call<{ profile: HeapProfile }>("HeapProfiler.stopSampling");
    const after = await lookAt(options);
    fs.writeFileSync(`${options.prefix}.cpuprofile`, JSON.stringify(cpu));
    fs.writeFileSync(`${options.prefix}.heapprofile`, JSON.stringify(heap));
    fs.writeFileSync(`${options.prefix}.pb.gz`, cpuPprof(cpu, CPU_INTERVAL_US));
    fs.writeFileSync(`${options.prefix}.heap.pb.gz`, heapPprof(heap, HEAP_INTERVAL_BYTES));
    const reading = readCpuProfile(cpu);
    const evidence = evidenceOf(inside, { before, after, pending }, reading);
    const allocators = heaviestAllocators(heap);
    const allocated = allocators.reduce((sum, one) => sum + one.bytes, 0);
    const result: ProfileResult = {
      format: 1,
      kind: "profile",
      pid: options.pid,
      seconds: options.seconds,
      bottleneck: nameBottleneck(evidence),
      evidence,
      heaviest: reading.heaviest,
      stalls: reading.stalls,
      delaysMs: inside.delaysMs.map((delayMs) => Math.round(delayMs * 10) / 10),
      allocators,
      allocatedBytesPerSecond: Math.round(allocated / options.seconds),
      files: [".cpuprofile", ".heapprofile", ".pb.gz", ".heap.pb.gz", ".html"].map(
        (ending) => options.prefix + ending,
      ),
    };
    return { result, reading };
  } finally {
    await inspector.close();
  }
}

/** Often enough for a median of a few seconds; a page costs the server about a millisecond. */
const PENDING_EVERY_MS = 250;

/**
 * How many proposals wait, read during the run: when it ends, the load may have ended, too. The median, because a queue that
 * holds a server back is always there, and one that a stall leaves behind is gone at the next look.
 */
async function pendingDuring(options: ProfileOptions): Promise<number> {
  const endMs = performance.now() + options.seconds * 1000;
  const seen: number[] = [];
  for (let leftMs = options.seconds * 1000; leftMs > 0; leftMs = endMs - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, PENDING_EVERY_MS)));
    if (options.endpoint !== undefined)
      seen.push((await metricsOf(options.endpoint))["etcd_server_proposals_pending"] ?? 0);
  }
  return seen.sort((a, b) => a - b)[seen.length >> 1] ?? 0;
}

function describe(result: ProfileResult): string {
  const { evidence, bottleneck } = result;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const lines = [
    `bottleneck: ${bottleneck.cause}: ${bottleneck.evidence}`,
    "",
    `  loop       busy ${percent(evidence.loopUtilisation)}, late by ${evidence.loopDelayMsP99.toFixed(1)} ms at p99, ${evidence.loopDelayMsMax.toFixed(1)} ms at most`,
    `  garbage    ${percent(evidence.gcShare)} of the time, longest pause ${evidence.gcMsMax.toFixed(1)} ms, ${formatBytes(result.allocatedBytesPerSecond)}/s allocated (sampled)`,
    `  log sync   ${evidence.syncs} syncs of ${formatDuration(evidence.syncSeconds * 1e6)} on average, ${percent(evidence.syncShare)} of the time`,
    `  CPU        ${evidence.processCores.toFixed(2)} cores of ${evidence.machineCores}, ${evidence.machineIdleCores.toFixed(2)} idle; by layer: ${layersText(evidence)}`,
    "",
    "  heaviest functions (own time, of the busy time)",
    ...result.heaviest.slice(0, 12).map((one) => `    ${percent(one.share).padStart(7)}  ${one.name}`),
    "",
    "  heaviest allocators",
    ...result.allocators.slice(0, 8).map((one) => `    ${formatBytes(one.bytes).padStart(9)}  ${one.name}`),
    "",
    `  ${result.files.join("  ")}`,
  ];
  return `${lines.join("\n")}\n`;
}

function layersText(evidence: Evidence): string {
  const shares = Object.entries(evidence.layers).filter(([, share]) => share >= 0.01);
  return shares
    .sort((a, b) => b[1] - a[1])
    .map(([layer, share]) => `${layer} ${Math.round(share * 100)} %`)
    .join(", ");
}
