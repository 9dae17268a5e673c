// `holdfast bench --etcd-style put …`: the words and the output of etcd's own benchmark tool, so that its users feel at
// home, with a note on what that output hides.

import type { CommandIo } from "./main.ts";
import { parseFlags, parseRun, type RunOptions, UsageError, type WorkloadName } from "./options.ts";
import type { RunResult } from "./result.ts";
import { type RunHooks, runOnce } from "./run.ts";

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** The flags of etcd's tool that mean something here. Its `--key` is a file and its `--val-size` a number, as ours. */
const FLAGS = {
  endpoints: text,
  clients: text,
  conns: text,
  total: text,
  rate: text,
  "key-size": text,
  "val-size": text,
  "key-space-size": text,
  "sequential-keys": flag,
  consistency: text,
  "txn-ops": text,
  "watch-per-stream": text,
  streams: text,
  cacert: text,
  cert: text,
  key: text,
  user: text,
  precise: flag,
  sample: flag,
  "report-perfdash": flag,
  "dial-timeout": text,
  "write-out": { type: "string", short: "w" },
} as const;

const COMMANDS: Readonly<Record<string, WorkloadName>> = {
  put: "put",
  range: "range",
  "txn-put": "txn",
  "txn-mixed": "mixed",
  "watch-latency": "watch-latency",
  watch: "watch-fanout",
  "lease-keepalive": "lease-keepalive",
};

export async function benchEtcdStyle(
  argv: readonly string[],
  io: CommandIo,
  hooks: RunHooks,
): Promise<number> {
  const [command = "", ...rest] = argv;
  const workload = COMMANDS[command];
  if (workload === undefined)
    throw new UsageError(`--etcd-style ${command} is none of ${Object.keys(COMMANDS).join(", ")}`);
  // `range` takes a key as a word; ours reads from a key space, so the word is dropped.
  const values = parseFlags(
    rest.filter((word, i) => word.startsWith("-") || (rest[i - 1]?.startsWith("-") ?? false)),
    FLAGS,
  );
  const options = translate(workload, values, io.env);
  const result = await runOnce(options, hooks);
  io.stdout.write(etcdReport(result, values["precise"] === true));
  if (values["sample"] === true) io.stdout.write(sampleReport(result));
  io.stdout.write(whatItHides(result));
  return 0;
}

type Values = ReturnType<typeof parseFlags>;

function translate(workload: WorkloadName, values: Values, env: CommandIo["env"]): RunOptions {
  const read = (name: keyof typeof FLAGS, byDefault: string): string =>
    typeof values[name] === "string" ? values[name] : byDefault;
  const total = read("total", "10000");
  const flags = [
    "--total",
    total,
    "--clients",
    read("clients", "1"),
    "--conns",
    read("conns", "1"),
    "--key-size",
    read("key-size", "8"),
    "--val-size",
    read("val-size", "8"),
    "--prefix",
    "",
  ];
  // Its default, too: one key. That is what the note below speaks of.
  flags.push(
    "--keys",
    read("key-space-size", "1"),
    "--order",
    values["sequential-keys"] === true ? "sequential" : "uniform",
  );
  for (const name of ["endpoints", "cacert", "cert", "key", "user", "txn-ops"] as const) {
    if (typeof values[name] === "string") flags.push(`--${name}`, values[name]);
  }
  if (read("consistency", "l") === "s") flags.push("--serializable");
  // Its rate limits a closed loop and starts the clock late. Ours counts from the intended start.
  if (read("rate", "0") !== "0")
    flags.push(
      "--rate",
      read("rate", "0"),
      "--duration",
      `${Math.ceil(Number(total) / Number(read("rate", "1")))}s`,
    );
  return parseRun(workload, flags, env);
}

/** The summary as etcd's tool prints it. */
export function etcdReport(result: RunResult, precise: boolean): string {
  const digits = precise ? 9 : 4;
  const seconds = (us: number): string => (us / 1e6).toFixed(digits);
  const deviation = standardDeviation(result);
  const lines = [
    "",
    "Summary:",
    `  Total:\t${result.seconds.toFixed(digits)} secs.`,
    `  Slowest:\t${seconds(result.maxUs)} secs.`,
    `  Fastest:\t${seconds(result.minUs)} secs.`,
    `  Average:\t${seconds(result.meanUs)} secs.`,
    `  Stddev:\t${seconds(deviation)} secs.`,
    `  Requests/sec:\t${result.rate.toFixed(digits)}`,
    "",
    "Response time histogram:",
    ...bars(result, seconds),
    "",
    "Latency distribution:",
    ...[10, 25, 50, 75, 90, 95, 99, 99.9].map(
      (percent) => `  ${percent}% in ${seconds(quantile(result, percent / 100))} secs.`,
    ),
    "",
  ];
  const errors = Object.entries(result.errorTexts);
  if (errors.length > 0)
    lines.push("Error distribution:", ...errors.map(([error, times]) => `  [${times}]\t${error}`), "");
  return lines.join("\n");
}

/** Eleven linear buckets from the fastest to the slowest, bars of 40 columns. */
function bars(result: RunResult, seconds: (us: number) => string): string[] {
  const steps = 10;
  const width = (result.maxUs - result.minUs) / steps;
  const bounds = Array.from({ length: steps + 1 }, (_, i) =>
    i === steps ? result.maxUs : result.minUs + i * width,
  );
  const counts = bounds.map(() => 0);
  for (const [us = 0, count = 0] of result.histogram) {
    const bucket = bounds.findIndex((bound) => us <= bound);
    counts[bucket < 0 ? steps : bucket]! += count;
  }
  const most = Math.max(1, ...counts);
  return bounds.map(
    (bound, i) => `  ${seconds(bound)} [${counts[i]}]\t|${"∎".repeat(Math.round((counts[i]! * 40) / most))}`,
  );
}

function quantile(result: RunResult, share: number): number {
  const total = result.histogram.reduce((sum, pair) => sum + (pair[1] ?? 0), 0);
  let seen = 0;
  for (const [us = 0, count = 0] of result.histogram) {
    seen += count;
    if (seen >= share * total) return Math.min(us, result.maxUs);
  }
  return result.maxUs;
}

function standardDeviation(result: RunResult): number {
  let total = 0;
  let squares = 0;
  for (const [us = 0, count = 0] of result.histogram) {
    total += count;
    squares += count * (us - result.meanUs) ** 2;
  }
  return total === 0 ? 0 : Math.sqrt(squares / total);
}

/** `--sample`: a line a second. */
function sampleReport(result: RunResult): string {
  const startedAt = Math.floor(Date.parse(result.startedAt) / 1000);
  const lines = result.series.map(
    (one) =>
      `${startedAt + one.second},${one.p50Us / 1e6},${one.meanUs / 1e6},${one.maxUs / 1e6},${one.operations}`,
  );
  return `\nSample in one second (unix latency throughput):\nUNIX-SECOND,MEDIAN-LATENCY,AVG-LATENCY,MAX-LATENCY,THROUGHPUT\n${lines.join("\n")}\n`;
}

function whatItHides(result: RunResult): string {
  const notes = [
    "What this output hides:",
    `  it overwrote ${result.distinctKeys === 1 ? "one key" : `${result.distinctKeys} keys`}${result.distinctKeys < result.operations ? " (give --key-space-size)" : ""}`,
  ];
  if (result.loop === "closed")
    notes.push(
      "  a closed loop stops asking while the store stalls: a stall of a second with one client is one slow request (bench put --rate N)",
    );
  notes.push("  linear buckets show no tail, and no second by second: bench put --report F.html");
  notes.push(
    `  p99.9 ${(result.p999Us / 1e6).toFixed(4)} secs., worst second's average ${(result.worstSecondUs / 1e6).toFixed(4)} secs., client CPU ${result.client.cpuPercent} %`,
  );
  return `${notes.join("\n")}\n`;
}
