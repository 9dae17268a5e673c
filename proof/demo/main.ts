// `holdfast demo`: in under a minute, what Holdfast does and how it is proved. A cluster of real processes under load
// loses its leader and no acknowledged write; a seed of the simulator is replayed; a planted bug is found. Every line is
// measured in this run, and what is not as claimed ends it with exit code 1.

import { Writable } from "node:stream";
import * as fs from "node:fs";
import * as path from "node:path";
import { Prng } from "../../core/base/prng.ts";
import { Client } from "../../product/client/index.ts";
import { VERSION } from "../../product/version.ts";
import { type Live, Load, type LoadResult } from "../bench/load.ts";
import { parseRun } from "../bench/options.ts";
import { Progress } from "../bench/print.ts";
import { isInMemory } from "../bench/probes.ts";
import { writePage } from "../bench/report/page.ts";
import { runPage } from "../bench/report/run-page.ts";
import type { Section } from "../bench/report/sections.ts";
import { resultOf } from "../bench/result.ts";
import type { Mark } from "../bench/series.ts";
import { formatDuration } from "../bench/units.ts";
import { makeMembers, type ServerProcess } from "../peers/server-process.ts";
import { run as simulate } from "../simulator/main.ts";
import { readBack, Writes } from "./writes.ts";

interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const USAGE = `Usage: holdfast demo [flags]        three members, a killed leader, a replayed seed, a planted bug: in a minute

  --rate N       writes a second (500)
  --seconds N    of load (14); the leader is killed after a third of it
  --seed N       of the simulation (7)
  --bug ID       the planted bug (R3)
  --page FILE    where the page goes (holdfast-demo.html), and beside it, for the time of the demo, the data
`;

const MEMBER_COUNT = 3;
const SLOTS = 2_000;
const CLIENT_COUNT = 6;
const VALUE_SIZE_BYTES = 256;
const BUG_SEEDS = 300;
/** The gap that a kill makes begins within this time. */
const AFTER_KILL_MS = 2_000;
const PLANTED_SECONDS = 25;

interface Options {
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
  readonly bug: string;
  readonly page: string;
}

/** Runs `holdfast demo ARGV…` and returns the exit code. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    io.stdout.write(USAGE);
    return 0;
  }
  let options: Options;
  try {
    options = parse(argv);
  } catch (error) {
    io.stderr.write(`holdfast demo: ${(error as Error).message}\n`);
    return 2;
  }
  return await new Demo(options, io).run();
}

class Demo {
  readonly #options: Options;
  readonly #io: Io;
  readonly #startedMs = performance.now();
  readonly #broken: string[] = [];

  constructor(options: Options, io: Io) {
    this.#options = options;
    this.#io = io;
  }

  async run(): Promise<number> {
    this.#say("Every line below is measured in this run, on this machine.\n");
    // Beside the page, not in the folder for temporary files: that may lie in memory, where nothing is durable.
    const folder = fs.mkdtempSync(
      path.join(path.dirname(path.resolve(this.#options.page)), ".holdfast-demo-"),
    );
    if (isInMemory(folder))
      this.#say(
        `Note: ${path.dirname(folder)} lies in memory, where syncs cost nothing: these latencies are none of a durable store (--page says where all goes).\n`,
      );
    const members = await makeMembers(MEMBER_COUNT, { folder, flags: ["--log-level=warn"] });
    try {
      await this.#showCluster(members);
    } finally {
      await Promise.all(members.map((member) => member.stop("SIGKILL")));
      fs.rmSync(folder, { recursive: true, force: true });
    }
    await this.#showSimulation();
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(0);
    if (this.#broken.length === 0)
      this.#say(`\nAll as claimed, in ${seconds} s. The page to look at: ${this.#options.page}`);
    else
      this.#say(
        `\nNOT as claimed: ${this.#broken.join("; ")} (${seconds} s). The page: ${this.#options.page}`,
      );
    return this.#broken.length === 0 ? 0 : 1;
  }

  async #showCluster(members: readonly ServerProcess[]): Promise<void> {
    const startedMs = performance.now();
    for (const member of members) member.start();
    await Promise.all(members.map((member) => member.ready()));
    this.#say(`1. A cluster: ${MEMBER_COUNT} members on this machine serve after ${since(startedMs)}`);
    const { rate, seconds } = this.#options;
    const killAfterSeconds = Math.ceil(seconds / 3);
    this.#say(
      `2. ${rate} writes a second for ${seconds} s; the leader is killed (SIGKILL) after ${killAfterSeconds} s`,
    );
    const clients = Array.from({ length: CLIENT_COUNT }, (_, i) =>
      Client.connect({
        endpoints: [...members.slice(i % 3), ...members.slice(0, i % 3)].map((it) => it.endpoint),
      }),
    );
    const kill = new LeaderKill(members);
    const progress = new Progress(this.#io.stderr, { quiet: false });
    const onSecond = (live: Live): void => {
      progress.second(live);
      if (live.second >= killAfterSeconds) kill.begin();
    };
    const startedAt = new Date();
    const beganMs = performance.now();
    const load = this.#load(onSecond);
    const writes = new Writes(clients, {
      valueSizeBytes: VALUE_SIZE_BYTES,
      done: (slot, failure) => load.done(slot, failure),
    });
    const result = await load.run(writes);
    progress.end();
    for (const client of clients) client.close();
    await this.#judge(members, { writes, result, kill });
    const marks: Mark[] = [
      { atSecond: (kill.atMs - beganMs) / 1000, kind: "kill", text: `the leader ${kill.name} was killed` },
    ];
    this.#writePage(members, { result, writes, marks, startedAt, killedMs: kill.atMs });
  }

  async #judge(
    members: readonly ServerProcess[],
    seen: { writes: Writes; result: LoadResult; kill: LeaderKill },
  ): Promise<void> {
    const { writes, result, kill } = seen;
    const percentile = (share: number): string => formatDuration(result.latencies.quantile(share));
    this.#say(
      `   ${writes.acknowledged.size} writes acknowledged, ${result.errors} failed; latency from the intended start p50 ${percentile(0.5)}, ` +
        `p99 ${percentile(0.99)}, slowest ${formatDuration(result.latencies.max)}`,
    );
    if (kill.name === "") return this.#claim(false, "3. the leader was killed: no leader was found");
    const gapMs = writes.longestGapMs({ fromMs: kill.atMs, toMs: kill.atMs + AFTER_KILL_MS });
    const gap = `the cluster acknowledged nothing for ${Math.round(gapMs)} ms`;
    this.#claim(
      writes.acknowledged.size > 0,
      `3. The leader ${kill.name} (pid ${kill.pid}) was killed: ${gap}`,
    );
    let lost = 0;
    let strange = 0;
    const alive = members.filter((member) => member.pid !== undefined);
    for (const member of alive) {
      const found = await readBack(member.endpoint, writes);
      lost += found.lost.length;
      strange += found.strange.length;
    }
    this.#claim(
      lost === 0 && strange === 0,
      `4. ${lost} acknowledged writes lost, ${strange} there twice or from nowhere; all ${writes.acknowledged.size} were read back from each of ${alive.length} members` +
        (writes.unknown.size === 0
          ? ""
          : ` (${writes.unknown.size} answers went down with the leader: their writes may be there or not)`),
    );
  }

  #load(onSecond: (live: Live) => void): Load {
    const { rate, seconds } = this.#options;
    return new Load({
      mode: { kind: "open", ratePerSecond: rate, arrival: "fixed", slots: SLOTS, precise: false },
      durationUs: seconds * 1e6,
      operationsMax: Number.POSITIVE_INFINITY,
      warmupUs: 0,
      timeoutUs: 10_000_000,
      prng: new Prng(1),
      signal: new AbortController().signal,
      onSecond,
    });
  }

  #writePage(
    members: readonly ServerProcess[],
    facts: { result: LoadResult; writes: Writes; marks: readonly Mark[]; startedAt: Date; killedMs: number },
  ): void {
    const { rate, seconds, page } = this.#options;
    const endpoints = members.map((member) => member.endpoint).join(",");
    const flags = [
      `--rate=${rate}`,
      `--duration=${seconds}s`,
      `--val-size=${VALUE_SIZE_BYTES}`,
      "--key-size=13",
    ];
    const options = parseRun(
      "put",
      [
        ...flags,
        `--endpoints=${endpoints}`,
        `--conns=${CLIENT_COUNT}`,
        "--title=Holdfast",
        "--publish-anyway",
      ],
      {},
    );
    const run = resultOf({
      options,
      load: facts.result,
      distinctKeys: facts.writes.acknowledged.size,
      extras: {},
      serverVersion: "",
      server: `holdfast ${VERSION}`,
      servers: [],
      samples: [],
      marks: facts.marks,
      startedAt: facts.startedAt,
    });
    const shown = runPage(run);
    // Nobody was killed when no leader was found, which the lines above say.
    const around = facts.killedMs === 0 ? [] : [aroundKill(facts.writes, facts.killedMs)];
    writePage(page, { ...shown, sections: [...around, ...shown.sections] });
  }

  async #showSimulation(): Promise<void> {
    const { seed, bug } = this.#options;
    const startedMs = performance.now();
    const runs = await Promise.all([
      simulated(["--seed", String(seed)]),
      simulated(["--seed", String(seed)]),
    ]);
    const [first, second] = runs.map((it) => it.summary);
    const same =
      first !== undefined && first["traceHash"] !== undefined && first["traceHash"] === second?.["traceHash"];
    const violations = Number(first?.["violations"] ?? 1);
    this.#claim(
      same && violations === 0,
      `5. Seed ${seed} of the simulator, in two threads: traces ${shown(first?.["traceHash"])} and ${shown(second?.["traceHash"])}, ${same ? "equal" : "DIFFERENT"}; ` +
        `${shown(first?.["checkedOperations"])} operations checked each, ${violations} violations, ${since(startedMs)}`,
    );
    const bugMs = performance.now();
    const planted = await simulated([
      "--bug",
      bug,
      "--seeds",
      String(BUG_SEEDS),
      "--seconds",
      String(PLANTED_SECONDS),
    ]);
    const found = planted.summary?.["found"] === true;
    const title = shown(planted.summary?.["title"]);
    this.#claim(
      found,
      found
        ? `6. Planted bug ${bug} (${title}) was found by seed ${String(planted.summary?.["seed"])}, after ${String(planted.summary?.["seedsTried"])} seeds, ${since(bugMs)}\n   replay: ./holdfast simulate --bug ${bug} --seed ${String(planted.summary?.["seed"])}`
        : `6. Planted bug ${bug} was not found in ${since(bugMs)}: ${planted.said.trim() || `${String(planted.summary?.["seedsTried"])} seeds`}`,
    );
  }

  #claim(isSo: boolean, line: string): void {
    this.#say(line);
    if (!isSo) this.#broken.push(line.split(":")[0]!.trim());
  }

  #say(line: string): void {
    this.#io.stdout.write(`${line}\n`);
  }
}

const STEP_MS = 10;
const BEFORE_KILL_MS = 500;

/** What a second of the other pictures hides: a gap of a tenth of one. */
function aroundKill(writes: Writes, killedMs: number): Section {
  const span = { fromMs: killedMs - BEFORE_KILL_MS, toMs: killedMs + AFTER_KILL_MS, stepMs: STEP_MS };
  const counts = writes.acknowledgedPerStep(span);
  const line = { name: "Holdfast", x: counts.map((_, i) => i * STEP_MS - BEFORE_KILL_MS), y: counts };
  return {
    kind: "lines",
    title: "Acknowledged writes around the kill",
    note: `In every ${STEP_MS} ms.`,
    xLabel: "milliseconds after the kill",
    yLabel: "acknowledged",
    unit: "plain",
    xScale: "linear",
    yScale: "linear",
    views: [{ name: "all", lines: [line] }],
    marks: [{ x: 0, text: "kill" }],
    percentileAxis: false,
    points: false,
  };
}

/** Finds the leader and kills it, while the load runs. */
class LeaderKill {
  readonly #members: readonly ServerProcess[];
  name = "";
  pid = 0;
  atMs = 0;
  #isTrying = false;

  constructor(members: readonly ServerProcess[]) {
    this.#members = members;
  }

  /** Tried every second until there is one: a busy machine may skip a second, and a busy member an answer. */
  begin(): void {
    if (this.#isTrying || this.name !== "") return;
    this.#isTrying = true;
    this.#kill()
      .catch(() => {
        // No leader was found: judged at the end.
      })
      .finally(() => (this.#isTrying = false));
  }

  async #kill(): Promise<void> {
    for (const member of this.#members) {
      if (!(await member.isLeader())) continue;
      this.name = member.options.name;
      this.pid = member.pid ?? 0;
      this.atMs = performance.now();
      await member.stop("SIGKILL");
      return;
    }
  }
}

interface Simulated {
  /** The last line that it printed. */
  readonly summary: Readonly<Record<string, unknown>> | undefined;
  readonly said: string;
}

async function simulated(argv: readonly string[]): Promise<Simulated> {
  const lines: string[] = [];
  let said = "";
  const sink = (take: (text: string) => void): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        take(chunk.toString());
        done();
      },
    });
  const stdout = sink((text) => lines.push(...text.split("\n").filter((line) => line !== "")));
  const stderr = sink((text) => (said += text));
  await simulate([...argv, "-w", "json"], { stdout, stderr, stdin: undefined, env: {} });
  const last = lines.at(-1);
  return { summary: last === undefined ? undefined : (JSON.parse(last) as Record<string, unknown>), said };
}

/** A figure of the summary as text. */
function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "?";
}

function since(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

function parse(argv: readonly string[]): Options {
  const values: Record<string, string> = {
    rate: "500",
    seconds: "14",
    seed: "7",
    bug: "R3",
    page: "holdfast-demo.html",
  };
  for (let i = 0; i < argv.length; i++) {
    const [name = "", inline] = argv[i]!.replace(/^--/, "").split("=", 2);
    if (!argv[i]!.startsWith("--") || !(name in values))
      throw new Error(`Unknown flag ${argv[i]!}; see holdfast demo --help`);
    const value = inline ?? argv[++i];
    if (value === undefined) throw new Error(`--${name} needs a value`);
    values[name] = value;
  }
  const number = (name: string): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} needs a whole number from 1, not ${values[name]!}`);
    return value;
  };
  return {
    rate: number("rate"),
    seconds: number("seconds"),
    seed: number("seed"),
    bug: values["bug"]!,
    page: values["page"]!,
  };
}
