// What a person sees: the progress line and the table at the end.

import { formatBytes, formatCount, formatDuration, threeDigits } from "./units.ts";
import { isSupported } from "./histogram.ts";
import type { Live } from "./load.ts";
import type { RunResult } from "./result.ts";

export interface TextOut {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** What a program gives to a command. */
export interface CommandIo {
  readonly stdout: TextOut;
  readonly stderr: TextOut;
  readonly stdin: unknown;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A line that is overwritten each second on a terminal, and a line a second elsewhere. */
export class Progress {
  readonly #out: TextOut;
  readonly #quiet: boolean;
  #open = false;

  constructor(out: TextOut, options: { quiet: boolean }) {
    this.#out = out;
    this.#quiet = options.quiet;
  }

  phase(text: string): void {
    this.#line(text);
  }

  second(live: Live): void {
    const { latencies } = live;
    const parts = [
      `${String(live.second).padStart(4)} s`,
      `${formatCount(live.ended).padStart(8)}/s`,
      `p50 ${formatDuration(latencies.quantile(0.5)).padStart(8)}`,
      `p99 ${formatDuration(latencies.quantile(0.99)).padStart(8)}`,
      `max ${formatDuration(latencies.max).padStart(8)}`,
      `under way ${live.inFlight}`,
    ];
    if (live.errors > 0) parts.push(`errors ${live.errors}`);
    this.#line(parts.join("  "));
  }

  end(): void {
    if (this.#open) this.#out.write("\n");
    this.#open = false;
  }

  #line(text: string): void {
    if (this.#quiet) return;
    if (this.#out.isTTY) {
      this.#out.write(`\r\u001b[2K${text}`);
      this.#open = true;
    } else this.#out.write(`${text}\n`);
  }
}

const PERCENTILES = [
  ["p50", 0.5, "p50Us"],
  ["p90", 0.9, "p90Us"],
  ["p99", 0.99, "p99Us"],
  ["p99.9", 0.999, "p999Us"],
  ["p99.99", 0.9999, "p9999Us"],
] as const;

/** The report of a run as text. */
export function describeRun(result: RunResult): string {
  const lines = [headline(result), ""];
  if (!result.published) {
    lines.push(
      `  ${result.refusal}.`,
      "  These are no figures of the store; --publish-anyway prints them.",
      "",
    );
    return lines.join("\n");
  }
  if (result.refusal) lines.push(`  ${result.refusal}; printed because of --publish-anyway`);
  if (result.aborted) lines.push("  ended early: this is what was seen so far");
  lines.push(
    `  rate        ${formatCount(result.rate)}/s${result.targetRate === null ? "" : ` of ${formatCount(result.targetRate)}/s offered`}`,
  );
  lines.push(
    `  operations  ${formatCount(result.operations)} in ${threeDigits(result.seconds)} s, ${formatCount(result.errors)} errors`,
  );
  lines.push(
    `  keys        ${formatCount(result.distinctKeys)} distinct ones written${timesWritten(result)}`,
  );
  const count = result.operations + result.errors;
  const latencies = PERCENTILES.map(
    ([name, share, field]) =>
      `${name} ${formatDuration(result[field])}${isSupported(share, count) ? "" : "?"}`,
  );
  lines.push(
    `  latency     ${latencies.join("   ")}   max ${formatDuration(result.maxUs)}   mean ${formatDuration(result.meanUs)}`,
  );
  if (PERCENTILES.some(([, share]) => !isSupported(share, count)))
    lines.push("              (? rests on fewer than 100 operations beyond it)");
  if (result.series.length > 2) {
    lines.push(
      `  seconds     worst averages ${formatDuration(result.worstSecondUs)}, median ${formatDuration(result.medianSecondUs)}; ${result.secondsAboveTwice} of ${result.series.length} above twice the median`,
    );
  }
  if (result.kinds.length > 1) for (const kind of result.kinds) lines.push(kindLine(kind));
  for (const [name, value] of Object.entries(result.extras))
    lines.push(`  ${name.padEnd(11)} ${formatCount(value)}`);
  lines.push(...useLines(result), ...verdictLines(result));
  for (const [text, times] of Object.entries(result.errorTexts))
    lines.push(`  error       ${formatCount(times)} x ${text}`);
  for (const warning of result.warnings) lines.push(`  note        ${warning}`);
  return `${lines.join("\n")}\n`;
}

function headline(result: RunResult): string {
  const loop = result.loop === "closed" ? "closed loop" : "open loop, latency from the intended start";
  const clients =
    result.loop === "closed" ? `${result.clients} ${result.clients === 1 ? "client" : "clients"} on ` : "";
  const connections = `${result.connections} ${result.connections === 1 ? "connection" : "connections"}`;
  return `${result.workload}: keys of ${result.keySize}, values of ${result.valueSize} bytes, ${clients}${connections}, ${loop}; ${result.server} at ${result.endpoints.join(",")}, seed ${result.seed}`;
}

/** Writing a key again is another load than writing a new one. */
function timesWritten(result: RunResult): string {
  const times = result.workload === "put" ? result.operations / Math.max(1, result.distinctKeys) : 1;
  return times > 1.5 ? `, each about ${threeDigits(times)} times` : "";
}

function kindLine(kind: RunResult["kinds"][number]): string {
  return `  ${kind.name.padEnd(11)} ${formatCount(kind.operations)}, p50 ${formatDuration(kind.p50Us)}   p99 ${formatDuration(kind.p99Us)}   p99.9 ${formatDuration(kind.p999Us)}   max ${formatDuration(kind.maxUs)}`;
}

function useLines(result: RunResult): string[] {
  const { client } = result;
  const lines = [
    `  client      ${client.cpuPercent} % of a core, loop busy ${Math.round(client.loopUtilisation * 100)} %`,
  ];
  const late = result.scheduleErrorUs;
  if (late)
    lines.push(
      `  schedule    started late by p50 ${formatDuration(late.p50)}, p99 ${formatDuration(late.p99)}, max ${formatDuration(late.max)}`,
    );
  const operations = Math.max(1, result.operations);
  for (const server of result.servers) {
    const perOperation = `${threeDigits((server.cpuSeconds * 1e6) / operations)} us and ${formatBytes(server.writtenBytes / operations)} written an operation`;
    const syncs = server.fsyncs === null ? "" : `, ${formatCount(server.fsyncs)} log syncs`;
    const collection =
      server.gcSeconds === null
        ? ""
        : `, ${threeDigits((100 * server.gcSeconds) / result.seconds)} % of the time in garbage collection`;
    lines.push(
      `  server      ${server.name} ${server.pid}: ${Math.round((100 * server.cpuSeconds) / result.seconds)} % of a core, ${perOperation}, ${formatBytes(server.rssBytesMax)} resident${syncs}${collection}`,
    );
  }
  return lines;
}

function verdictLines(result: RunResult): string[] {
  const { slo } = result;
  if (!slo) return [];
  const lines = slo.objectives.map(
    (one) => `  slo         ${one.objective}: ${one.value}, ${one.kept ? "kept" : "BROKEN"}`,
  );
  const share = slo.windows === 0 ? 100 : (100 * slo.windowsKept) / slo.windows;
  lines.push(
    `  slo         ${slo.windowsKept} of ${slo.windows} windows of ${slo.windowSeconds} s kept it (${threeDigits(share)} %, asked for ${threeDigits(slo.windowShare * 100)} %)`,
  );
  if (slo.worst)
    lines.push(
      `  slo         worst: ${slo.worst.objective} was ${slo.worst.value} at second ${slo.worst.atSecond}`,
    );
  lines.push(`  slo         ${slo.kept ? "kept" : "BROKEN"}`);
  return lines;
}
