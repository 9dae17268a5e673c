// The page of a comparison: P0's picture, the rows against the goals, and the loads behind them.

import type { CompareResult, RatePoint } from "../compare.ts";
import { formatFigure } from "../compare-print.ts";
import type { Picture } from "../deck-row.ts";
import type { RunResult } from "../result.ts";
import { formatBytes, formatDuration, threeDigits } from "../units.ts";
import {
  figuresTable,
  heatOf,
  lineOf,
  machineText,
  marksOf,
  overSeconds,
  percentileCurve,
} from "./run-page.ts";
import type { LineData, Page, Section } from "./sections.ts";

export function comparePage(result: CompareResult): Page {
  const { limits } = result;
  return {
    title: result.contenders
      .map((one) => `${one.name} ${one.version === "given" ? "" : one.version}`.trim())
      .join(" against "),
    lead: [
      `${machineText(result.machine)}; ${result.rounds} rounds of ${result.sliceSeconds} s, in turns; ${result.startedAt}`,
      `limits in the same run: durable write ${formatDuration(limits.disk.bestP50Us)}, round trip ${formatDuration(limits.loopbackP50Us)}`,
      ...result.notes,
    ],
    sections: [
      ...result.pictures.flatMap(pictureSections),
      {
        kind: "rows",
        title: "Rows of the goals",
        note: "Ratio is ours / theirs with a 95 % bootstrap interval: below 1 is better for times and sizes, above 1 for rates.",
        rows: goalRows(result),
      },
      ...gapSections(result),
      ...climbSection(result),
      ...costSection(result),
      ...result.curves.flatMap((curve): Section[] => [
        { ...overSeconds(`${curve.row}: latency over seconds of one round`, curve.runs.map(lineOf), []) },
        percentileCurve(curve.runs.map(lineOf), `${curve.row}: latency by percentile`),
        figuresTable(curve.runs),
      ]),
    ],
  };
}

function pictureSections(picture: Picture): Section[] {
  const lanes = picture.stores
    .map((store) => ({ name: store.name, marks: marksOf(store.marks ?? []) }))
    .filter((lane) => lane.marks.length > 0);
  return [
    { ...overSeconds(picture.title, picture.stores, []), ...(lanes.length > 0 ? { lanes } : {}) },
    percentileCurve(picture.stores),
    ...picture.stores.flatMap((store) => heatOf(store, [])),
  ];
}

type GoalRow = Extract<Section, { kind: "rows" }>["rows"][number];

function goalRows(result: CompareResult): GoalRow[] {
  return result.rows.flatMap((row) =>
    row.figures.length === 0
      ? [
          {
            row: row.row,
            what: row.what,
            figure: "",
            ours: "–",
            rival: "–",
            ratio: "–",
            interval: null,
            value: null,
            lowerIsBetter: true,
            met: "not met",
            notes: row.notes,
          },
        ]
      : row.figures.flatMap((figure, i) =>
          (figure.against.length === 0 ? [undefined] : figure.against).map((against, j) => ({
            row: i + j === 0 ? row.row : "",
            what: i + j === 0 ? row.what : "",
            figure: figure.name,
            ours: formatFigure(figure.ours, figure.unit),
            rival: against ? `${against.rival} ${formatFigure(against.value, figure.unit)}` : "–",
            ratio: against ? threeDigits(against.ratio) : "–",
            interval: against ? against.interval : null,
            value: against ? against.ratio : null,
            lowerIsBetter: figure.better === "lower",
            met: (against ? against.met : figure.met) ?? "not met",
            notes: i + j === 0 ? row.notes : [],
          })),
        ),
  );
}

/** The rows that lose a leader. */
const GAP_ROWS: readonly string[] = ["P19", "P20"];

/** How long nobody was served, as the share of trials in which it was no longer than that. */
function gapSections(result: CompareResult): Section[] {
  const views = result.rows
    .filter((row) => GAP_ROWS.includes(row.row))
    .flatMap((row) => row.figures)
    .map((figure) => ({
      name: figure.name === "gap" ? "killed leader" : figure.name,
      lines: [[result.contenders[0]?.name ?? "ours", figure.oursRounds] as const]
        .concat(Object.entries(figure.rivalRounds))
        .map(([name, gaps]) => stairs(name, gaps)),
    }));
  if (views.length === 0) return [];
  return [
    {
      kind: "lines",
      title: "Without a leader: how long no put was acknowledged",
      note: "The share of trials that were over by then; further left is better.",
      xLabel: "milliseconds",
      yLabel: "trials",
      unit: "percent",
      xScale: "log",
      yScale: "linear",
      views,
      marks: [],
      percentileAxis: false,
      points: true,
    },
  ];
}

function stairs(name: string, gaps: readonly number[]): LineData {
  const sorted = [...gaps].sort((a, b) => a - b);
  return { name, x: sorted, y: sorted.map((_, i) => (100 * (i + 1)) / sorted.length) };
}

/** Throughput against latency: where each store's line turns up is what it can do. */
function climbSection(result: CompareResult): Section[] {
  const points = result.climb ?? [];
  if (points.length === 0) return [];
  const stores = [...new Set(points.map((point) => point.store))];
  const view = (name: string, of: (point: RatePoint) => number) => ({
    name,
    lines: stores.map((store): LineData => {
      const own = points.filter((point) => point.store === store);
      // Not what was answered: of too high a rate that may be less than of the one before.
      return { name: store, x: own.map((point) => point.offered), y: own.map(of) };
    }),
  });
  return [
    {
      kind: "lines",
      title: "Latency against throughput",
      note: "A point is a run of an open loop at one offered rate; a line ends soon after its store kept that rate no longer. Further right and lower is better.",
      xLabel: "operations offered a second",
      yLabel: "latency",
      unit: "us",
      xScale: "linear",
      yScale: "log",
      views: [view("p99", (point) => point.p99Us), view("p50", (point) => point.p50Us)],
      marks: [],
      percentileAxis: false,
      points: true,
    },
  ];
}

/** What an operation of each load cost the servers, where they run on this machine. */
function costSection(result: CompareResult): Section[] {
  const amounts = (
    what: string,
    of: (server: RunResult["servers"][number]) => number,
    format: (amount: number) => string,
  ) =>
    result.curves
      .filter((curve) => curve.runs.length > 0 && curve.runs.every((run) => run.servers.length > 0))
      .map((curve) => ({
        title: `${curve.row}: ${what}`,
        bars: curve.runs.map((run) => {
          const value =
            run.servers.reduce((sum, server) => sum + of(server), 0) / Math.max(1, run.operations);
          return { name: run.title, value, text: format(value) };
        }),
      }));
  const cpu = amounts("CPU", (server) => server.cpuSeconds * 1e6, formatDuration);
  const written = amounts("bytes on disk", (server) => server.writtenBytes, formatBytes);
  const groups = cpu.flatMap((group, i) => [group, written[i]!]);
  if (groups.length === 0) return [];
  return [
    {
      kind: "bars",
      title: "What an operation costs",
      note: "CPU and bytes written by the server that was loaded, of one round of each load; shorter is better.",
      groups,
    },
  ];
}
