// The table of a comparison.

import type { CompareResult } from "./compare.ts";
import type { FigureResult } from "./figures.ts";
import { formatBytes, formatCount, formatDuration, threeDigits } from "./units.ts";

export function formatFigure(value: number | null, unit: string): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (unit === "us") return formatDuration(value);
  if (unit === "ms") return formatDuration(value * 1000);
  if (unit === "B") return formatBytes(value);
  if (unit === "/s") return `${formatCount(value)}/s`;
  return `${threeDigits(value)}${unit === "" || unit === "x" ? unit : ` ${unit}`}`;
}

export function describeComparison(result: CompareResult): string {
  const { machine, limits } = result;
  const lines = [
    `${result.contenders.map((one) => `${one.name} ${one.version}`).join("  against  ")}`,
    `${machine.cores} cores, ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}; ${result.rounds} rounds of ${result.sliceSeconds} s in turns`,
    `limits: durable write ${formatDuration(limits.disk.bestP50Us)} (${limits.disk.bestWay}; fdatasync p99 ${formatDuration(limits.disk.fdatasyncP99Us)}), round trip ${formatDuration(limits.loopbackP50Us)}`,
    "",
  ];
  for (const note of result.notes) lines.push(`note: ${note}`);
  for (const row of result.rows) {
    lines.push(`${row.row.padEnd(4)} ${row.what}: ${row.met ?? "not met"}`);
    for (const figure of row.figures) lines.push(`     ${figureLine(figure)}`);
    for (const note of row.notes) lines.push(`     note: ${note}`);
  }
  return `${lines.join("\n")}\n`;
}

function figureLine(figure: FigureResult): string {
  const against = figure.against.map((one) => {
    const interval = one.interval?.map(threeDigits).join(", ") ?? "one sample";
    return `${one.rival} ${formatFigure(one.value, figure.unit)}, ratio ${threeDigits(one.ratio)} [${interval}]`;
  });
  return `${figure.name.padEnd(22)} ${formatFigure(figure.ours, figure.unit).padStart(9)}   ${against.join("   ")}   ${figure.met ?? "not met"}`;
}
