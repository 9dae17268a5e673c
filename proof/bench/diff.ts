// `holdfast bench diff OLD NEW`: a verdict per figure with confidence, from two files of results.
//
// A file holds what `--save` or `-w json` wrote, one or more objects, one a line: several runs of the same workload are
// samples. With a single run its seconds are the samples, which sees noise within the run only; the table says which.

import * as fs from "node:fs";
import { Prng } from "../../core/base/prng.ts";
import { formatFigure } from "./compare-print.ts";
import { UsageError } from "./options.ts";
import { median, permutationP } from "./statistics.ts";
import type { CompareResult } from "./compare.ts";
import type { Ladder } from "./ladder.ts";
import type { RunResult } from "./result.ts";

/** Nothing may get worse by more than this without a word. */
const WORSE_SHARE = 0.02;
/** Chance of a false alarm per figure. */
const ALPHA = 0.05;

export interface DiffLine {
  readonly what: string;
  readonly figure: string;
  readonly unit: string;
  readonly old: number;
  readonly new: number;
  /** (new - old) / old. */
  readonly change: number;
  readonly p: number;
  readonly samples: string;
  readonly verdict: "better" | "worse" | "same";
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

type AnyResult = RunResult | CompareResult | Ladder;

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
  const lines: DiffLine[] = [];
  for (const [name, samples] of old) {
    const others = now.get(name);
    if (!others || samples.values.length === 0 || others.values.length === 0) continue;
    lines.push(compareSamples(name, samples, others, prng));
  }
  return lines;
}

function compareSamples(name: string, old: Samples, now: Samples, prng: Prng): DiffLine {
  const [what = "", figure = ""] = name.split("\t");
  const from = median(old.values);
  const to = median(now.values);
  const change = from === 0 ? (to === 0 ? 0 : Number.POSITIVE_INFINITY) : (to - from) / from;
  const p = old.values.length > 1 && now.values.length > 1 ? permutationP(old.values, now.values, prng) : 1;
  const isReal = p < ALPHA && Math.abs(change) > WORSE_SHARE;
  const isWorse = old.lowerIsBetter ? change > 0 : change < 0;
  const unit = old.ofSeconds || now.ofSeconds ? "seconds" : "runs";
  return {
    what,
    figure,
    unit: old.unit,
    old: from,
    new: to,
    change,
    p,
    samples: `${old.values.length} and ${now.values.length} ${unit}`,
    verdict: isReal ? (isWorse ? "worse" : "better") : "same",
  };
}

function collect(results: readonly AnyResult[]): Found {
  const found: Found = new Map();
  const runs = new Map<string, RunResult[]>();
  for (const result of results) {
    if ("kind" in result && result.kind === "compare") collectRows(result, found);
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
        values: [...figure.oursRounds],
        ofSeconds: false,
      });
    }
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
  const cpu = (run: RunResult): number =>
    (run.servers.reduce((sum, one) => sum + one.cpuSeconds, 0) * 1e6) / Math.max(1, run.operations);
  if (runs.every((run) => run.servers.length > 0)) figure("server CPU per operation", "us", { run: cpu });
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
    const sure = line.p < 1 ? `p=${line.p.toFixed(3)}` : "one sample";
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
  // Of three and three runs even the clearest difference comes about by luck once in ten times.
  const few = lines.some((line) => /^[1-3] and|and [1-3] /.test(line.samples))
    ? "(fewer than four runs on a side cannot tell anything apart)\n"
    : "";
  return `${[head, ...rows].map(print).join("\n")}\n${few}`;
}

export function isWorse(lines: readonly DiffLine[]): boolean {
  return lines.some((line) => line.verdict === "worse");
}
