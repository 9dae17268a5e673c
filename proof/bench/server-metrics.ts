// What a server says of itself on /metrics: log syncs, garbage collections, stalls of its loop, elections, checkpoints
// and compactions, under the names that etcd, Go's runtime, Node's exporters and Holdfast use. What a page does not
// have is undefined: no figure is better than a zero that nobody measured.

import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { isTls, type TlsFiles } from "./rpc.ts";
import type { Mark } from "./series.ts";
import { formatDuration } from "./units.ts";

/** A histogram of the page, since the server's start. */
export interface Distribution {
  readonly count: number;
  readonly seconds: number;
  /** Counts up to and including a bound, by the bound in seconds, ascending; empty for a summary. */
  readonly upTo: readonly (readonly [boundSeconds: number, count: number])[];
}

export interface ServerMetrics {
  readonly syncs: Distribution | undefined;
  readonly collections: Distribution | undefined;
  readonly loopStalls: Distribution | undefined;
  /** The longest stall that Node's exporter has seen of late; most exporters start anew when it is read. */
  readonly loopLagSecondsMax: number | undefined;
  readonly checkpoints: Distribution | undefined;
  readonly compactions: Distribution | undefined;
  readonly compactedRevision: number | undefined;
  /** 1 while one is under way: it holds up others before it has ended and is counted. */
  readonly checkpointsRunning: number | undefined;
  readonly compactionsRunning: number | undefined;
  readonly leaderChanges: number | undefined;
  /** Since the start, freed or not: Go counts it. */
  readonly allocatedBytes: number | undefined;
  /** bbolt commits ten times a second, which is no event; a Holdfast checkpoint is. */
  readonly commitsAreEvents: boolean;
}

/** A page costs its server some milliseconds; one that takes longer than this is given up. */
const PAGE_TIMEOUT_MS = 900;

/** Undefined when there is no such page, or none in time. */
export async function readMetrics(endpoint: string, tls: TlsFiles): Promise<ServerMetrics | undefined> {
  const page = await fetchPage(endpoint, tls);
  return page === undefined ? undefined : parseServerMetrics(page);
}

/** Which server it says it is, "holdfast 0.1.0" or "etcd 3.6.16"; undefined when there is no page that says so. */
export async function readServerName(endpoint: string, tls: TlsFiles): Promise<string | undefined> {
  const page = await fetchPage(endpoint, tls);
  const [, name, version] =
    // Holdfast's page has etcd's series as well.
    /^(holdfast)_build_info\{version="([^"]+)"\}/m.exec(page ?? "") ??
    /^(etcd)_server_version\{server_version="([^"]+)"\}/m.exec(page ?? "") ??
    [];
  return name === undefined ? undefined : `${name} ${version}`;
}

async function fetchPage(endpoint: string, tls: TlsFiles): Promise<string | undefined> {
  return new Promise((resolve) => {
    const take = (response: http.IncomingMessage): void => {
      let page = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (page += chunk));
      response.on("end", () => resolve(response.statusCode === 200 ? page : undefined));
      response.on("error", () => resolve(undefined));
    };
    const shared = { timeout: PAGE_TIMEOUT_MS, agent: false } as const;
    const bare = endpoint.replace(/^https?:\/\//, "");
    try {
      const request = isTls(endpoint, tls)
        ? https.get(`https://${bare}/metrics`, { ...shared, ...credentialsOf(tls) }, take)
        : http.get(`http://${bare}/metrics`, shared, take);
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(undefined));
    } catch {
      resolve(undefined); // a file that cannot be read; the load has said so before
    }
  });
}

function credentialsOf(tls: TlsFiles): https.RequestOptions {
  const read = (file: string | undefined): Buffer | undefined =>
    file === undefined ? undefined : fs.readFileSync(file);
  return {
    ca: read(tls.caFile),
    cert: read(tls.certFile),
    key: read(tls.keyFile),
    rejectUnauthorized: !tls.insecureSkipVerify,
  };
}

/** Series of the page: sums over labels, and buckets by bound. */
interface Page {
  readonly values: ReadonlyMap<string, number>;
  readonly buckets: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

export function parseServerMetrics(text: string): ServerMetrics {
  const page = parsePage(text);
  const first = (names: readonly string[], unitSeconds = 1): Distribution | undefined =>
    names.map((name) => distributionOf(page, name, unitSeconds)).find((one) => one !== undefined);
  const holdfast = [...page.values.keys()].some((name) => name.startsWith("holdfast_"));
  const matching = (pattern: RegExp): string[] =>
    [...page.values.keys()].flatMap((name) => pattern.exec(name)?.[1] ?? []);
  const lag = matching(/^(nodejs_eventloop_\w*max_seconds)$/)[0];
  return {
    // Holdfast has finer buckets under a name of its own.
    syncs: first(["holdfast_wal_fsync_duration_seconds", "etcd_disk_wal_fsync_duration_seconds"]),
    collections: first(["nodejs_gc_duration_seconds", "go_gc_duration_seconds"]),
    loopStalls: first(
      matching(/^((?:nodejs_eventloop|holdfast_event_?loop|holdfast_loop)\w*_seconds)_count$/),
    ),
    loopLagSecondsMax: lag === undefined ? undefined : page.values.get(lag),
    checkpoints: first([
      ...matching(/^(holdfast_\w*checkpoint\w*_seconds)_count$/),
      "etcd_disk_backend_commit_duration_seconds",
    ]),
    compactions:
      first(matching(/^(holdfast_\w*compaction\w*_seconds)_count$/)) ??
      first(["etcd_debugging_mvcc_db_compaction_total_duration_milliseconds"], 1e-3),
    checkpointsRunning: page.values.get("holdfast_checkpoint_running"),
    compactionsRunning: page.values.get("holdfast_compaction_running"),
    compactedRevision: page.values.get("etcd_debugging_mvcc_compact_revision"),
    leaderChanges: page.values.get("etcd_server_leader_changes_seen_total"),
    allocatedBytes: page.values.get("go_memstats_alloc_bytes_total"),
    commitsAreEvents: holdfast,
  };
}

function parsePage(text: string): Page {
  const values = new Map<string, number>();
  const buckets = new Map<string, Map<number, number>>();
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
    if (!parts) continue;
    const [, name = "", labels = ""] = parts;
    const value = Number(parts[3]);
    if (!Number.isFinite(value)) continue;
    if (!name.endsWith("_bucket")) {
      values.set(name, (values.get(name) ?? 0) + value);
      continue;
    }
    const of = name.slice(0, -"_bucket".length);
    const bound = Number(/\ble="([^"]+)"/.exec(labels)?.[1]?.replace("+Inf", "Infinity"));
    const known = buckets.get(of) ?? new Map<number, number>();
    buckets.set(of, known.set(bound, (known.get(bound) ?? 0) + value));
  }
  return { values, buckets };
}

function distributionOf(page: Page, name: string, unitSeconds: number): Distribution | undefined {
  const count = page.values.get(`${name}_count`);
  const sum = page.values.get(`${name}_sum`);
  if (count === undefined || sum === undefined) return undefined;
  const upTo = [...(page.buckets.get(name) ?? [])]
    .sort((a, b) => a[0] - b[0])
    .map(([bound, seen]) => [bound * unitSeconds, seen] as const);
  return { count, seconds: sum * unitSeconds, upTo };
}

/** What came in between two readings of a distribution. */
interface Grown {
  readonly count: number;
  readonly seconds: number;
  /** Bounds of the slowest one, seconds; `above` is certain. Without buckets the average stands for it. */
  readonly above: number;
  readonly upTo: number;
}

export function grownBetween(before: Distribution, after: Distribution): Grown | undefined {
  const count = after.count - before.count;
  if (count <= 0) return undefined; // nothing, or the server is another
  const seconds = after.seconds - before.seconds;
  const earlier = new Map(before.upTo);
  let above = 0;
  for (const [bound, seen] of after.upTo) {
    // The slowest lies in the first bucket that holds all there are.
    if (seen - (earlier.get(bound) ?? 0) >= count) return { count, seconds, above, upTo: bound };
    above = bound;
  }
  return { count, seconds, above: seconds / count, upTo: seconds / count };
}

/** An event that is certain to have taken this long is marked: a log sync usually takes less than one millisecond. */
const MARK_SECONDS: Readonly<Record<"fsync" | "gc" | "stall" | "checkpoint", number>> = {
  fsync: 0.01,
  gc: 0.02,
  stall: 0.02,
  checkpoint: 0.02,
};

/** What happened in between that may explain a latency, as kinds and texts of marks. */
export function eventsBetween(
  before: ServerMetrics,
  after: ServerMetrics,
): { kind: Mark["kind"]; text: string }[] {
  const events: { kind: Mark["kind"]; text: string }[] = [];
  const mark = (kind: Mark["kind"], text: string): void => void events.push({ kind, text });
  const grown = (name: "syncs" | "collections" | "loopStalls" | "checkpoints" | "compactions") =>
    before[name] && after[name] ? grownBetween(before[name], after[name]) : undefined;
  const syncs = grown("syncs");
  if (syncs && syncs.above >= MARK_SECONDS.fsync)
    mark("fsync", `the slowest of ${syncs.count} syncs ${took(syncs)}`);
  const collections = grown("collections");
  if (collections && Math.max(collections.above, collections.seconds) >= MARK_SECONDS.gc)
    mark("gc", `${collections.count} garbage collections in ${duration(collections.seconds)}`);
  const stalls = grown("loopStalls");
  if (stalls && stalls.above >= MARK_SECONDS.stall) mark("stall", `the loop's longest stall ${took(stalls)}`);
  const lag = loopLagBetween(before, after) ?? 0;
  if (!stalls && lag >= MARK_SECONDS.stall) mark("stall", `the loop stood still for ${duration(lag)}`);
  const checkpoints = grown("checkpoints");
  if (checkpoints && (after.commitsAreEvents || checkpoints.above >= MARK_SECONDS.checkpoint))
    mark("checkpoint", `${after.commitsAreEvents ? "a checkpoint" : "a commit"} ${took(checkpoints)}`);
  else if ((after.checkpointsRunning ?? 0) > 0) mark("checkpoint", "a checkpoint is under way");
  if ((after.compactedRevision ?? 0) > (before.compactedRevision ?? Number.POSITIVE_INFINITY))
    mark("compaction", `compacted to revision ${after.compactedRevision}`);
  const compactions = grown("compactions");
  if (compactions) mark("compaction", `a compaction ended after ${duration(compactions.seconds)}`);
  else if ((after.compactionsRunning ?? 0) > 0) mark("compaction", "a compaction is under way");
  if ((after.leaderChanges ?? 0) > (before.leaderChanges ?? Number.POSITIVE_INFINITY))
    mark("election", "a change of leader");
  return events;
}

/** How late the loop was at most, seconds; null where that is not known. */
export function loopLagBetween(
  before: ServerMetrics | undefined,
  after: ServerMetrics | undefined,
): number | null {
  const lag = after?.loopLagSecondsMax;
  // An exporter that does not start anew would show the same maximum for ever.
  return lag === undefined || lag === before?.loopLagSecondsMax ? null : lag;
}

function took(grown: Grown): string {
  if (grown.above === grown.upTo) return `took ${duration(grown.above)}`;
  if (grown.upTo === Number.POSITIVE_INFINITY) return `took more than ${duration(grown.above)}`;
  return grown.above === 0
    ? `took up to ${duration(grown.upTo)}`
    : `took ${duration(grown.above)} to ${duration(grown.upTo)}`;
}

function duration(seconds: number): string {
  return formatDuration(seconds * 1e6);
}
