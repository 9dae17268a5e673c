// The rows of goals.md that are about a store's process: its start, its idling, its size, and etcd's own check of it.

import { execFile, execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { all, type Contender, etcdLike, prepare, type RowContext, sleep, withOne } from "./contenders.ts";
import { type Cluster, findEtcdctl } from "./launch.ts";
import { higher, lower, MB, type ProcessRow, residentBytes, untilPut, type Values } from "./process-row.ts";
import { readProcess } from "./process-sampler.ts";
import { clockUs } from "./ticker.ts";

const START: ProcessRow = {
  id: "P17",
  what: "empty start to first acknowledged put",
  figures: [lower("start", "ms", { gate: { value: 300 }, target: { value: 250 }, stretch: { value: 200 } })],
  run: async (context, values) => {
    for (let round = 0; round < context.options.rounds; round++) {
      for (const who of all(context.options)) {
        context.say(`start ${round + 1} of ${context.options.rounds}: ${who.name}`);
        await withOne(
          context,
          who,
          async (cluster) => {
            const sinceUs = clockUs();
            cluster.startMember(0);
            values.add("start", who.name, await untilPut(cluster, sinceUs));
          },
          { start: false },
        );
      }
    }
  },
};

const IDLE_SECONDS = 5;

const IDLE: ProcessRow = {
  id: "P28",
  what: "idle: memory and CPU of a member; size installed",
  figures: [
    lower("memory", "MB", { gate: { value: 90 }, target: { value: 80 } }),
    lower("CPU", "%", { gate: { value: 2 }, target: { value: 1 } }),
    lower("size", "MB", { gate: { value: 20 }, target: { value: 10 } }),
  ],
  run: async (context, values) => {
    for (const who of all(context.options)) {
      const bytes = installedBytes(who);
      if (bytes !== undefined) values.add("size", who.name, bytes / MB);
      context.say(`idling: ${who.name}`);
      await withOne(context, who, async (cluster) => {
        await untilPut(cluster, clockUs());
        await sleep(2000);
        const before = cpuOf(cluster);
        await sleep(IDLE_SECONDS * 1000);
        values.add("CPU", who.name, (100 * (cpuOf(cluster) - before)) / IDLE_SECONDS);
        values.add("memory", who.name, residentBytes(cluster) / MB);
      });
    }
  },
};

function cpuOf(cluster: Cluster): number {
  return cluster.pids().reduce((sum, pid) => {
    const reading = readProcess(pid);
    return sum + (reading ? reading.userSeconds + reading.systemSeconds : 0);
  }, 0);
}

/** What an installation puts on the disk: our package's files without Node, etcd's three programs; undefined if unknown. */
function installedBytes(who: Contender): number | undefined {
  const program = who.installed.command.find((word) => word.includes("/") && word !== process.execPath);
  if (program === undefined) return undefined;
  const folder = path.dirname(path.resolve(program));
  if (who.kind === "etcd") {
    const files = ["etcd", "etcdctl", "etcdutl"].map((name) => path.join(folder, name));
    return files.reduce((sum, file) => sum + (fs.existsSync(file) ? fs.statSync(file).size : 0), 0);
  }
  return who.kind === "holdfast" ? packedBytes(path.dirname(folder)) : undefined;
}

function packedBytes(packageFolder: string): number | undefined {
  if (!fs.existsSync(path.join(packageFolder, "package.json"))) return undefined;
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  try {
    const text = execFileSync("npm", args, {
      cwd: packageFolder,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return (JSON.parse(text) as readonly { unpackedSize: number }[])[0]?.unpackedSize;
  } catch {
    return undefined; // no npm here
  }
}

/** etcd's own client puts the load: 8,000 or 15,000 put/s for 60 s. 1 is a pass. */
const CHECK_PERF: ProcessRow = {
  id: "P26",
  what: "etcdctl check perf --load=l and xl on 1 member and on 3 (1 is a pass)",
  figures: [
    higher("l", "", { gate: { value: 1 } }),
    higher("xl", "", { target: { value: 1 } }),
    higher("l, 3 members", "", {}),
    higher("xl, 3 members", "", { stretch: { value: 1 } }),
  ],
  run: async (context, values) => {
    const sizes = context.options.suite === "full" ? ([1, 3] as const) : ([1] as const);
    if (sizes.length === 1) context.notes.push("on 1 member only (--suite full: and on 3)");
    for (const members of sizes) {
      for (const load of ["l", "xl"]) {
        for (const who of etcdLike(context.options)) await checkOne(context, values, { who, members, load });
      }
    }
  },
};

async function checkOne(
  context: RowContext,
  values: Values,
  what: { who: Contender; members: 1 | 3; load: string },
): Promise<void> {
  const { who, members, load } = what;
  const figure = members === 1 ? load : `${load}, ${members} members`;
  context.say(`etcdctl check perf --load=${figure}: ${who.name}`);
  const cluster = await prepare(context, who, members);
  try {
    for (let i = 0; i < members; i++) cluster.startMember(i);
    await cluster.ready();
    const endpoint = cluster.endpoints[await cluster.leader()]!;
    const { passed, words } = await checkPerf(findEtcdctl(), endpoint, load);
    values.add(figure, who.name, passed ? 1 : 0);
    context.notes.push(`${who.name} ${figure}: ${words}`);
  } finally {
    await cluster.stop();
  }
}

async function checkPerf(
  etcdctl: string,
  endpoint: string,
  load: string,
): Promise<{ passed: boolean; words: string }> {
  const output = await new Promise<string>((resolve) => {
    const args = ["--endpoints", endpoint, "check", "perf", `--load=${load}`];
    execFile(
      etcdctl,
      args,
      { timeout: 120_000, env: { ...process.env, ETCDCTL_API: "3" } },
      (_error, out, err) => resolve(`${out}\n${err}`),
    );
  });
  const verdicts = output.split(/[\r\n]/).filter((line) => /^(?:PASS|FAIL)/.test(line));
  return { passed: verdicts.at(-1) === "PASS", words: verdicts.join("; ") || "no verdict" };
}

export const PROCESS_ROWS: readonly ProcessRow[] = [START, CHECK_PERF, IDLE];
