// Who is compared, and running the same load on each in turn.

import * as fs from "node:fs";
import * as path from "node:path";
import {
  type Cluster,
  findInstalled,
  type Installed,
  launch,
  type LaunchOptions,
  NO_TLS,
  prepareCluster,
  type StoreKind,
} from "./launch.ts";
import type { Live } from "./load.ts";
import { parseRun, type RunOptions, type WorkloadName } from "./options.ts";
import type { RunResult } from "./result.ts";
import { runOnce } from "./run.ts";
import type { TlsFiles } from "./rpc.ts";

/** A store that takes part, running or to be started. */
export interface Contender {
  readonly name: string;
  readonly kind: StoreKind;
  readonly installed: Installed;
  /** Given by the user: then nothing is started, and rows that need a process are left out. */
  readonly endpoints: readonly string[] | undefined;
}

export interface CompareOptions {
  readonly ours: Contender;
  readonly rivals: readonly Contender[];
  readonly suite: "quick" | "full";
  readonly rows: readonly string[] | undefined;
  readonly rounds: number;
  /** Length of one turn of one store. */
  readonly sliceSeconds: number;
  readonly keys: number | undefined;
  /** P0 ends by then, with fewer keys. */
  readonly minutes: number | undefined;
  readonly seed: number;
  /** Where data directories go. */
  readonly directory: string;
  readonly json: boolean;
  readonly reportFile: string | undefined;
  /** P0 as a drawing that stands alone. */
  readonly pictureFile: string | undefined;
  readonly saveFile: string | undefined;
  readonly quiet: boolean;
  readonly tls: TlsFiles;
  /** The npm package's, or ours: as cheap as the one that etcd gets. */
  readonly zooKeeperClient: "npm" | "light";
}

/** What a row has to work with. */
export interface RowContext {
  readonly options: CompareOptions;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  readonly notes: string[];
  /** Keeps a run for the page: one rate of a ladder, by the title of its store. */
  readonly onRate?: (run: RunResult) => void;
  /** Hears of the load that runs. */
  readonly onSecond?: (live: Live) => void;
  /** A load has begun. */
  readonly onRunning?: () => void;
  /** A load reads what its server says of itself every second, for marks beside its latencies. */
  readonly readsMetrics?: boolean;
}

export function contender(
  kind: StoreKind,
  given: { command?: string | undefined; endpoints?: readonly string[] | undefined },
): Contender {
  const installed: Installed = given.endpoints
    ? { kind, command: [], version: "running", note: undefined }
    : findInstalled(kind, given.command);
  return { name: kind, kind, installed, endpoints: given.endpoints };
}

export function all(options: CompareOptions): Contender[] {
  return [options.ours, ...options.rivals];
}

/** A contender with something to send load to. */
export interface Running {
  readonly contender: Contender;
  readonly cluster: Cluster | undefined;
  /** Where load goes: the leader. */
  readonly endpoint: string;
  readonly tls: TlsFiles;
}

/** By whose client a contender is loaded. */
function storeOf(kind: StoreKind, options: CompareOptions): RunOptions["store"] {
  if (kind === "zookeeper") return options.zooKeeperClient === "npm" ? "zookeeper-npm" : "zookeeper";
  return kind === "consul" ? "consul" : "etcd";
}

let directoryNext = 0;

export function launchOptions(
  context: RowContext,
  who: Contender,
  members: number,
  more: Partial<LaunchOptions> = {},
): LaunchOptions {
  const directory = path.join(context.options.directory, `${directoryNext++}-${who.name}`);
  return { members, directory, flags: [], tls: undefined, ...more };
}

/** Starts every contender fresh, runs `body`, and stops them, whatever happens. */
export async function withAll<T>(
  context: RowContext,
  members: number,
  body: (running: readonly Running[]) => Promise<T>,
  more: Partial<LaunchOptions> = {},
): Promise<T> {
  const running: Running[] = [];
  try {
    for (const who of all(context.options)) {
      if (members > 1 && who.kind === "consul" && !who.endpoints) {
        addNoteOnce(context.notes, "consul: left out, it is compared with one member only");
        continue;
      }
      context.say(`starting ${who.name}${members > 1 ? `, ${members} members` : ""}`);
      running.push(await start(context, who, members, more));
    }
    return await body(running);
  } finally {
    await Promise.all(running.map(async (one) => one.cluster?.stop()));
  }
}

async function start(
  context: RowContext,
  who: Contender,
  members: number,
  more: Partial<LaunchOptions>,
): Promise<Running> {
  if (who.endpoints)
    return {
      contender: who,
      cluster: undefined,
      endpoint: who.endpoints.join(","),
      tls: context.options.tls,
    };
  const cluster = await launch(who.installed, launchOptions(context, who, members, more));
  return { contender: who, cluster, endpoint: cluster.endpoints[await cluster.leader()]!, tls: cluster.tls };
}

/** One fresh, not yet started store. */
export async function prepare(
  context: RowContext,
  who: Contender,
  members: number,
  more: Partial<LaunchOptions> = {},
): Promise<Cluster> {
  if (who.endpoints)
    throw new Error("this row starts and stops stores itself, so it cannot use given endpoints");
  return prepareCluster(who.installed, launchOptions(context, who, members, more));
}

/** One fresh store of one member, started when asked to, and stopped whatever happens in `body`. */
export async function withOne(
  context: RowContext,
  who: Contender,
  body: (cluster: Cluster, target: Running) => Promise<void>,
  more: Partial<LaunchOptions> & { start?: boolean } = {},
): Promise<void> {
  const { start: starts = true, ...options } = more;
  const cluster = await prepare(context, who, 1, options);
  try {
    if (starts) {
      cluster.startMember(0);
      await cluster.ready();
    }
    await body(cluster, { contender: who, cluster, endpoint: cluster.endpoints[0]!, tls: cluster.tls });
  } finally {
    await cluster.stop();
  }
}

/** Runs a load on one store. `flags` are those of `holdfast bench WORKLOAD`. */
export async function loadOn(
  context: RowContext,
  target: Running,
  workload: WorkloadName,
  flags: readonly string[],
): Promise<RunResult> {
  const store = storeOf(target.contender.kind, context.options);
  const parsed = parseRun(
    workload,
    ["--endpoints", target.endpoint, "--store", store, "--quiet", ...flags],
    {},
  );
  const options: RunOptions = {
    ...parsed,
    tls: target.tls === NO_TLS ? parsed.tls : target.tls,
    title: target.contender.name,
    seed: context.options.seed,
  };
  if (context.signal.aborted) throw new Error("interrupted");
  return runOnce(options, {
    signal: context.signal,
    onSecond: context.onSecond ?? (() => {}),
    // Asked for once a slice, its page would cost the store some milliseconds beside the load.
    server: target.contender.name,
    // The others have no such page.
    readsMetrics: context.readsMetrics === true && store === "etcd",
    onPhase: (phase) => {
      if (phase.endsWith("running")) context.onRunning?.();
    },
  });
}

/** Before it, and after it, the load goes on for a moment: what an event does to it may begin early or end late. */
const BESIDE_MS = 300;

/** The load that goes on while `body` runs, from a moment before to a moment after it. */
export async function loadBeside(
  context: RowContext,
  target: Running,
  load: { readonly workload: WorkloadName; readonly flags: readonly string[] },
  body: () => Promise<void>,
): Promise<RunResult> {
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  let onRunning = (): void => {};
  const running = new Promise<void>((resolve) => (onRunning = resolve));
  const result = loadOn({ ...context, signal, onRunning }, target, load.workload, [
    ...load.flags,
    ...["--duration", "3600s", "--warmup", `${BESIDE_MS}ms`, "--timeout", "120s"],
  ]);
  // Awaited below, unless `body` fails first.
  result.catch(() => {});
  try {
    await Promise.race([running, result]);
    await sleep(2 * BESIDE_MS);
    await body();
    await sleep(BESIDE_MS);
  } finally {
    own.abort();
  }
  return result;
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Those that speak etcd's API: rows of watches, leases and members mean nothing to others. */
export function etcdLike(options: CompareOptions): Contender[] {
  return all(options).filter((one) => one.kind === "holdfast" || one.kind === "etcd");
}

/**
 * The same load on each in turn, `rounds` times: A B A B. The order turns round, so that nobody is always first. A run that
 * was refused because the client made its figures is taken once more, and left out when that one is refused, too.
 */
export async function inTurns(
  context: RowContext,
  running: readonly Running[],
  load: (target: Running, round: number) => Promise<RunResult>,
): Promise<Map<string, RunResult[]>> {
  const results = new Map<string, RunResult[]>(running.map((one) => [one.contender.name, []]));
  for (let round = 0; round < context.options.rounds; round++) {
    for (let i = 0; i < running.length; i++) {
      const target = running[(i + round) % running.length]!;
      context.say(`round ${round + 1} of ${context.options.rounds}: ${target.contender.name}`);
      // A second try writes keys of its own, as the first one did.
      const again = round + context.options.rounds;
      const result = await publishedOf(context, target, (attempt) =>
        load(target, attempt === 0 ? round : again),
      );
      if (result) results.get(target.contender.name)!.push(result);
    }
  }
  return results;
}

/** A load's result, or undefined when it was refused twice; the notes say what is to be known of it. */
export async function publishedOf(
  context: RowContext,
  target: Running,
  load: (attempt: number) => Promise<RunResult>,
): Promise<RunResult | undefined> {
  const { name } = target.contender;
  let result = await load(0);
  if (!result.published) result = await load(1);
  for (const warning of result.warnings) addNoteOnce(context.notes, `${name}: ${warning}`);
  if (!result.published) {
    addNoteOnce(context.notes, `${name}: a run is left out. ${result.refusal}`);
    return undefined;
  }
  if (result.errors > 0)
    addNoteOnce(context.notes, `${name}: ${result.errors} errors: ${Object.keys(result.errorTexts)[0]}`);
  return result;
}

/** The first of each kind is enough. */
export function addNoteOnce(notes: string[], note: string): void {
  const kind = note.replace(/[\d.,]+/g, "#");
  if (!notes.some((one) => one.replace(/[\d.,]+/g, "#") === kind)) notes.push(note);
}

export function makeDirectory(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** Keys of the rows that ask for a million; the quick suite takes a tenth, and says so. */
export function massKeys(context: RowContext): number {
  return context.options.keys ?? (context.options.suite === "full" ? 1_000_000 : 100_000);
}
