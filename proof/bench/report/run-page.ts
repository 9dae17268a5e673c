// Pages of a run and of a ladder, and the sections that a comparison's page has in common with them.

import { fromPairs, type Histogram } from "../histogram.ts";
import type { Machine, RunResult } from "../result.ts";
import type { Mark, Second } from "../series.ts";
import { formatBytes, formatCount, formatDuration } from "../units.ts";
import type { LineData, MarkData, Page, Section } from "./sections.ts";

export interface Line {
  readonly name: string;
  readonly series: readonly Second[];
  readonly heat: RunResult["heat"];
  readonly histogram: RunResult["histogram"];
}

export function lineOf(result: RunResult): Line {
  return { name: result.title, series: result.series, heat: result.heat, histogram: result.histogram };
}

/** The deck's chart: latency over seconds, one line a store. */
export function overSeconds(title: string, lines: readonly Line[], marks: readonly MarkData[]): Section {
  const view = (name: string, of: (second: Second) => number) => ({
    name,
    lines: lines.map((line): LineData => ({
      name: line.name,
      x: line.series.map((one) => one.second),
      y: line.series.map(of),
    })),
  });
  return {
    kind: "lines",
    title,
    note: "By the second in which an operation was meant to start. A second in which nothing was answered shows what the operation before it took.",
    xLabel: "seconds",
    yLabel: "latency",
    unit: "us",
    xScale: "linear",
    yScale: "linear",
    views: [
      view("average", (one) => one.meanUs),
      view("p50", (one) => one.p50Us),
      view("p99", (one) => one.p99Us),
      view("slowest", (one) => one.maxUs),
    ],
    marks,
    percentileAxis: false,
    points: false,
  };
}

export function percentileCurve(lines: readonly Line[], title = "Latency by percentile"): Section {
  return {
    kind: "lines",
    title,
    note: "The x axis is 1/(1-p): every step to the right is ten times rarer.",
    xLabel: "percentile",
    yLabel: "latency",
    unit: "us",
    xScale: "log",
    yScale: "log",
    views: [{ name: "all", lines: lines.map((line) => curveOf(line.name, fromPairs(line.histogram))) }],
    marks: [],
    percentileAxis: true,
    points: false,
  };
}

const STEPS_PER_DECADE = 12;

function curveOf(name: string, histogram: Histogram): LineData {
  const x: number[] = [];
  const y: number[] = [];
  const last = Math.log10(Math.max(10, histogram.count)) * STEPS_PER_DECADE;
  for (let step = 0; step <= last; step++) {
    const rarity = 10 ** (step / STEPS_PER_DECADE);
    x.push(rarity);
    y.push(Math.max(1, histogram.quantile(1 - 1 / rarity)));
  }
  return { name, x, y };
}

export function heatOf(line: Line, marks: readonly MarkData[]): Section[] {
  if (line.heat.every((column) => column.length === 0)) return [];
  return [
    {
      kind: "heat",
      title: `Every latency over time: ${line.name}`,
      note: "A column is a second, a row a fifth more latency; the darker, the more operations. Dashed lines mark what the server said of itself.",
      name: line.name,
      columns: line.heat,
      marks,
    },
  ];
}

export function marksOf(marks: readonly Mark[]): MarkData[] {
  return marks.map((mark) => ({ x: mark.atSecond, text: `${mark.kind}: ${mark.text}` }));
}

export function machineText(machine: Machine): string {
  return `${machine.cores} cores, ${machine.cpu}, ${formatBytes(machine.memoryBytes)} of memory, Linux ${machine.kernel}, Node ${machine.node}`;
}

export function figuresTable(results: readonly RunResult[]): Section {
  return {
    kind: "table",
    title: "Figures",
    note: "Latencies count from the intended start in an open loop; failed operations are among them.",
    head: [
      "",
      "rate",
      "p50",
      "p99",
      "p99.9",
      "p99.99",
      "slowest",
      "worst second",
      "errors",
      "distinct keys",
      "client CPU",
      "server CPU per op",
      "written per op",
      "resident",
    ],
    rows: results.map((result) => {
      const operations = Math.max(1, result.operations);
      const cpu = result.servers.reduce((sum, one) => sum + one.cpuSeconds, 0);
      const written = result.servers.reduce((sum, one) => sum + one.writtenBytes, 0);
      const resident = result.servers.reduce((sum, one) => sum + one.rssBytesMax, 0);
      const latencies = [
        result.p50Us,
        result.p99Us,
        result.p999Us,
        result.p9999Us,
        result.maxUs,
        result.worstSecondUs,
      ].map(formatDuration);
      const use =
        result.servers.length === 0
          ? ["–", "–", "–"]
          : [
              formatDuration((cpu * 1e6) / operations),
              formatBytes(written / operations),
              formatBytes(resident),
            ];
      return [
        result.title,
        `${formatCount(result.rate)}/s`,
        ...latencies,
        formatCount(result.errors),
        formatCount(result.distinctKeys),
        `${result.client.cpuPercent} %`,
        ...use,
      ];
    }),
  };
}

/** The machine beside the load, a line a server. */
export function machineSections(result: Pick<RunResult, "samples" | "servers">): Section[] {
  if (result.samples.length === 0) return [];
  const pids = [...new Set(result.samples.map((sample) => sample.pid))];
  const lines = (of: (sample: RunResult["samples"][number]) => number | null): LineData[] =>
    pids.map((pid) => {
      const samples = result.samples.filter((sample) => sample.pid === pid);
      const name = result.servers.find((server) => server.pid === pid)?.name ?? "server";
      return { name: `${name} ${pid}`, x: samples.map((one) => one.second), y: samples.map(of) };
    });
  const section = (
    title: string,
    unit: "us" | "bytes" | "percent" | "plain",
    of: (sample: RunResult["samples"][number]) => number | null,
  ): Section => ({
    kind: "lines",
    title,
    note: "",
    xLabel: "seconds",
    yLabel: "",
    unit,
    xScale: "linear",
    yScale: "linear",
    views: [{ name: "all", lines: lines(of) }],
    marks: [],
    percentileAxis: false,
    points: false,
  });
  // What no server says is no picture.
  const said = (...[title, unit, of]: Parameters<typeof section>): Section[] =>
    result.samples.some((sample) => of(sample) !== null) ? [section(title, unit, of)] : [];
  return [
    section("Server CPU, of one core", "percent", (sample) => sample.cpuPercent),
    section("Server memory, resident", "bytes", (sample) => sample.rssBytes),
    section("Bytes written a second", "bytes", (sample) => sample.writtenBytes),
    ...said("Syncs of the log a second", "plain", (sample) => sample.fsyncs),
    ...said("Garbage collection, of the time", "percent", (sample) =>
      sample.gcSeconds === null ? null : 100 * sample.gcSeconds,
    ),
    ...said("Stalls of the event loop, the longest of a second", "us", ({ loopLagSecondsMax = null }) =>
      loopLagSecondsMax === null ? null : 1e6 * loopLagSecondsMax,
    ),
  ];
}

function verdictSection(result: RunResult): Section[] {
  const { slo } = result;
  if (!slo) return [];
  const rows = slo.objectives.map((one) => [one.objective, one.value, one.kept ? "kept" : "broken"]);
  rows.push([
    "windows",
    `${slo.windowsKept} of ${slo.windows} windows of ${slo.windowSeconds} s kept it`,
    slo.kept ? "kept" : "broken",
  ]);
  if (slo.worst)
    rows.push([
      "worst window",
      `${slo.worst.objective} was ${slo.worst.value} at second ${slo.worst.atSecond}`,
      "",
    ]);
  return [
    {
      kind: "table",
      title: `Objectives: ${slo.kept ? "kept" : "broken"}`,
      note: "Judged for the whole run and for every window of time.",
      head: ["objective", "found", "verdict"],
      rows,
    },
  ];
}

export function runPage(result: RunResult): Page {
  const line = lineOf(result);
  const marks = marksOf(result.marks);
  const loop =
    result.loop === "open"
      ? `open loop at ${formatCount(result.targetRate ?? 0)}/s`
      : `closed loop, ${result.clients} clients`;
  return {
    title: `${result.workload}: p50 ${formatDuration(result.p50Us)}, p99 ${formatDuration(result.p99Us)}, slowest ${formatDuration(result.maxUs)}`,
    lead: [
      `${result.server} at ${result.endpoints.join(", ")}; keys of ${result.keySize}, values of ${result.valueSize} bytes; ${loop} on ${result.connections} connections; seed ${result.seed}; ${result.startedAt}`,
      machineText(result.machine),
      ...(result.refusal ? [result.refusal] : []),
      ...result.warnings,
    ],
    sections: [
      ...verdictSection(result),
      overSeconds("Latency over seconds", [line], marks),
      percentileCurve([line]),
      ...heatOf(line, marks),
      figuresTable([result]),
      ...machineSections(result),
    ],
  };
}

/** Throughput against latency: the hockey stick. */
export function ladderSection(results: readonly RunResult[]): Section {
  const line = (name: string, of: (result: RunResult) => number): LineData => ({
    name,
    x: results.map((result) => result.rate),
    y: results.map(of),
  });
  return {
    kind: "lines",
    title: "Latency against throughput",
    note: "A point is a run at one offered rate, at the rate that was answered.",
    xLabel: "operations a second",
    yLabel: "latency",
    unit: "us",
    xScale: "linear",
    yScale: "log",
    views: [
      {
        name: "all",
        lines: [
          line("p50", (one) => one.p50Us),
          line("p99", (one) => one.p99Us),
          line("p99.9", (one) => one.p999Us),
        ],
      },
    ],
    marks: [],
    percentileAxis: false,
    points: true,
  };
}

export function ladderPage(results: readonly RunResult[], highest: number | null): Page {
  const first = results[0];
  return {
    title:
      highest === null
        ? "No rate kept the objectives"
        : `${formatCount(highest)}/s is the highest rate that kept the objectives`,
    lead: first
      ? [`${first.workload} on ${first.server}; open loop; ${first.startedAt}`, machineText(first.machine)]
      : [],
    sections: [
      ladderSection(results),
      figuresTable(
        results.map((one) => ({ ...one, title: `${formatCount(one.targetRate ?? 0)}/s offered` })),
      ),
    ],
  };
}
