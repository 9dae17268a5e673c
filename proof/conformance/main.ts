// `holdfast test conformance --endpoints A --against B`: do two clusters answer alike? The same requests go to both, and
// every answer is compared. For Holdfast against etcd, and for anybody's two clusters.

import * as fs from "node:fs";
import { parseArgs } from "node:util";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { CASES } from "./cases.ts";
import { EXPLAINED } from "./explained.ts";
import { Pair } from "./pair.ts";
import { randomRun, scratchKey } from "./random-run.ts";
import { Side } from "./side.ts";

interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** The result file when none is named. */
const OUT = "holdfast-conformance.json";

const USAGE = `holdfast test conformance --endpoints HOST:PORT --against HOST:PORT

Sends the same requests to two clusters and compares every answer: named edge cases first, then random requests.
Both should be fresh or idle; they are brought to the same revision and compacted first, and keys are written under a
prefix of the run's own, "~conformance-…", behind which nothing else may be. The exit code is 1 when any answer differs.

  --requests N     random requests (default 20000)
  --seed S         of the random requests (default: drawn and printed)
  --out FILE       result file (JSON; default ${OUT})
  -w json          print the result as JSON
`;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      endpoints: { type: "string", default: "localhost:2379" },
      against: { type: "string" },
      requests: { type: "string", default: "20000" },
      seed: { type: "string" },
      out: { type: "string", default: OUT },
      "write-out": { type: "string", short: "w", default: "simple" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    io.stdout.write(USAGE);
    return 0;
  }
  if (values.against === undefined) {
    io.stderr.write("Error: --against names the cluster to compare with\n");
    return 128;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const result = await conformance(
    { ours: values.endpoints, theirs: values.against, requestCount: Number(values.requests), seed },
    io,
  );
  fs.writeFileSync(values.out, JSON.stringify(result, undefined, 2));
  io.stdout.write(values["write-out"] === "json" ? `${JSON.stringify(result)}\n` : report(result));
  return result.differences > 0 ? 1 : 0;
}

interface Options {
  readonly ours: string;
  readonly theirs: string;
  readonly requestCount: number;
  readonly seed: number;
}

export interface ConformanceResult {
  readonly endpoints: string;
  readonly against: string;
  readonly seed: number;
  readonly cases: readonly { readonly name: string; readonly same: boolean }[];
  readonly requests: number;
  readonly compared: number;
  readonly differences: number;
  readonly details: Pair["differences"];
  /** Differences whose reason is known, by name. */
  readonly explained: Readonly<Record<string, number>>;
}

export async function conformance(options: Options, io: Io): Promise<ConformanceResult> {
  const ours = await Side.open("ours", options.ours);
  const theirs = await Side.open("theirs", options.theirs);
  const pair = new Pair(ours, theirs);
  const prefix = `~conformance-${options.seed.toString(36)}/`;
  await pair.align(scratchKey(prefix));
  const cases: { name: string; same: boolean }[] = [];
  for (const [i, item] of CASES.entries()) {
    const before = pair.differenceCount;
    await item.run(pair, (suffix) => encodeUtf8(`${prefix}case${i}-${suffix}`));
    cases.push({ name: item.name, same: pair.differenceCount === before });
  }
  const startedMs = performance.now();
  let shownMs = startedMs;
  const requests = await randomRun(pair, {
    requestCount: options.requestCount,
    seed: options.seed,
    prefix,
    isStopped: () => pair.differenceCount >= 1000,
    onProgress: (done) => {
      const nowMs = performance.now();
      if (nowMs - shownMs < 1000) return;
      shownMs = nowMs;
      io.stderr.write(`\r${done} of ${options.requestCount} requests, ${pair.differenceCount} differences `);
    },
  });
  if (shownMs > startedMs) io.stderr.write("\n");
  ours.close();
  theirs.close();
  return {
    endpoints: options.ours,
    against: options.theirs,
    seed: options.seed,
    cases,
    requests,
    compared: pair.comparedCount,
    differences: pair.differenceCount,
    details: pair.differences,
    explained: Object.fromEntries(pair.explained),
  };
}

function report(result: ConformanceResult): string {
  const lines = result.cases.map((item) => `${item.same ? "ok" : "not ok"} - ${item.name}`);
  for (const { where, request, ours, theirs } of result.details.slice(0, 20)) {
    lines.push(
      `DIFFERENT ${where}: ${request}`,
      `  ${result.endpoints}: ${ours}`,
      `  ${result.against}: ${theirs}`,
    );
  }
  for (const { id, reason } of EXPLAINED) {
    const count = result.explained[id];
    if (count !== undefined) lines.push(`explained, ${count} times: ${id}: ${reason}`);
  }
  lines.push(
    `${result.requests} random requests (seed ${result.seed}), ${result.compared} answers compared, ${result.differences} differ`,
  );
  return lines.join("\n") + "\n";
}
