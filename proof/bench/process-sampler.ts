// The machine beside the load: what a server's process on this machine uses, from /proc, and what it says of itself on
// /metrics (fsyncs, garbage collections, leader changes), sampled once a second.

import * as fs from "node:fs";
import * as http from "node:http";
import type { Mark } from "./result.ts";

/** One second of one process. */
export interface Sample {
  readonly pid: number;
  readonly second: number;
  /** Of one core. */
  readonly cpuPercent: number;
  readonly rssBytes: number;
  readonly writtenBytes: number;
  readonly contextSwitches: number;
  readonly fsyncs: number;
  readonly gcSeconds: number;
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
  readonly fsyncs: number;
  readonly gcSeconds: number;
}

interface Reading {
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
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readable(table).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] !== "0A" || Number.parseInt(fields[1]?.split(":")[1] ?? "", 16) !== port) continue;
      inodes.add(`socket:[${fields[9]}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (holdsAny(pid, inodes)) return Number(pid);
  }
  return undefined;
}

function holdsAny(pid: string, inodes: ReadonlySet<string>): boolean {
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

interface Scrape {
  readonly fsyncs: number;
  readonly fsyncSeconds: number;
  readonly gcSeconds: number;
  readonly leaderChanges: number;
}

const NO_SCRAPE: Scrape = { fsyncs: 0, fsyncSeconds: 0, gcSeconds: 0, leaderChanges: 0 };

/** Reads the few series that etcd and Holdfast share; zeros when there is no such page. */
export async function scrape(endpoint: string): Promise<Scrape> {
  if (endpoint.startsWith("https:")) return NO_SCRAPE; // would need the client's certificate; the page is not worth it
  const body = await new Promise<string>((resolve) => {
    const request = http.get(
      `http://${endpoint.replace(/^http:\/\//, "")}/metrics`,
      { timeout: 900, agent: false },
      (response) => {
        let page = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (page += chunk));
        response.on("end", () => resolve(response.statusCode === 200 ? page : ""));
        response.on("error", () => resolve(""));
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(""));
  });
  const value = (name: string): number => {
    const at = body.startsWith(`${name} `) ? 0 : body.indexOf(`\n${name} `) + 1;
    return at <= 0 && !body.startsWith(`${name} `)
      ? 0
      : Number(body.slice(at + name.length + 1, body.indexOf("\n", at)));
  };
  return {
    fsyncs: value("etcd_disk_wal_fsync_duration_seconds_count"),
    fsyncSeconds: value("etcd_disk_wal_fsync_duration_seconds_sum"),
    gcSeconds: value("go_gc_duration_seconds_sum") + gcSecondsOfNode(body),
    leaderChanges: value("etcd_server_leader_changes_seen_total"),
  };
}

/** `nodejs_gc_duration_seconds_sum{kind="minor"} 0.1` and its like. */
function gcSecondsOfNode(body: string): number {
  let seconds = 0;
  for (const line of body.matchAll(/^nodejs_gc_duration_seconds_sum(?:\{[^}]*\})? (\S+)$/gm))
    seconds += Number(line[1]);
  return seconds;
}

interface Watched {
  readonly pid: number;
  readonly name: string;
  readonly endpoint: string | undefined;
  first: Reading;
  firstScrape: Scrape;
  last: Reading;
  lastScrape: Scrape;
  rssBytesMax: number;
}

/** Syncs that take longer than this on average in a second are marked in the picture. */
const FSYNC_MARK_SECONDS = 0.02;
const GC_MARK_SECONDS = 0.02;

export class ProcessSampler {
  readonly #watched: Watched[] = [];
  readonly samples: Sample[] = [];
  readonly marks: Mark[] = [];
  #second = 0;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #metricsEverySecond: boolean;

  /** A metrics page costs the store some milliseconds, which a comparison of tails must not ask for every second. */
  constructor(options: { metricsEverySecond: boolean }) {
    this.#metricsEverySecond = options.metricsEverySecond;
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
      const firstScrape = endpoint === undefined ? NO_SCRAPE : await scrape(endpoint);
      const name = readable(`/proc/${pid}/comm`).trim();
      this.#watched.push({
        pid,
        name,
        endpoint,
        first,
        firstScrape,
        last: first,
        lastScrape: firstScrape,
        rssBytesMax: first.rssBytes,
      });
    }
  }

  /** What was used before this does not count. */
  begin(): void {
    for (const one of this.#watched) {
      const reading = readProcess(one.pid);
      if (!reading) continue;
      one.first = reading;
      one.last = reading;
      one.rssBytesMax = reading.rssBytes;
    }
    this.#timer = setInterval(() => void this.#tick(), 1000);
    this.#timer.unref();
  }

  async stop(): Promise<ProcessUse[]> {
    clearInterval(this.#timer);
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
      fsyncs: one.lastScrape.fsyncs - one.firstScrape.fsyncs,
      gcSeconds: round(one.lastScrape.gcSeconds - one.firstScrape.gcSeconds),
    }));
  }

  async #tick(last = false): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const second = this.#second++;
    for (const one of this.#watched) {
      const reading = readProcess(one.pid);
      if (!reading) continue;
      const page =
        one.endpoint !== undefined && (last || this.#metricsEverySecond)
          ? await scrape(one.endpoint)
          : NO_SCRAPE;
      this.#take(one, { second, reading, page });
    }
    this.#busy = false;
  }

  #take(one: Watched, now: { second: number; reading: Reading; page: Scrape }): void {
    const { reading, page, second } = now;
    // A page that did not come in time must not count as a fall to zero.
    const known = page.fsyncs > 0 || page.gcSeconds > 0 ? page : one.lastScrape;
    const fsyncs = known.fsyncs - one.lastScrape.fsyncs;
    const fsyncSeconds = known.fsyncSeconds - one.lastScrape.fsyncSeconds;
    const gcSeconds = known.gcSeconds - one.lastScrape.gcSeconds;
    this.samples.push({
      pid: one.pid,
      second,
      cpuPercent: Math.round(100 * (cpuOf(reading) - cpuOf(one.last))),
      rssBytes: reading.rssBytes,
      writtenBytes: reading.writtenBytes - one.last.writtenBytes,
      contextSwitches: reading.contextSwitches - one.last.contextSwitches,
      fsyncs,
      gcSeconds: round(gcSeconds),
    });
    const mark = (kind: Mark["kind"], text: string): void =>
      void this.marks.push({ atSecond: second, kind, text: `${one.name} ${one.pid}: ${text}` });
    if (fsyncs > 0 && fsyncSeconds / fsyncs > FSYNC_MARK_SECONDS)
      mark("fsync", `${Math.round((1000 * fsyncSeconds) / fsyncs)} ms a sync`);
    if (gcSeconds > GC_MARK_SECONDS) mark("gc", `${Math.round(1000 * gcSeconds)} ms of garbage collection`);
    if (known.leaderChanges > one.lastScrape.leaderChanges) mark("election", "a change of leader");
    one.last = reading;
    one.lastScrape = known;
    one.rssBytesMax = Math.max(one.rssBytesMax, reading.rssBytes);
  }
}

function cpuOf(reading: Reading): number {
  return reading.userSeconds + reading.systemSeconds;
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
