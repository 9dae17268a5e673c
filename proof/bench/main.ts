// `holdfast bench`: the subcommands.

import * as fs from "node:fs";
import { compare, parseCompare } from "./compare.ts";
import { describeComparison } from "./compare-print.ts";
import { describeDiff, diffFiles, isWorse } from "./diff.ts";
import { benchEtcdStyle } from "./etcd-style.ts";
import { describeGrowth, growth, growthPage, parseGrowth } from "./growth.ts";
import {
  isWorkload,
  parseRun,
  type RunOptions,
  UsageError,
  type WorkloadName,
  WORKLOADS,
} from "./options.ts";
import { describeRun, Progress, type TextOut } from "./print.ts";
import { comparePage, ladderPage, runPage } from "./report/run-page.ts";
import { writePage } from "./report/page.ts";
import type { Page } from "./report/sections.ts";
import { climb, describeLadder } from "./ladder.ts";
import type { RunResult } from "./result.ts";
import { leaderOf, type RunHooks, runOnce } from "./run.ts";

/** What a program gives to a command. */
export interface CommandIo {
  readonly stdout: TextOut;
  readonly stderr: TextOut;
  readonly stdin: unknown;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit statuses: the objectives were broken, the command line is wrong, the client was the bottleneck. */
const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;
const EXIT_REFUSED = 3;

/** Runs `holdfast bench ARGV…` and returns the exit status. */
export async function run(argv: string[], io: CommandIo): Promise<number> {
  const [command, ...rest] = argv;
  try {
    if (command === undefined || command === "--help" || command === "-h" || command === "help") {
      io.stdout.write(HELP);
      return command === undefined ? EXIT_USAGE : 0;
    }
    if (rest.includes("--help")) {
      io.stdout.write(HELP);
      return 0;
    }
    if (isWorkload(command)) return await benchWorkload(command, rest, io);
    if (command === "compare") return await benchCompare(rest, io);
    if (command === "diff") return benchDiff(rest, io);
    if (command === "growth") return await benchGrowth(rest, io);
    if (command === "--etcd-style")
      return await withHooks(io, { quiet: false }, async (hooks) => benchEtcdStyle(rest, io, hooks));
    throw new UsageError(
      `Unknown benchmark ${command}: it is none of ${WORKLOADS.join(", ")}, compare, diff, growth, --etcd-style`,
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
    // The curves are for the report; what is printed ends with the rows.
    io.stdout.write(
      options.json
        ? `${JSON.stringify({ ...result, pictures: undefined, curves: undefined })}\n`
        : describeComparison(result),
    );
    return 0;
  });
}

function benchDiff(argv: readonly string[], io: CommandIo): number {
  const files = argv.filter((word) => !word.startsWith("-"));
  const json = argv.some(
    (word, i) => word === "-w=json" || ((word === "-w" || word === "--write-out") && argv[i + 1] === "json"),
  );
  const [oldFile, newFile] = files;
  if (oldFile === undefined || newFile === undefined) throw new UsageError("diff needs two files: OLD NEW");
  const lines = diffFiles(oldFile, newFile);
  io.stdout.write(json ? `${JSON.stringify({ format: 1, kind: "diff", lines })}\n` : describeDiff(lines));
  return isWorse(lines) ? EXIT_BROKEN : 0;
}

async function benchGrowth(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseGrowth(argv);
  return withHooks(io, options, async (hooks) => {
    const found = await growth(options, hooks, io.env);
    hooks.endProgress();
    if (options.reportFile !== undefined) writePage(options.reportFile, growthPage(found));
    io.stdout.write(options.json ? `${JSON.stringify(found)}\n` : describeGrowth(found));
    return found.tooFast ? EXIT_BROKEN : 0;
  });
}

function exitStatusOf(result: RunResult): number {
  if (!result.published) return EXIT_REFUSED;
  if (result.slo && !result.slo.kept) return EXIT_BROKEN;
  // A run in which nothing succeeded measured nothing.
  return result.operations === 0 && !result.aborted ? EXIT_BROKEN : 0;
}

/** The first Ctrl-C ends the run with a report, the second the program. */
export function untilInterrupted(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    release: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}

const HELP = `Usage: holdfast bench WORKLOAD [flags]        latency and rate of any store that speaks etcd's API

Workloads
  put               puts (each key once in order; --order random|uniform|zipfian)
  range             gets of one key; --mode prefix|paged reads --span keys; --serializable
  txn               transactions of --txn-ops puts
  mixed             --reads 0.9: the share of gets
  cas               read a key, write it if nobody has in between
  watch-latency     from a put's start to its event at the last of --watchers
  watch-fanout      the same, 1,000 watchers on one key
  lease-keepalive   --leases
  lock              lock and unlock of --locks by --clients; the gap between holders
  list              all --keys at once
  kubernetes        conditional updates, gets, lists of 500, 20 watches

Load
  --clients N --conns N       closed loop: each client sends its next request when the last one is answered (the default)
  --rate N                    open loop: N a second whatever the store does, latency from the intended start
  --arrival fixed|poisson     spacing of an open loop;  --precise polls for it and takes a core
  --rates 1k,2k,4k            a ladder: the highest rate that keeps --slo
  --duration 30s --total N --warmup 2s --timeout 10s --seed N
  --keys N --key-size S --val-size S --prefix P     sizes: 256, 64..1024, 64:70,4096:30, lognormal:256,1
  --preload, --no-preload     write all keys first (reads do so by themselves)

Store
  --endpoints H:P,… --cacert F --cert F --key F --insecure-skip-tls-verify --user NAME:PASSWORD
  --store etcd|zookeeper|consul

Verdict and report
  --slo 'p99<20ms,p99.9<50ms,errors<0.01%'   exit status 1 when broken; judged for the run and each --slo-window (1s),
                                             --slo-share of which must keep it (1)
  -w json          one object on stdout
  --report F.html  a page to look at;  --save F.json  for the page and for diff
  --pid N          sample this process too;  --profile  the server's profile on the page

Others
  compare --rival etcd,zookeeper --suite quick|full --rows P0,P1   side by side, in turns
  diff OLD NEW     two result files
  growth --of keys|watchers|leases|value-size|clients              how cost grows
  --etcd-style …   the words of etcd's own benchmark tool
`;
