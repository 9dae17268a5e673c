// The machine beside the load: what a server's process on this machine uses, from /proc, and what it says of itself on
// /metrics (fsyncs, garbage collections, leader changes), sampled once a second.

import * as fs from "node:fs";
import type { TlsFiles } from "./rpc.ts";
import type { Mark } from "./series.ts";
import { eventsBetween, loopLagBetween, readMetrics, type ServerMetrics } from "./server-metrics.ts";
import { clockUs } from "./ticker.ts";

/** About a second of one process. Amounts are for a second, however long the sampler had to wait. */
export interface Sample {
  readonly pid: number;
  /** When it began, seconds of the run's clock: a stall of the machine must not move what comes after it. */
  readonly second: number;
  /** Of one core. */
  readonly cpuPercent: number;
  readonly rssBytes: number;
  readonly writtenBytes: number;
  readonly contextSwitches: number;
  /** Null: the process does not say. */
  readonly fsyncs: number | null;
  readonly gcSeconds: number | null;
  /** How late its event loop was at most. Null: it does not say; absent in files of earlier versions. */
  readonly loopLagSecondsMax?: number | null;
}

/** The whole run of one process. */
export interface ProcessUse {
  readonly pid: number;
  readonly name: string;
  readonly cpuSeconds: number;
  readonly cpuUserSeconds: number;
  readonly rssBytesMax: number;
  readonly rssBytes: number;
  readonly writtenBytes: number;
  readonly contextSwitches: number;
  /** Null: the process does not say. */
  readonly fsyncs: number | null;
  readonly gcSeconds: number | null;
  readonly allocatedBytes: number | null;
}

export interface Reading {
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly rssBytes: number;
  readonly writtenBytes: number;
  readonly contextSwitches: number;
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

export function readProcess(pid: number): Reading | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces: count fields from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const io = readable(`/proc/${pid}/io`);
    const status = readable(`/proc/${pid}/status`);
    return {
      userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
      systemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
      rssBytes: Number(fields[21]) * PAGE_BYTES,
      writtenBytes: numberAfter(io, "write_bytes:"),
      contextSwitches:
        numberAfter(status, "voluntary_ctxt_switches:") + numberAfter(status, "nonvoluntary_ctxt_switches:"),
    };
  } catch {
    return undefined; // gone, or not on this machine
  }
}

function readable(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function numberAfter(textOfFile: string, name: string): number {
  const line = textOfFile.split("\n").find((one) => one.startsWith(name));
  return line === undefined ? 0 : Number(line.slice(name.length).trim().split(" ")[0]);
}

/** The process on this machine that listens on a TCP port of its own; undefined when it cannot be told. */
export function pidListeningOn(port: number): number | undefined {
  const sockets = socketsWith((fields) => fields[3] === "0A" && portIn(fields[1]) === port);
  return sockets.size === 0 ? undefined : pids().find((pid) => holdsAny(pid, sockets));
}

/** The processes of this machine that have a connection to a TCP port, the one that serves it left out. */
export function pidsConnectedTo(port: number): number[] {
  const sockets = socketsWith((fields) => fields[3] === "01" && portIn(fields[2]) === port);
  return sockets.size === 0 ? [] : pids().filter((pid) => holdsAny(pid, sockets));
}

/** Of the kernel's tables: fields 1 and 2 are the local and the remote address, 3 is the state. */
function socketsWith(isWanted: (fields: readonly string[]) => boolean): Set<string> {
  const sockets = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readable(table).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (isWanted(fields)) sockets.add(`socket:[${fields[9]}]`);
    }
  }
  return sockets;
}

function portIn(address: string | undefined): number {
  return Number.parseInt(address?.split(":")[1] ?? "", 16);
}

function pids(): number[] {
  return fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function holdsAny(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return fs
      .readdirSync(`/proc/${pid}/fd`)
      .some((fd) => inodes.has(fs.readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false; // another user's, or gone
  }
}

/** `undefined` for endpoints of other machines. */
export function localPortOf(endpoint: string): number | undefined {
  const bare = endpoint.replace(/^[a-z]+:\/\//, "");
  const parts = /^(localhost|127\.[\d.]+|\[::1\]):(\d+)/.exec(bare);
  return parts ? Number(parts[2]) : undefined;
}

interface Watched {
  readonly pid: number;
  readonly name: string;
  readonly endpoint: string | undefined;
  first: Reading;
  firstPage: ServerMetrics | undefined;
  last: Reading;
  lastPage: ServerMetrics | undefined;
  lastUs: number;
  rssBytesMax: number;
}

/** Less than this is too short for a rate: CPU is counted in hundredths of a second. */
const SAMPLE_SECONDS_MIN = 0.5;
/** A page that is read before the load is measured is read so long before: it costs the store some milliseconds. */
const PAGE_LEAD_MS = 100;

export class ProcessSampler {
  readonly #watched: Watched[] = [];
  readonly samples: Sample[] = [];
  readonly marks: Mark[] = [];
  #beganUs = 0;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #firstPages: Promise<void> | undefined;
  readonly #metricsEverySecond: boolean;
  readonly #tls: TlsFiles;

  /** A metrics page costs the store some milliseconds, which a comparison of tails must not ask for every second. */
  constructor(options: { metricsEverySecond: boolean; tls: TlsFiles }) {
    this.#metricsEverySecond = options.metricsEverySecond;
    this.#tls = options.tls;
  }

  /** Finds the processes given, and those that listen on local endpoints. */
  async find(endpoints: readonly string[], pids: readonly number[]): Promise<void> {
    const found = new Map<number, string | undefined>(pids.map((pid) => [pid, undefined]));
    for (const endpoint of endpoints) {
      const port = localPortOf(endpoint);
      const pid = port === undefined ? undefined : pidListeningOn(port);
      if (pid !== undefined && pid !== process.pid) found.set(pid, endpoint);
    }
    for (const [pid, endpoint] of found) {
      const first = readProcess(pid);
      if (!first) continue;
      const page = await this.#page(endpoint);
      const name = readable(`/proc/${pid}/comm`).trim();
      this.#watched.push({
        pid,
        name,
        endpoint,
        first,
        firstPage: page,
        last: first,
        lastPage: page,
        lastUs: clockUs(),
        rssBytesMax: first.rssBytes,
      });
    }
  }

  /** The load starts now and is measured from `warmupMs` on: what the pages count until then is not its. */
  warmUp(warmupMs: number): void {
    if (this.#metricsEverySecond || warmupMs <= PAGE_LEAD_MS) return; // read by `begin`, or by `find` just now
    this.#timer = setTimeout(() => void this.#readFirstPages(), warmupMs - PAGE_LEAD_MS);
    this.#timer.unref();
  }

  /** What was used before this does not count. */
  begin(): void {
    clearTimeout(this.#timer);
    this.#beganUs = clockUs();
    for (const one of this.#watched) {
      const reading = readProcess(one.pid);
      if (!reading) continue;
      one.first = reading;
      one.last = reading;
      one.lastUs = this.#beganUs;
      one.rssBytesMax = reading.rssBytes;
    }
    if (this.#metricsEverySecond) this.#firstPages = this.#readFirstPages();
    this.#timer = setInterval(() => void this.#tick(), 1000);
    this.#timer.unref();
  }

  async stop(): Promise<ProcessUse[]> {
    clearInterval(this.#timer);
    await this.#firstPages;
    while (this.#busy) await new Promise((resolve) => setTimeout(resolve, 20));
    await this.#tick(true);
    return this.#watched.map((one) => ({
      pid: one.pid,
      name: one.name,
      cpuSeconds: round(cpuOf(one.last) - cpuOf(one.first)),
      cpuUserSeconds: round(one.last.userSeconds - one.first.userSeconds),
      rssBytesMax: one.rssBytesMax,
      rssBytes: one.last.rssBytes,
      writtenBytes: one.last.writtenBytes - one.first.writtenBytes,
      contextSwitches: one.last.contextSwitches - one.first.contextSwitches,
      ...saidBetween(one.firstPage, one.lastPage),
    }));
  }

  async #page(endpoint: string | undefined): Promise<ServerMetrics | undefined> {
    return endpoint === undefined ? undefined : readMetrics(endpoint, this.#tls);
  }

  async #readFirstPages(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    // Side by side, here and below: one server's slow page must not delay another's sample.
    await Promise.all(
      this.#watched.map(async (one) => {
        const page = await this.#page(one.endpoint);
        if (page === undefined) return;
        one.firstPage = page;
        one.lastPage = page;
      }),
    );
    this.#busy = false;
  }

  async #tick(last = false): Promise<void> {
    if (this.#busy) return; // the next one covers this second, too
    this.#busy = true;
    await Promise.all(
      this.#watched.map(async (one) => {
        const page = last || this.#metricsEverySecond ? await this.#page(one.endpoint) : undefined;
        const reading = readProcess(one.pid);
        if (reading) this.#take(one, { nowUs: clockUs(), reading, page });
      }),
    );
    this.#busy = false;
  }

  #take(one: Watched, now: { nowUs: number; reading: Reading; page: ServerMetrics | undefined }): void {
    const { reading, nowUs } = now;
    // A page that did not come in time must not count as a fall to zero.
    const page = now.page ?? one.lastPage;
    const seconds = (nowUs - one.lastUs) / 1e6;
    const second = Math.round((one.lastUs - this.#beganUs) / 1e4) / 100;
    if (seconds >= SAMPLE_SECONDS_MIN) {
      const said = now.page ? saidBetween(one.lastPage, page) : { fsyncs: null, gcSeconds: null };
      this.samples.push({
        pid: one.pid,
        second,
        ...ratesBetween(one.last, reading, seconds),
        ...perSecond(said, seconds),
        loopLagSecondsMax: loopLagBetween(one.lastPage, now.page),
      });
    }
    // Without a page a second a mark would be as wide as the run.
    if (this.#metricsEverySecond && one.lastPage && now.page)
      for (const { kind, text } of eventsBetween(one.lastPage, now.page))
        this.marks.push({ atSecond: second, kind, text: `${one.name} ${one.pid}: ${text}` });
    one.last = reading;
    one.lastUs = nowUs;
    one.lastPage = page;
    one.rssBytesMax = Math.max(one.rssBytesMax, reading.rssBytes);
  }
}

/** What `/proc` says of an interval, for a second of it. */
export function ratesBetween(
  before: Reading,
  after: Reading,
  seconds: number,
): Pick<Sample, "cpuPercent" | "rssBytes" | "writtenBytes" | "contextSwitches"> {
  return {
    cpuPercent: Math.round((100 * (cpuOf(after) - cpuOf(before))) / seconds),
    rssBytes: after.rssBytes,
    writtenBytes: Math.round((after.writtenBytes - before.writtenBytes) / seconds),
    contextSwitches: Math.round((after.contextSwitches - before.contextSwitches) / seconds),
  };
}

/** What the pages say of an interval; null for what they do not have. */
export function saidBetween(
  before: ServerMetrics | undefined,
  after: ServerMetrics | undefined,
): Pick<ProcessUse, "fsyncs" | "gcSeconds" | "allocatedBytes"> {
  const allocated = [before?.allocatedBytes, after?.allocatedBytes];
  return {
    allocatedBytes:
      allocated[0] === undefined || allocated[1] === undefined ? null : allocated[1] - allocated[0],
    fsyncs: before?.syncs && after?.syncs ? after.syncs.count - before.syncs.count : null,
    gcSeconds:
      before?.collections && after?.collections
        ? round(after.collections.seconds - before.collections.seconds)
        : null,
  };
}

function perSecond(
  said: Pick<ProcessUse, "fsyncs" | "gcSeconds">,
  seconds: number,
): Pick<Sample, "fsyncs" | "gcSeconds"> {
  return {
    fsyncs: said.fsyncs === null ? null : Math.round(said.fsyncs / seconds),
    gcSeconds: said.gcSeconds === null ? null : round(said.gcSeconds / seconds),
  };
}

function cpuOf(reading: Reading): number {
  return reading.userSeconds + reading.systemSeconds;
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
