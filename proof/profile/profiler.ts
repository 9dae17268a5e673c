// Profiles one process through its inspector, without a restart, and writes the files that other tools read.

import * as fs from "node:fs";
import { type Bottleneck, type Evidence, nameBottleneck } from "./bottleneck.ts";
import {
  type CpuProfile,
  heaviestAllocators,
  type HeapProfile,
  readCpuProfile,
  type Reading,
} from "./cpu-profile.ts";
import { evidenceOf, type Inside } from "./evidence.ts";
import { Inspector } from "./inspector.ts";
import { metricsOf } from "./metrics-page.ts";
import { cpuPprof, heapPprof } from "./pprof.ts";
import type { Stall } from "./stalls.ts";
import { lookAt, type Subject } from "./surroundings.ts";

export interface ProfileOptions extends Subject {
  readonly seconds: number;
  /** Of the files' names. */
  readonly prefix: string;
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

export async function profile(options: ProfileOptions): Promise<{ result: ProfileResult; reading: Reading }> {
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
