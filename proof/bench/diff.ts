// `holdfast bench diff OLD NEW`: a verdict per figure with confidence, from two files of results (`build-diff.ts`: from
// two builds).
//
// A file holds what `--save` or `-w json` wrote, one or more objects, one a line: several runs of the same workload are
// samples. With a single run its seconds are the samples, which sees noise within the run only; the table says which.

import * as fs from "node:fs";
import { Prng } from "../../core/base/prng.ts";
import { formatFigure } from "./compare-print.ts";
import { UsageError } from "./options.ts";
import { divisions, holm, median, permutationP } from "./statistics.ts";
import type { CompareResult } from "./compare.ts";
import type { Growth } from "./growth.ts";
import type { Ladder } from "./ladder.ts";
import type { ProcessUse } from "./process-sampler.ts";
import type { RunResult } from "./result.ts";

/** Nothing may get worse by more than this without a word. */
const WORSE_SHARE = 0.02;
/** Chance of a false alarm among all figures together. */
const ALPHA = 0.05;

export interface DiffLine {
  readonly what: string;
  readonly figure: string;
  readonly unit: string;
  readonly old: number;
  readonly new: number;
  /** (new - old) / old. */
  readonly change: number;
  /** The chance of such a difference by luck, of this figure alone, and of any among so many; 1 with one sample. */
  readonly p: number;
  readonly pOfAll: number;
  readonly oldCount: number;
  readonly newCount: number;
  readonly samples: string;
  /** With a question mark: one would say so of this figure alone, but among so many one such difference is luck. */
  readonly verdict: "better" | "worse" | "same" | "better?" | "worse?";
}

interface Samples {
  readonly unit: string;
  readonly lowerIsBetter: boolean;
  readonly values: number[];
  /** Per-second values stand in for runs. */
  readonly ofSeconds: boolean;
}

type Found = Map<string, Samples>;

export function diffFiles(oldFile: string, newFile: string): DiffLine[] {
  return diffResults(readResults(oldFile), readResults(newFile));
}

type AnyResult = RunResult | CompareResult | Ladder | Growth;

export function readResults(file: string): AnyResult[] {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`);
  }
  const lines = text.trim().split("\n");
  try {
    return lines.map((line) => checked(JSON.parse(line) as AnyResult, file));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // One object over several lines is fine, too.
    return [checked(JSON.parse(text) as AnyResult, file)];
  }
}

function checked(result: AnyResult, file: string): AnyResult {
  if (typeof result !== "object" || result === null || result.format !== 1)
    throw new UsageError(`${file} holds no result of format 1 of holdfast bench`);
  return result;
}

export function diffResults(before: readonly AnyResult[], after: readonly AnyResult[]): DiffLine[] {
  const old = collect(before);
  const now = collect(after);
  const prng = new Prng(1);
  const found: Omit<DiffLine, "pOfAll" | "verdict">[] = [];
  for (const [name, samples] of old) {
    const others = now.get(name);
    if (!others || samples.values.length === 0 || others.values.length === 0) continue;
    found.push(compareSamples(name, samples, others, prng));
  }
  // Only what can be tested takes part in the correction.
  const tested = found.filter((line) => line.oldCount > 1 && line.newCount > 1);
  const adjusted = holm(tested.map((line) => line.p));
  return found.map((line) => {
    const position = tested.indexOf(line);
    const pOfAll = position < 0 ? 1 : adjusted[position]!;
    return { ...line, pOfAll, verdict: verdictOf(line, pOfAll, old.get(`${line.what}\t${line.figure}`)!) };
  });
}

function verdictOf(
  line: Pick<DiffLine, "change" | "p">,
  pOfAll: number,
  samples: Samples,
): DiffLine["verdict"] {
  if (line.p >= ALPHA || Math.abs(line.change) <= WORSE_SHARE) return "same";
  const word = (samples.lowerIsBetter ? line.change > 0 : line.change < 0) ? "worse" : "better";
  return pOfAll < ALPHA ? word : `${word}?`;
}

function compareSamples(
  name: string,
  old: Samples,
  now: Samples,
  prng: Prng,
): Omit<DiffLine, "pOfAll" | "verdict"> {
  const [what = "", figure = ""] = name.split("\t");
  const from = median(old.values);
  const to = median(now.values);
  const change = from === 0 ? (to === 0 ? 0 : Number.POSITIVE_INFINITY) : (to - from) / from;
  const p = old.values.length > 1 && now.values.length > 1 ? permutationP(old.values, now.values, prng) : 1;
  const unit = old.ofSeconds || now.ofSeconds ? "seconds" : "runs";
  return {
    what,
    figure,
    unit: old.unit,
    old: from,
    new: to,
    change,
    p,
    oldCount: old.values.length,
    newCount: now.values.length,
    samples: `${old.values.length} and ${now.values.length} ${unit}`,
  };
}

function collect(results: readonly AnyResult[]): Found {
  const found: Found = new Map();
  const runs = new Map<string, RunResult[]>();
  for (const result of results) {
    if ("kind" in result && result.kind === "compare") collectRows(result, found);
    else if ("kind" in result && result.kind === "growth") collectGrowth(result, found);
    else
      for (const run of "kind" in result ? result.steps : [result as RunResult]) {
        const name = `${run.workload}, ${run.loop === "open" ? `${run.targetRate}/s` : `${run.clients} clients`}, ${run.keySize}/${run.valueSize}`;
        runs.set(name, [...(runs.get(name) ?? []), run]);
      }
  }
  for (const [name, same] of runs) collectRuns(name, same, found);
  return found;
}

function collectRows(result: CompareResult, found: Found): void {
  for (const row of result.rows) {
    for (const figure of row.figures) {
      add(found, `${row.row}\t${figure.name}`, {
        unit: figure.unit,
        lowerIsBetter: figure.better === "lower",
        // A round without a figure is null in a file.
        values: figure.oursRounds.filter(Number.isFinite),
        ofSeconds: false,
      });
    }
  }
}

function collectGrowth(result: Growth, found: Found): void {
  const figure = (what: string, name: string, unit: string, value: number | null | undefined): void => {
    if (value === null || value === undefined || !Number.isFinite(value)) return;
    const samples = { unit, lowerIsBetter: unit !== "/s", values: [value], ofSeconds: false };
    add(found, `${what}\t${name}`, samples);
  };
  // Two stores of one ladder are not samples of one another.
  const what = `growth of ${result.of}${result.store === undefined ? "" : `, ${result.store}`}`;
  figure(what, "exponent", "", result.exponent.value);
  for (const point of result.points) {
    const step = `${what}, ${point.n}`;
    figure(step, result.cost, "us", point.costUs);
    figure(step, "rate", "/s", point.rate);
    figure(step, "p99", "us", point.p99Us);
    figure(step, "memory", "B", point.residentBytes);
    figure(step, "allocated per operation", "B", point.allocatedBytes);
    figure(step, "time in garbage collection", "%", point.gcShare === null ? null : 100 * point.gcShare);
  }
}

function collectRuns(name: string, runs: readonly RunResult[], found: Found): void {
  const single = runs.length === 1 ? runs[0] : undefined;
  const figure = (
    title: string,
    unit: string,
    of: { run: (run: RunResult) => number; second?: (second: RunResult["series"][number]) => number },
  ): void => {
    const ofSeconds = single !== undefined && of.second !== undefined && single.series.length > 4;
    // The last second of a run is cut off.
    const values = ofSeconds ? single.series.slice(0, -1).map(of.second!) : runs.map(of.run);
    add(found, `${name}\t${title}`, { unit, lowerIsBetter: unit !== "/s", values, ofSeconds });
  };
  figure("rate", "/s", { run: (run) => run.rate, second: (second) => second.operations });
  figure("p50", "us", { run: (run) => run.p50Us, second: (second) => second.p50Us });
  figure("p99", "us", { run: (run) => run.p99Us, second: (second) => second.p99Us });
  figure("p99.9", "us", { run: (run) => run.p999Us });
  figure("slowest", "us", { run: (run) => run.maxUs });
  // Of the server. A figure that one of the runs does not have is none.
  const server = (
    title: string,
    unit: string,
    of: (one: ProcessUse, run: RunResult) => number | null,
  ): void => {
    const sum = (run: RunResult): number =>
      run.servers.reduce(
        (all, one) => all + (of(one, run) ?? Number.NaN),
        run.servers.length > 0 ? 0 : Number.NaN,
      );
    if (runs.every((run) => Number.isFinite(sum(run)))) figure(title, unit, { run: sum });
  };
  const operations = (run: RunResult): number => Math.max(1, run.operations);
  server("server CPU per operation", "us", (one, run) => (one.cpuSeconds * 1e6) / operations(run));
  server("bytes written per operation", "B", (one, run) => one.writtenBytes / operations(run));
  server("memory", "B", (one) => one.rssBytesMax);
  server("log syncs per operation", "", (one, run) => share(one.fsyncs, operations(run)));
  server("time in garbage collection", "%", (one, run) => share(one.gcSeconds, run.seconds / 100));
}

function share(amount: number | null | undefined, of: number): number | null {
  return amount === null || amount === undefined ? null : amount / of;
}

function add(found: Found, name: string, samples: Samples): void {
  const known = found.get(name);
  if (known) known.values.push(...samples.values);
  else found.set(name, samples);
}

export function describeDiff(lines: readonly DiffLine[]): string {
  if (lines.length === 0) return "The two have no figure in common\n";
  const rows = lines.map((line) => {
    const percent = `${line.change >= 0 ? "+" : ""}${(100 * line.change).toFixed(1)} %`;
    const tested = line.oldCount > 1 && line.newCount > 1;
    const sure = tested ? `p=${line.p.toFixed(4)}, of all ${line.pOfAll.toFixed(3)}` : "one sample";
    return [
      line.what,
      line.figure,
      formatFigure(line.old, line.unit),
      formatFigure(line.new, line.unit),
      percent,
      `${sure}, ${line.samples}`,
      line.verdict,
    ];
  });
  const head = ["what", "figure", "old", "new", "change", "confidence", "verdict"];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const print = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return `${[head, ...rows].map(print).join("\n")}\n${powerNote(lines)}`;
}

/** What so few runs cannot tell, however large the difference. */
function powerNote(lines: readonly DiffLine[]): string {
  const tested = lines.filter((line) => line.oldCount > 1 && line.newCount > 1);
  if (tested.length === 0) return "(one run on a side cannot tell anything apart)\n";
  const blind = tested.filter((line) => {
    // The clearest difference is one division of all, and its mirror image where both sides are as many.
    const mirrored = line.oldCount === line.newCount ? 2 : 1;
    const least = mirrored / divisions(line.oldCount + line.newCount, line.oldCount);
    return least * tested.length >= ALPHA;
  });
  return blind.length === 0
    ? ""
    : `(among ${tested.length} figures ${blind.length} have too few runs to be told apart for sure: they get a question mark at most)\n`;
}

export function isWorse(lines: readonly DiffLine[]): boolean {
  return lines.some((line) => line.verdict === "worse");
}
