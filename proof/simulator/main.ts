// `holdfast simulate`: many seeds, one seed, or a planted bug.

import { availableParallelism } from "node:os";
import { PLANTED_BUGS } from "../bugs/catalogue.ts";
import type { PlantedBug } from "../bugs/planted-bug.ts";
import { describeFault, drawPlan, PROFILES } from "./plan.ts";
import { bundleWith } from "./planted.ts";
import type { SeedResult } from "./run-seed.ts";
import type { SeedOrder } from "./seeds.worker.ts";
import { profileOf, rerun, sweep } from "./sweep.ts";

interface TextOut {
  write(text: string): unknown;
}

/** What a program gives to a command. */
export interface CommandIo {
  readonly stdout: TextOut;
  readonly stderr: TextOut;
  readonly stdin: unknown;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit statuses: a promise was broken (or a planted bug not found), the command line is wrong. */
const EXIT_VIOLATION = 1;
const EXIT_USAGE = 2;
/** One of so many seeds is run again in fresh threads, and must give the same trace. */
const RERUN_DISTANCE = 20;
const INTERRUPTS = ["SIGINT", "SIGTERM"] as const;
const SEED_COUNT_DEFAULT = 100;
const BUG_SEED_COUNT_DEFAULT = 2_000;

interface SimulateOptions {
  readonly json: boolean;
  readonly listBugs: boolean;
  readonly seed: number | undefined;
  readonly seeds: number | undefined;
  readonly first: number;
  readonly seconds: number;
  readonly bug: string | undefined;
  /** Ids, or all. */
  readonly bugs: string | undefined;
  readonly profile: string | undefined;
  readonly workerCount: number;
}

class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Runs `holdfast simulate ARGV…` and returns the exit status. */
export async function run(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    if (argv.includes("--help") || argv.includes("-h")) {
      io.stdout.write(HELP);
      return 0;
    }
    const options = parse(argv);
    if (options.listBugs) return listBugs(options, io);
    if (options.bug !== undefined) return await oneBug(bugNamed(options.bug), options, io);
    if (options.bugs !== undefined) return await manyBugs(bugsNamed(options.bugs), options, io);
    if (options.seed !== undefined) return await oneSeed(options.seed, options, io);
    return await manySeeds(options, io);
  } catch (error) {
    io.stderr.write(`holdfast simulate: ${(error as Error).message}\n`);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_VIOLATION;
  }
}

async function manySeeds(options: SimulateOptions, io: CommandIo): Promise<number> {
  const startedMs = performance.now();
  const count = options.seeds ?? (options.seconds < Infinity ? Infinity : SEED_COUNT_DEFAULT);
  const totals = new Totals();
  const again: SeedResult[] = [];
  let next = options.first;
  // Ctrl-C, or SIGTERM for a run in the background: the seeds under way are finished, one per thread is run again, and what
  // was seen is told; a second one ends at once.
  let isInterrupted = false;
  const interrupt = (): void => void (isInterrupted = true);
  for (const signal of INTERRUPTS) process.once(signal, interrupt);
  const isOver = (): boolean =>
    isInterrupted || next >= options.first + count || performance.now() - startedMs > options.seconds * 1000;
  await sweep({
    workerCount: options.workerCount,
    next: () => (isOver() ? undefined : order(next++, options)),
    onResult: (result) => {
      totals.add(result);
      if (result.seed % RERUN_DISTANCE === 0) again.push(result);
      if (result.violation !== undefined) report(result, options, io);
      progress(totals, startedMs, options, io);
      return false;
    },
  });
  const { strays, rerunCount } = await rerun(again, {
    workerCount: options.workerCount,
    isHurried: () => isInterrupted,
  });
  for (const signal of INTERRUPTS) process.off(signal, interrupt);
  for (const result of strays) {
    totals.fail(result.seed);
    report(result, options, io);
  }
  const wallSeconds = secondsSince(startedMs);
  const summary = {
    seeds: totals.seeds,
    violations: totals.violations,
    ...totals.figures(),
    rerunSeeds: rerunCount,
    wallSeconds,
    failedSeeds: totals.failedSeeds,
  };
  if (options.json) io.stdout.write(`${JSON.stringify(summary)}\n`);
  else {
    io.stdout.write(
      `${totals.seeds} seeds, ${totals.violations} violations; ${totals.checkedOperations} operations checked in ` +
        `${Math.round(totals.simulatedSeconds)} simulated seconds, which took ${wallSeconds.toFixed(1)} s; ` +
        `${rerunCount} seeds run again, for their traces\n`,
    );
  }
  return totals.violations === 0 ? 0 : EXIT_VIOLATION;
}

async function oneSeed(seed: number, options: SimulateOptions, io: CommandIo): Promise<number> {
  const startedMs = performance.now();
  const result = await runOne(order(seed, options));
  if (!options.json) describePlan(result, io);
  if (result.violation !== undefined) report(result, options, io);
  const { seed: _seed, violation, ...figures } = result;
  const summary = {
    seeds: 1,
    seed,
    violations: violation === undefined ? 0 : 1,
    ...figures,
    wallSeconds: secondsSince(startedMs),
  };
  if (options.json) io.stdout.write(`${JSON.stringify(summary)}\n`);
  else {
    io.stdout.write(
      `seed ${seed} (${result.profile}): trace ${result.traceHash}, ${result.checkedOperations} operations checked, ${result.entries} entries, ` +
        `${result.elections} elections, ${summary.violations} violations\n`,
    );
  }
  return violation === undefined ? 0 : EXIT_VIOLATION;
}

/** One bug after the other, each until it is found: whether the oracles still look. */
async function manyBugs(
  bugs: readonly PlantedBug[],
  options: SimulateOptions,
  io: CommandIo,
): Promise<number> {
  const startedMs = performance.now();
  const missed: string[] = [];
  const nowhere = { ...io, stdout: { write: () => undefined }, stderr: { write: () => undefined } };
  for (const bug of bugs) {
    const search = await findBug(bug, options, nowhere);
    if (!search.found) missed.push(bug.id);
    if (options.json) io.stdout.write(`${JSON.stringify(search)}\n`);
    else {
      const { found, seedsTried, wallSeconds, oracle } = search;
      const how = found ? `found by ${oracle} (seed ${search.seed})` : "NOT FOUND";
      io.stdout.write(
        `${bug.id.padEnd(4)} ${String(seedsTried).padStart(4)} seeds ${wallSeconds.toFixed(1).padStart(6)} s  ${how}: ${bug.title}\n`,
      );
    }
  }
  const wallSeconds = secondsSince(startedMs);
  if (options.json) io.stdout.write(`${JSON.stringify({ bugs: bugs.length, missed, wallSeconds })}\n`);
  else io.stdout.write(`${bugs.length - missed.length} of ${bugs.length} bugs found in ${wallSeconds} s\n`);
  return missed.length === 0 ? 0 : EXIT_VIOLATION;
}

async function oneBug(bug: PlantedBug, options: SimulateOptions, io: CommandIo): Promise<number> {
  const search = await findBug(bug, options, io);
  if (options.json) io.stdout.write(`${JSON.stringify(search)}\n`);
  else if (search.failsWithoutBug)
    io.stdout.write(`seed ${search.seed} fails also without the planted bug\n`);
  else if (search.found)
    io.stdout.write(`${bug.id} found after ${search.seedsTried} seeds, by seed ${search.seed}\n`);
  else io.stdout.write(`${bug.id} was not found in ${search.seedsTried} seeds\n`);
  return search.found ? 0 : EXIT_VIOLATION;
}

interface BugSearch {
  readonly bug: string;
  readonly title: string;
  readonly found: boolean;
  readonly seedsTried: number;
  readonly seed: number | undefined;
  readonly oracle: string | undefined;
  readonly failsWithoutBug: boolean;
  readonly seeds: number;
  readonly violations: number;
  readonly wallSeconds: number;
}

/** Seeds with the bug until one shows it. A seed that fails without the bug, too, does not count. */
async function findBug(bug: PlantedBug, options: SimulateOptions, io: CommandIo): Promise<BugSearch> {
  const startedMs = performance.now();
  const bundle = await bundleWith(bug);
  const profile = options.profile ?? bug.profile;
  const withProfile = { ...options, profile };
  const count = options.seed === undefined ? (options.seeds ?? BUG_SEED_COUNT_DEFAULT) : 1;
  const first = options.seed ?? options.first;
  const totals = new Totals();
  const shown: SeedResult[] = [];
  let next = first;
  try {
    await sweep({
      workerCount: options.workerCount,
      worker: bundle.worker,
      next: () =>
        next >= first + count || performance.now() - startedMs > options.seconds * 1000
          ? undefined
          : order(next++, withProfile),
      onResult: (result) => {
        totals.add(result);
        if (result.violation !== undefined) shown.push(result);
        progress(totals, startedMs, options, io);
        return result.violation !== undefined;
      },
    });
  } finally {
    bundle.remove();
  }
  const found = shown[0];
  const isOurs =
    found !== undefined && (await runOne(order(found.seed, withProfile))).violation !== undefined;
  if (found !== undefined) report(found, { ...withProfile, bug: bug.id }, io);
  return {
    ...totals.figures(),
    bug: bug.id,
    title: bug.title,
    found: found !== undefined && !isOurs,
    seedsTried: totals.seeds,
    seed: found?.seed,
    oracle: found?.violation?.oracle,
    failsWithoutBug: isOurs,
    seeds: totals.seeds,
    violations: totals.violations,
    wallSeconds: secondsSince(startedMs),
  };
}

function listBugs(options: SimulateOptions, io: CommandIo): number {
  const list = PLANTED_BUGS.map(({ id, title, file, profile }) => ({
    id,
    title,
    file,
    profile: profile ?? "swarm",
  }));
  if (options.json) io.stdout.write(`${JSON.stringify(list)}\n`);
  else for (const { id, title, profile } of list) io.stdout.write(`${id.padEnd(4)} ${title} (${profile})\n`);
  return 0;
}

/** In a thread of its own: a fresh realm, as in a sweep. */
async function runOne(one: SeedOrder): Promise<SeedResult> {
  const results: SeedResult[] = [];
  const orders = [one];
  await sweep({ workerCount: 1, next: () => orders.pop(), onResult: (result) => results.push(result) > 0 });
  return results[0]!;
}

function order(seed: number, { profile }: { readonly profile: string | undefined }): SeedOrder {
  return { seed, profile: profile ?? profileOf(seed) };
}

class Totals {
  seeds = 0;
  violations = 0;
  simulatedSeconds = 0;
  checkedOperations = 0;
  events = 0;
  elections = 0;
  readonly failedSeeds: number[] = [];
  readonly faults: Record<string, number> = {};

  add(result: SeedResult): void {
    this.seeds++;
    this.simulatedSeconds += result.simulatedSeconds;
    this.checkedOperations += result.checkedOperations;
    this.events += result.events;
    this.elections += result.elections;
    for (const [kind, count] of Object.entries(result.faults))
      this.faults[kind] = (this.faults[kind] ?? 0) + count;
    if (result.violation === undefined) return;
    this.fail(result.seed);
  }

  fail(seed: number): void {
    this.violations++;
    this.failedSeeds.push(seed);
  }

  figures(): Record<string, unknown> {
    const { simulatedSeconds, checkedOperations, events, elections, faults } = this;
    return { simulatedSeconds, checkedOperations, events, elections, faults };
  }
}

function report(result: SeedResult, options: SimulateOptions, io: CommandIo): void {
  const { seed, profile, violation } = result;
  if (violation === undefined) return;
  const bug = options.bug === undefined ? "" : ` --bug ${options.bug}`;
  const named = profile === profileOf(seed) ? "" : ` --profile ${profile}`;
  const replay = `holdfast simulate --seed ${seed}${named}${bug}`;
  if (options.json) {
    io.stdout.write(
      `${JSON.stringify({ seed, profile, oracle: violation.oracle, message: violation.message, atMs: violation.atMs, replay, narrative: violation.narrative })}\n`,
    );
    return;
  }
  io.stdout.write(
    `\nVIOLATION of ${violation.oracle} by seed ${seed} (${profile}) at ${violation.atMs.toFixed(3)} ms\n  ${violation.message}\n`,
  );
  io.stdout.write(
    `what happened before:\n${violation.narrative.map((line) => `  ${line}`).join("\n")}\nreplay: ${replay}\n\n`,
  );
}

function describePlan(result: SeedResult, io: CommandIo): void {
  const plan = drawPlan(result.seed, result.profile);
  io.stdout.write(
    `seed ${plan.seed} (${plan.profile}): ${plan.memberCount} members, election timeout ${plan.electionMs} ms, ${plan.clientCount} clients, ${plan.watcherCount} watchers\n`,
  );
  for (const { atUs, fault } of plan.faults)
    io.stdout.write(`${(atUs / 1000).toFixed(0).padStart(7)} ms  ${describeFault(fault)}\n`);
}

function progress(totals: Totals, startedMs: number, options: SimulateOptions, io: CommandIo): void {
  if (options.json || totals.seeds % 20 !== 0) return;
  io.stderr.write(
    `${totals.seeds} seeds, ${totals.violations} violations, ${secondsSince(startedMs).toFixed(0)} s\n`,
  );
}

function secondsSince(startedMs: number): number {
  return Math.round((performance.now() - startedMs) / 100) / 10;
}

function bugNamed(id: string): PlantedBug {
  const bug = PLANTED_BUGS.find((one) => one.id.toLowerCase() === id.toLowerCase());
  if (bug === undefined)
    throw new UsageError(
      `Unknown planted bug ${id}: it is none of ${PLANTED_BUGS.map((one) => one.id).join(", ")}`,
    );
  return bug;
}

function bugsNamed(list: string): readonly PlantedBug[] {
  return list === "all" ? PLANTED_BUGS : list.split(",").map(bugNamed);
}

function parse(argv: readonly string[]): SimulateOptions {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  for (let i = 0; i < argv.length; i++) {
    const [name, inline] = splitFlag(argv[i]!);
    if (name === "--list-bugs") flags.add(name);
    else if (VALUE_FLAGS.has(name)) {
      const value = inline ?? argv[++i];
      if (value === undefined) throw new UsageError(`${name} needs a value`);
      values.set(name, value);
    } else throw new UsageError(`Unknown flag ${name}; see holdfast simulate --help`);
  }
  const output = values.get("-w") ?? values.get("--write-out") ?? "simple";
  if (output !== "json" && output !== "simple")
    throw new UsageError(`Unknown output ${output}: it is json or simple`);
  const profile = values.get("--profile");
  if (profile !== undefined && !(profile in PROFILES))
    throw new UsageError(`Unknown profile ${profile}: it is none of ${Object.keys(PROFILES).join(", ")}`);
  const whole = (name: string): number | undefined =>
    values.has(name) ? wholeNumber(name, values.get(name)!) : undefined;
  return {
    json: output === "json",
    listBugs: flags.has("--list-bugs"),
    seed: whole("--seed"),
    seeds: whole("--seeds"),
    first: whole("--first") ?? 1,
    seconds: whole("--seconds") ?? Infinity,
    bug: values.get("--bug"),
    bugs: values.get("--bugs"),
    profile,
    workerCount: Math.max(1, whole("--workers") ?? Math.min(2, availableParallelism())),
  };
}

const VALUE_FLAGS = new Set([
  "-w",
  "--write-out",
  "--seed",
  "--seeds",
  "--first",
  "--seconds",
  "--bug",
  "--bugs",
  "--profile",
  "--workers",
]);

function splitFlag(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at === -1 || !word.startsWith("--") ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UsageError(`${name} needs a whole number, not ${text}`);
  return value;
}

const HELP = `Usage: holdfast simulate [flags]        a whole cluster in virtual time, broken in every way that a seed can draw

  --seeds N         run N seeds (100), from --first on (1)
  --seconds S       run seeds for so long
  --seed S          run one seed, print its plan and its trace hash; the same seed gives the same hash
  --bug ID          plant a known bug and look for it, at most --seeds (2000); exit status 0 when it is found
  --bugs all        the same for every one of them (or R1,R2,…), one after the other; exit status 0 when all are found
  --list-bugs       the bugs that can be planted
  --profile NAME    ${Object.keys(PROFILES).join(", ")}; by default a seed chooses
  --workers N       threads (2)
  -w json           one object a violation, and the totals in the last line

Exit status: 0 no violation, 1 violations (or the bug was not found), 2 the command line is wrong.
`;
