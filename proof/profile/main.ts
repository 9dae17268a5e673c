// `holdfast profile`: where the time of a running Node program goes, a Holdfast above all, and what holds it back.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { ENDPOINT_FLAGS, parseEndpoints, parseFlags, UsageError } from "../bench/options.ts";
import type { CommandIo } from "../bench/print.ts";
import { localPortOf, pidListeningOn } from "../bench/process-sampler.ts";
import { writePage } from "../bench/report/page.ts";
import type { Page } from "../bench/report/sections.ts";
import { formatBytes, formatDuration } from "../bench/units.ts";
import type { Evidence } from "./bottleneck.ts";
import { metricsOf } from "./metrics-page.ts";
import { pageOf } from "./profile-page.ts";
import { profile, type ProfileOptions, type ProfileResult } from "./profiler.ts";

interface CommandOptions extends ProfileOptions {
  readonly json: boolean;
}

const HELP = `Usage: holdfast profile [--endpoints H:P] [--pid N] [--seconds 10] [--output PREFIX] [-w json]

Profiles a running Holdfast, or any Node program of this machine, without a restart: CPU, allocations, stalls of the
event loop. Writes PREFIX.cpuprofile and PREFIX.heapprofile (for browsers' and editors' tools), PREFIX.pb.gz and
PREFIX.heap.pb.gz (for go tool pprof) and PREFIX.html (a flame graph), and says in one line what holds the program back.
The process is the one that serves the endpoint, of several endpoints the leader; the others say how fast their disks are.
With --pid alone there are no metrics to judge by, with both there are.
`;

/** Runs `holdfast profile ARGV…`. */
export async function run(argv: string[], io: CommandIo): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    io.stdout.write(HELP);
    return 0;
  }
  try {
    const options = await parse(argv);
    io.stderr.write(`profiling process ${options.pid} for ${options.seconds} s\n`);
    const { result, reading } = await profile(options);
    writePage(`${options.prefix}.html`, pageOf(result, reading));
    io.stdout.write(options.json ? `${JSON.stringify(result)}\n` : describe(result));
    return 0;
  } catch (error) {
    io.stderr.write(`holdfast profile: ${(error as Error).message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function parse(argv: readonly string[]): Promise<CommandOptions> {
  const text = { type: "string" } as const;
  const values = parseFlags(argv, {
    ...ENDPOINT_FLAGS,
    pid: text,
    seconds: text,
    output: text,
    "write-out": { type: "string", short: "w" },
  });
  const read = (name: string): string | undefined =>
    typeof values[name] === "string" ? values[name] : undefined;
  const seconds = Number(read("seconds") ?? "10");
  if (!(seconds > 0 && seconds <= 600)) throw new UsageError("--seconds must be between 0 and 600");
  const isByPid = read("endpoints") === undefined && read("pid") !== undefined;
  const endpoints = isByPid ? [] : parseEndpoints(read("endpoints"));
  const endpoint = (await leaderAmong(endpoints)) ?? endpoints[0];
  const pid = read("pid") === undefined ? pidOf(endpoint!) : Number(read("pid"));
  if (!Number.isInteger(pid) || pid <= 0) throw new UsageError("--pid must be a process id");
  return {
    pid,
    endpoint,
    peers: endpoints.filter((other) => other !== endpoint),
    seconds,
    prefix: read("output") ?? `holdfast-${pid}`,
    json: read("write-out") === "json",
  };
}

/** Undefined when there is nothing to choose from. */
async function leaderAmong(endpoints: readonly string[]): Promise<string | undefined> {
  if (endpoints.length < 2) return undefined;
  const pages = await Promise.all(endpoints.map((endpoint) => metricsOf(endpoint)));
  return endpoints.find((_, i) => pages[i]!["etcd_server_is_leader"] === 1);
}

function pidOf(endpoint: string): number {
  const port = localPortOf(endpoint);
  const pid = port === undefined ? undefined : pidListeningOn(port);
  if (pid === undefined)
    throw new UsageError(
      `${endpoint} is served by no process of this machine that we may look into; name it with --pid`,
    );
  return pid;
}

/**
 * Profiles the server of a local endpoint beside a load: sections for the load's page. It waits out the warm-up; a server that
 * cannot be looked into gives a line that says why.
 */
export async function profileBeside(
  endpoint: string,
  times: { readonly waitMs: number; readonly seconds: number },
): Promise<Page["sections"]> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-profile-"));
  try {
    await new Promise((resolve) => setTimeout(resolve, times.waitMs));
    const options = {
      pid: pidOf(endpoint),
      endpoint,
      peers: [],
      seconds: times.seconds,
      prefix: path.join(folder, "server"),
    };
    const { result, reading } = await profile(options);
    const page = pageOf(result, reading);
    return [{ kind: "text", title: page.title, paragraphs: page.lead }, ...page.sections];
  } catch (error) {
    return [{ kind: "text", title: "No profile of the server", paragraphs: [(error as Error).message] }];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function describe(result: ProfileResult): string {
  const { evidence, bottleneck } = result;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const lines = [
    `bottleneck: ${bottleneck.cause}: ${bottleneck.evidence}`,
    "",
    `  loop       busy ${percent(evidence.loopUtilisation)}, late by ${evidence.loopDelayMsP99.toFixed(1)} ms at p99, ${evidence.loopDelayMsMax.toFixed(1)} ms at most`,
    `  garbage    ${percent(evidence.gcShare)} of the time, longest pause ${evidence.gcMsMax.toFixed(1)} ms, ${formatBytes(result.allocatedBytesPerSecond)}/s allocated (sampled)`,
    `  log sync   ${evidence.syncs} syncs of ${formatDuration(evidence.syncSeconds * 1e6)} on average, ${percent(evidence.syncShare)} of the time`,
    `  CPU        ${evidence.processCores.toFixed(2)} cores of ${evidence.machineCores}, ${evidence.machineIdleCores.toFixed(2)} idle; by layer: ${layersText(evidence)}`,
    "",
    "  heaviest functions (own time, of the busy time)",
    ...result.heaviest.slice(0, 12).map((one) => `    ${percent(one.share).padStart(7)}  ${one.name}`),
    "",
    "  heaviest allocators",
    ...result.allocators.slice(0, 8).map((one) => `    ${formatBytes(one.bytes).padStart(9)}  ${one.name}`),
    "",
    `  ${result.files.join("  ")}`,
  ];
  return `${lines.join("\n")}\n`;
}

function layersText(evidence: Evidence): string {
  const shares = Object.entries(evidence.layers).filter(([, share]) => share >= 0.01);
  return shares
    .sort((a, b) => b[1] - a[1])
    .map(([layer, share]) => `${layer} ${Math.round(share * 100)} %`)
    .join(", ");
}
