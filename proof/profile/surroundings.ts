// What is seen of a process from outside: its and the machine's use of the processor, its and its peers' metrics, its
// clients on this machine.

import * as fs from "node:fs";
import * as os from "node:os";
import { localPortOf, pidsConnectedTo, readProcess } from "../bench/process-sampler.ts";
import { metricsOf } from "./metrics-page.ts";

export interface Subject {
  readonly pid: number;
  /** Where it serves; undefined: no metrics, no clients. */
  readonly endpoint: string | undefined;
  /** Other members of its cluster. */
  readonly peers: readonly string[];
}

export type Metrics = Readonly<Record<string, number>>;

/** One look; two of them make rates. */
export interface Outside {
  readonly atMs: number;
  readonly cpuSeconds: number;
  /** Time in which the loop's thread could have run and had no core. */
  readonly cpuWaitSeconds: number;
  readonly idleSeconds: number;
  readonly stealSeconds: number;
  readonly metrics: Metrics;
  readonly peers: readonly Metrics[];
  /** CPU seconds by process. */
  readonly clients: ReadonlyMap<number, number>;
}

const TICKS_PER_SECOND = 100;

export async function lookAt(subject: Subject): Promise<Outside> {
  const { pid, endpoint } = subject;
  const port = endpoint === undefined ? undefined : localPortOf(endpoint);
  const clients =
    port === undefined ? [] : pidsConnectedTo(port).filter((it) => it !== process.pid && it !== pid);
  // The pages last: they cost the server some milliseconds.
  return {
    atMs: performance.now(),
    cpuSeconds: cpuSecondsOf(pid),
    cpuWaitSeconds: waitSecondsOf(pid),
    idleSeconds: os.cpus().reduce((sum, cpu) => sum + cpu.times.idle / 1000, 0),
    stealSeconds: stealSeconds(),
    clients: new Map(clients.map((client) => [client, cpuSecondsOf(client)])),
    metrics: endpoint === undefined ? {} : await metricsOf(endpoint),
    peers: await Promise.all(subject.peers.map((peer) => metricsOf(peer))),
  };
}

function cpuSecondsOf(pid: number): number {
  const reading = readProcess(pid);
  return reading === undefined ? 0 : reading.userSeconds + reading.systemSeconds;
}

/** The kernel's count for the main thread, which has the loop: nanoseconds on a core, and waiting for one. */
function waitSecondsOf(pid: number): number {
  return Number(readable(`/proc/${pid}/schedstat`).split(" ")[1] ?? 0) / 1e9;
}

function stealSeconds(): number {
  const line = /^cpu +(.*)/m.exec(readable("/proc/stat"))?.[1];
  return Number(line?.split(" ")[7] ?? 0) / TICKS_PER_SECOND;
}

function readable(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return ""; // another system, or the process is gone
  }
}
