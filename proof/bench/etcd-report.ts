// The output of etcd's own benchmark tool, letter by letter: its summary, its linear histogram, its percentiles by nearest
// rank, its line a second. What is measured is ours; only the form is etcd's.

import { type Histogram, percentilesOf, toPairs } from "./histogram.ts";
import type { RunResult } from "./result.ts";
import type { Second } from "./series.ts";

/** What a report is made of. */
export interface Measured {
  /** Highest value of each bucket, and how many it holds; ascending. */
  readonly pairs: readonly (readonly number[])[];
  readonly minUs: number;
  readonly maxUs: number;
  readonly meanUs: number;
  readonly seconds: number;
  readonly errorTexts: Readonly<Record<string, number>>;
  readonly series: readonly Second[];
  readonly startedAtSeconds: number;
}

export interface ReportForm {
  /** `--precise`: all digits. */
  readonly precise: boolean;
  /** `--sample`: a line a second. */
  readonly sample: boolean;
}

export function measuredOf(result: RunResult): Measured {
  const startedAtSeconds = Math.floor(Date.parse(result.startedAt) / 1000);
  return { ...result, pairs: result.histogram, startedAtSeconds };
}

/** What was measured beside the operations of a run. */
export function measuredFrom(histogram: Histogram, seconds: number): Measured {
  const { minUs, maxUs, meanUs } = percentilesOf(histogram);
  return {
    pairs: toPairs(histogram),
    minUs,
    maxUs,
    meanUs,
    seconds,
    errorTexts: {},
    series: [],
    startedAtSeconds: 0,
  };
}

/** A report, beginning with an empty line, as the tool's `String()` has it. */
export function etcdReport(measured: Measured, form: ReportForm): string {
  const lines: string[] = [];
  const count = countOf(measured);
  if (count > 0) {
    const seconds = (us: number): string => number(us / 1e6, form);
    lines.push(
      "",
      "Summary:",
      `  Total:\t${number(measured.seconds, form)} secs.`,
      `  Slowest:\t${seconds(measured.maxUs)} secs.`,
      `  Fastest:\t${seconds(measured.minUs)} secs.`,
      `  Average:\t${seconds(measured.meanUs)} secs.`,
      `  Stddev:\t${seconds(standardDeviation(measured))} secs.`,
      `  Requests/sec:\t${number(count / measured.seconds, form)}`,
      "",
      "Response time histogram:",
      ...bars(measured, seconds),
      "",
      "Latency distribution:",
      ...latencies(measured, seconds),
    );
    if (form.sample) lines.push(...samples(measured), "");
  }
  const errors = Object.entries(measured.errorTexts);
  if (errors.length > 0)
    lines.push("", "Error distribution:", ...errors.map(([error, times]) => `  [${times}]\t${error}`));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** Go's `%4.4f`, or its `%g`. */
function number(value: number, form: ReportForm): string {
  if (!form.precise) return value.toFixed(4);
  const small = value !== 0 && Math.abs(value) < 1e-4;
  return small ? value.toExponential().replace(/e([+-])(\d)$/, "e$10$2") : String(value);
}

function countOf(measured: Measured): number {
  return measured.pairs.reduce((sum, pair) => sum + (pair[1] ?? 0), 0);
}

/** Eleven bounds from the fastest to the slowest, bars of at most 40 columns. */
function bars(measured: Measured, seconds: (us: number) => string): string[] {
  const steps = 10;
  const { minUs, maxUs } = measured;
  const bounds = Array.from({ length: steps + 1 }, (_, i) =>
    i === steps ? maxUs : minUs + ((maxUs - minUs) / steps) * i,
  );
  const counts = bounds.map(() => 0);
  for (const [i, [us = 0, count = 0]] of measured.pairs.entries()) {
    // A bucket is named by its highest value; the first one holds the fastest.
    const bucket = bounds.findIndex((bound) => (i === 0 ? minUs : us) <= bound);
    counts[bucket < 0 ? steps : bucket]! += count;
  }
  const most = Math.max(1, ...counts);
  return bounds.map(
    (bound, i) => `  ${seconds(bound)} [${counts[i]}]\t|${"∎".repeat(Math.floor((counts[i]! * 40) / most))}`,
  );
}

const PERCENTS = [10, 25, 50, 75, 90, 95, 99, 99.9];

/** The tool leaves out a percentile that so few operations do not reach, and one that is 0. */
function latencies(measured: Measured, seconds: (us: number) => string): string[] {
  const count = countOf(measured);
  return PERCENTS.flatMap((percent) => {
    const index = Math.ceil((percent * count) / 100 - 1e-9);
    const us = index < count ? valueAt(measured, index) : 0;
    return us > 0 ? [`  ${percent}% in ${seconds(us)} secs.`] : [];
  });
}

/** The value with `index` others before it. */
function valueAt(measured: Measured, index: number): number {
  let seen = 0;
  for (const [us = 0, count = 0] of measured.pairs) {
    seen += count;
    if (seen > index) return Math.min(us, measured.maxUs);
  }
  return measured.maxUs;
}

function standardDeviation(measured: Measured): number {
  let squares = 0;
  for (const [us = 0, count = 0] of measured.pairs) squares += count * (us - measured.meanUs) ** 2;
  return Math.sqrt(squares / countOf(measured));
}

function samples(measured: Measured): string[] {
  return [
    "",
    "Sample in one second (unix latency throughput):",
    "UNIX-SECOND,MIN-LATENCY-MS,AVG-LATENCY-MS,MAX-LATENCY-MS,AVG-THROUGHPUT",
    ...measured.series.map((one) =>
      [
        measured.startedAtSeconds + one.second,
        ...[one.minUs, one.meanUs, one.maxUs].map(goDuration),
        one.operations + one.errors,
      ].join(","),
    ),
  ];
}

/** A duration as Go prints it: 783.635µs, 2.5ms, 1m2s. */
export function goDuration(us: number): string {
  const ns = Math.round(us * 1000);
  const digits = (value: number, most: number): string => value.toFixed(most).replace(/\.?0+$/, "");
  if (ns === 0) return "0s";
  if (ns < 1000) return `${ns}ns`;
  if (ns < 1e6) return `${digits(ns / 1e3, 3)}µs`;
  if (ns < 1e9) return `${digits(ns / 1e6, 6)}ms`;
  const minutes = Math.floor(ns / 60e9);
  const rest = `${ns % 60e9 === 0 ? "0" : digits((ns % 60e9) / 1e9, 9)}s`;
  return minutes === 0 ? rest : `${minutes}m${rest}`;
}
