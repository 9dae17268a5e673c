// What the process and its runtime do, for /metrics: under the names that Prometheus' clients use for any process, under
// etcd's for descriptors, and under those of Node's usual client for its collector and loop.

import { readdirSync, readFileSync } from "node:fs";
import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks";
import { type Histogram, exponentialBounds, type Metrics } from "../../core/base/metrics.ts";
import type { PeerTraffic } from "../../io/net/peer-traffic.ts";
import { VERSION } from "../version.ts";

/** How often the loop's delay is looked at. Finer costs wake-ups of an idle process. */
const LOOP_RESOLUTION_MS = 20;
const TURN_BOUNDS = exponentialBounds(0.0001, 2, 16);
const GC_BOUNDS = exponentialBounds(0.0001, 2, 14);
const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Registers them; what comes back ends the observation. */
export function registerProcessMetrics(metrics: Metrics): () => void {
  registerUsage(metrics);
  registerDescriptors(metrics);
  metrics.gauge("holdfast_build_info", "Holdfast version info.", () => 1, { version: VERSION });
  metrics.gauge("nodejs_version_info", "Node.js version info.", () => 1, { version: process.version });
  const stopCollector = observeCollector(metrics);
  const stopLoop = observeLoop(metrics);
  return () => {
    stopCollector();
    stopLoop();
  };
}

/** A histogram of how long turns hold the loop: its upper buckets are stalls. */
export function observeTurns(metrics: Metrics): (durationMs: number) => void {
  const histogram = metrics.histogram(
    "holdfast_turn_duration_seconds",
    "How long a turn of the member held the event loop, its slice of background work included.",
    TURN_BOUNDS,
  );
  return (durationMs) => histogram.observe(durationMs / 1000);
}

/** Bytes to and from each member. */
export function registerPeerTraffic(traffic: PeerTraffic, metrics: Metrics): void {
  metrics.seriesOf(
    "etcd_network_peer_sent_bytes_total",
    "counter",
    "The total number of bytes sent to peers.",
    () => traffic.listSent().map(([To, bytes]) => [{ To }, bytes] as const),
  );
  metrics.seriesOf(
    "etcd_network_peer_received_bytes_total",
    "counter",
    "The total number of bytes received from peers.",
    () => traffic.listReceived().map(([From, bytes]) => [{ From }, bytes] as const),
  );
}

function registerUsage(metrics: Metrics): void {
  metrics.counterOf("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", () =>
    process.memoryUsage.rss(),
  );
  const startSeconds = performance.timeOrigin / 1000;
  metrics.gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    () => startSeconds,
  );
  metrics.gauge(
    "nodejs_heap_size_used_bytes",
    "Process heap size used from Node.js in bytes.",
    () => process.memoryUsage().heapUsed,
  );
  metrics.gauge(
    "nodejs_external_memory_bytes",
    "Node.js external memory size in bytes.",
    () => process.memoryUsage().external,
  );
}

/** What only /proc tells; elsewhere these are not shown. */
function registerDescriptors(metrics: Metrics): void {
  if (readText("/proc/self/limits") === "") return;
  const open = (): number => countDescriptors();
  const limit = (): number => limitOf("Max open files");
  metrics.gauge("os_fd_used", "The number of used file descriptors.", open);
  metrics.gauge("os_fd_limit", "The file descriptor limit.", limit);
  metrics.gauge("process_open_fds", "Number of open file descriptors.", open);
  metrics.gauge("process_max_fds", "Maximum number of open file descriptors.", limit);
  metrics.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", () => virtualBytes());
  metrics.gauge(
    "process_virtual_memory_max_bytes",
    "Maximum amount of virtual memory available in bytes.",
    () => limitOf("Max address space"),
  );
  metrics.counterOf(
    "process_network_receive_bytes_total",
    "Number of bytes received by the process over the network.",
    () => networkBytes("InOctets"),
  );
  metrics.counterOf(
    "process_network_transmit_bytes_total",
    "Number of bytes sent by the process over the network.",
    () => networkBytes("OutOctets"),
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return ""; // not Linux, or not for us to see
  }
}

function countDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length - 1; // the one that reads
  } catch {
    return 0;
  }
}

/** The soft limit; without one, what Go's client says for it. */
function limitOf(name: string): number {
  const line = readText("/proc/self/limits")
    .split("\n")
    .find((it) => it.startsWith(name));
  const soft = line?.slice(name.length).trim().split(/\s+/)[0];
  return soft === undefined || soft === "unlimited" ? 2 ** 64 : Number(soft);
}

function virtualBytes(): number {
  const match = /^VmSize:\s+(\d+) kB/m.exec(readText("/proc/self/status"));
  return match === null ? 0 : Number(match[1]) * 1024;
}

/** Of the network namespace, as Go's client has it: the kernel keeps no count by process. */
function networkBytes(column: string): number {
  const lines = readText("/proc/self/net/netstat")
    .split("\n")
    .filter((line) => line.startsWith("IpExt:"))
    .map((line) => line.split(/\s+/));
  const index = lines[0]?.indexOf(column) ?? -1;
  return index < 0 ? 0 : Number(lines[1]?.[index] ?? 0);
}

function observeCollector(metrics: Metrics): () => void {
  const byKind = new Map<number, Histogram>();
  for (const [kind, name] of GC_KINDS)
    byKind.set(
      kind,
      metrics.histogram(
        "nodejs_gc_duration_seconds",
        "Garbage collection duration by kind, one of major, minor, incremental or weakcb.",
        GC_BOUNDS,
        { kind: name },
      ),
    );
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { readonly detail: { readonly kind: number } }).detail;
      byKind.get(kind)?.observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

/** Lags since the page was read last; whoever reads it is the only one who resets them. */
function observeLoop(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  // The histogram holds whole intervals: the resolution is no lag.
  const seconds = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1000) : 0;
  const lag = (name: string, help: string, read: () => number): void =>
    metrics.gauge(`nodejs_eventloop_lag_${name}seconds`, help, read);
  lag("", "Mean lag of the event loop in seconds, since this was read last.", () => seconds(delay.mean));
  for (const percent of [50, 90, 99])
    lag(
      `p${percent}_`,
      `The ${percent}th percentile of the event loop's lag, since this was read last.`,
      () => seconds(delay.percentile(percent)),
    );
  lag("max_", "The largest lag of the event loop, since this was read last.", () => seconds(delay.max));
  metrics.afterRender(() => delay.reset());
  let before = performance.eventLoopUtilization();
  metrics.gauge("nodejs_eventloop_utilization", "Busy share of the loop, since this was read last.", () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  });
  return () => delay.disable();
}
