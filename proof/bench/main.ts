// `holdfast bench`: the subcommands.

import * as fs from "node:fs";
import { untilInterrupted } from "./interrupt.ts";
import { compileSoon } from "../../io/compile-soon.ts";
import { compare, type CompareResult, parseCompare } from "./compare.ts";
import { describeComparison } from "./compare-print.ts";
import { describeBuildDiff, diffBuilds, parseDiff } from "./build-diff.ts";
import { describeDiff, diffFiles, isWorse } from "./diff.ts";
import { benchEtcdStyle } from "./etcd-style.ts";
import { helpOf } from "./help.ts";
import { describeGrowth, growth, growthPage, parseGrowth } from "./growth.ts";
import {
  isWorkload,
  parseRun,
  type RunOptions,
  UsageError,
  type WorkloadName,
  WORKLOADS,
} from "./options.ts";
import { type CommandIo, describeRun, Progress } from "./print.ts";
import { comparePage } from "./report/compare-page.ts";
import { ladderPage, runPage } from "./report/run-page.ts";
import { writePage } from "./report/page.ts";
import { drawPicture } from "./report/picture.ts";
import type { Page } from "./report/sections.ts";
import { climb, describeLadder } from "./ladder.ts";
import type { RunResult } from "./result.ts";
import { leaderOf, type RunHooks, runOnce } from "./run.ts";

/** Exit statuses: the objectives were broken, the command line is wrong, the client was the bottleneck. */
const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;
const EXIT_REFUSED = 3;

/** Runs `holdfast bench ARGV…` and returns the exit status. */
export async function run(argv: string[], io: CommandIo): Promise<number> {
  const [command, ...rest] = argv;
  try {
    if (command === undefined || command === "--help" || command === "-h" || command === "help") {
      io.stdout.write(helpOf(undefined));
      return command === undefined ? EXIT_USAGE : 0;
    }
    if (rest.includes("--help") || rest.includes("-h")) {
      io.stdout.write(helpOf(command));
      return 0;
    }
    compileSoon();
    if (isWorkload(command)) return await benchWorkload(command, rest, io);
    if (command === "compare") return await benchCompare(rest, io);
    if (command === "picture") return benchPicture(rest);
    if (command === "diff") return await benchDiff(rest, io);
    if (command === "growth") return await benchGrowth(rest, io);
    if (command === "--etcd-style")
      return await withHooks(io, { quiet: false }, async (hooks) => benchEtcdStyle(rest, io, hooks));
    throw new UsageError(
      `Unknown benchmark ${command}: it is none of ${WORKLOADS.join(", ")}, compare, picture, diff, growth, --etcd-style`,
    );
  } catch (error) {
    io.stderr.write(`holdfast bench: ${(error as Error).message}\n`);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_BROKEN;
  }
}

async function benchWorkload(
  workload: WorkloadName,
  argv: readonly string[],
  io: CommandIo,
): Promise<number> {
  const options = parseRun(workload, argv, io.env);
  return withHooks(io, options, async (hooks) => {
    if (options.rates.length > 0) return benchLadder(options, hooks, io);
    const profiles: Promise<Page["sections"]>[] = [];
    const onLoad = (): void => {
      if (options.profile) profiles.push(profileOf(options));
    };
    const result = await runOnce(options, { ...hooks, onLoad });
    const sections = (await Promise.all(profiles)).flat();
    hooks.endProgress();
    if (options.saveFile !== undefined) fs.writeFileSync(options.saveFile, `${JSON.stringify(result)}\n`);
    if (options.reportFile !== undefined)
      writePage(options.reportFile, withSections(runPage(result), sections));
    io.stdout.write(options.json ? `${JSON.stringify(result)}\n` : describeRun(result));
    if (options.reportFile !== undefined && !options.json)
      io.stdout.write(`  report      ${options.reportFile}\n`);
    return exitStatusOf(result);
  });
}

/** Of the middle of the load, from the leader; loaded only when asked for. */
async function profileOf(options: RunOptions): Promise<Page["sections"]> {
  const { profileBeside } = await import("../profile/main.ts");
  const seconds = Math.max(
    1,
    Math.min(30, Number.isFinite(options.durationUs) ? options.durationUs / 1e6 - 1 : 5),
  );
  const waitMs = options.warmupUs / 1000 + 500;
  return profileBeside(await leaderOf(options), { waitMs, seconds });
}

function withSections(page: Page, sections: Page["sections"]): Page {
  return { ...page, sections: [...page.sections, ...sections] };
}

interface CommandHooks extends RunHooks {
  /** The progress line makes room for the report. */
  readonly endProgress: () => void;
}

/** Progress on stderr, and an end by Ctrl-C that still reports. */
async function withHooks(
  io: CommandIo,
  options: { readonly quiet: boolean },
  body: (hooks: CommandHooks) => Promise<number>,
): Promise<number> {
  const progress = new Progress(io.stderr, options);
  const interrupt = untilInterrupted();
  try {
    return await body({
      signal: interrupt.signal,
      onSecond: (live) => progress.second(live),
      onPhase: (text) => progress.phase(text),
      endProgress: () => progress.end(),
    });
  } finally {
    progress.end();
    interrupt.release();
  }
}

async function benchLadder(options: RunOptions, hooks: CommandHooks, io: CommandIo): Promise<number> {
  const ladder = await climb(options, hooks);
  hooks.endProgress();
  if (options.saveFile !== undefined) fs.writeFileSync(options.saveFile, `${JSON.stringify(ladder)}\n`);
  if (options.reportFile !== undefined)
    writePage(options.reportFile, ladderPage(ladder.steps, ladder.highestRate));
  io.stdout.write(options.json ? `${JSON.stringify(ladder)}\n` : describeLadder(ladder));
  return ladder.highestRate === null ? EXIT_BROKEN : 0;
}

async function benchCompare(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseCompare(argv);
  return withHooks(io, options, async (hooks) => {
    const result = await compare(options, { signal: hooks.signal, say: hooks.onPhase });
    hooks.endProgress();
    if (options.saveFile !== undefined) fs.writeFileSync(options.saveFile, `${JSON.stringify(result)}\n`);
    if (options.reportFile !== undefined) writePage(options.reportFile, comparePage(result));
    if (options.pictureFile !== undefined && result.pictures.length > 0)
      fs.writeFileSync(options.pictureFile, drawPicture(result));
    // The curves are for the report; what is printed ends with the rows.
    io.stdout.write(
      options.json
        ? `${JSON.stringify({ ...result, pictures: undefined, curves: undefined, climb: undefined })}\n`
        : describeComparison(result),
    );
    return result.rows.some((row) => row.figures.length > 0) ? 0 : EXIT_BROKEN;
  });
}

/** Draws what a comparison saved, so that the picture can be had again without the hour that it took. */
function benchPicture(argv: readonly string[]): number {
  const [resultFile, pictureFile, ...others] = argv;
  if (resultFile === undefined || pictureFile === undefined || others.length > 0)
    throw new UsageError("picture needs two files: RESULT.json OUT.svg");
  const result = JSON.parse(fs.readFileSync(resultFile, "utf8")) as Partial<CompareResult>;
  if (result.format !== 1 || result.kind !== "compare" || !result.pictures?.length)
    throw new UsageError(`${resultFile} has no picture: it must be saved by compare with P0 among its rows`);
  fs.writeFileSync(pictureFile, drawPicture(result as CompareResult));
  return 0;
}

async function benchDiff(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseDiff(argv);
  if (options.kind === "files") {
    const lines = diffFiles(options.oldFile, options.newFile);
    io.stdout.write(
      options.json ? `${JSON.stringify({ format: 1, kind: "diff", lines })}\n` : describeDiff(lines),
    );
    return isWorse(lines) ? EXIT_BROKEN : 0;
  }
  return withHooks(io, options, async (hooks) => {
    const found = await diffBuilds(options, { signal: hooks.signal, say: hooks.onPhase });
    hooks.endProgress();
    io.stdout.write(options.json ? `${JSON.stringify(found)}\n` : describeBuildDiff(found));
    return isWorse(found.lines) ? EXIT_BROKEN : 0;
  });
}

async function benchGrowth(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseGrowth(argv);
  return withHooks(io, options, async (hooks) => {
    const found = await growth(options, hooks, io.env);
    hooks.endProgress();
    // An object a line, as diff reads several.
    const lines = found.map((one) => `${JSON.stringify(one)}\n`).join("");
    if (options.saveFile !== undefined) fs.writeFileSync(options.saveFile, lines);
    if (options.reportFile !== undefined) writePage(options.reportFile, growthPage(found));
    io.stdout.write(options.json ? lines : found.map(describeGrowth).join(""));
    return found.some((one) => one.tooFast) ? EXIT_BROKEN : 0;
  });
}

function exitStatusOf(result: RunResult): number {
  if (!result.published) return EXIT_REFUSED;
  if (result.slo && !result.slo.kept) return EXIT_BROKEN;
  // A run in which nothing succeeded measured nothing.
  return result.operations === 0 && !result.aborted ? EXIT_BROKEN : 0;
}
