// Medians, tables, processor time. On a busy machine wall time says little: figures are medians of alternating rounds,
// and processor time stands beside them.

/** Nearest rank; 0 of nothing. Sorts a copy. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** User and system time of all threads of this process, microseconds. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** A row of a table: its name, then figures by column. */
export interface Row {
  readonly name: string;
  readonly figures: Readonly<Record<string, number | string>>;
}

export function printTable(title: string, rows: readonly Row[]): void {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row.figures)))];
  const lines = [
    ["", ...columns],
    ...rows.map((row) => [row.name, ...columns.map((it) => text(row.figures[it]))]),
  ];
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  console.log(`\n${title}\n`);
  for (const line of lines) {
    console.log(
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
    );
  }
}

function text(value: number | string | undefined): string {
  if (value === undefined) return "-";
  if (typeof value === "string") return value;
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The medians of rows of the same name over rounds. */
export function medianRows(rounds: readonly (readonly Row[])[]): Row[] {
  return (rounds[0] ?? []).map(({ name, figures }) => {
    const same = rounds.flatMap((rows) => rows.filter((row) => row.name === name));
    const medians = Object.keys(figures).map((column) => {
      const values = same.map((row) => row.figures[column]).filter((it) => typeof it === "number");
      return [column, median(values)] as const;
    });
    return { name, figures: Object.fromEntries(medians) };
  });
}
