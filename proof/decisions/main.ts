// Repeats the measurements behind docs/decisions/0001-what-we-wrote-ourselves.md:
//
//   npx tsx proof/decisions/main.ts [--parts rpc,log,storage,consensus] [--rounds 3] [--seconds 3] [--keys 200000]
//                                   [--stores holdfast,lmdb]                                   [--packages FOLDER] [--directory FOLDER] [--json FILE]
//
// Installs the weighed packages on its first run (packages.ts); about ten minutes for everything.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { measureConsensus } from "./consensus.ts";
import { measureLog } from "./log.ts";
import { printTable, type Row } from "./measure.ts";
import { defaultPackagesFolder, install, installedBytes, WEIGHED, type WeighedName } from "./packages.ts";
import { measureRpc } from "./rpc.ts";
import { measureStorage } from "./storage.ts";
import type { StoreName } from "./storage-contenders.ts";

const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "rpc,log,storage,consensus" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    keys: { type: "string", default: "200000" },
    packages: { type: "string", default: defaultPackagesFolder() },
    directory: { type: "string", default: os.tmpdir() },
    stores: { type: "string" },
    json: { type: "string" },
  },
});

const packages = path.resolve(values.packages);
const rounds = Number(values.rounds);
const stores = values.stores?.split(",") as StoreName[] | undefined;

/** Name to why it cannot be had, and a row each for those that can. */
function installAll(): { missing: Map<string, string>; rows: Row[] } {
  const missing = new Map<string, string>();
  const rows: Row[] = [];
  for (const name of Object.keys(WEIGHED) as WeighedName[]) {
    const failure = install(packages, name);
    if (failure === undefined) {
      rows.push({
        name,
        figures: { version: WEIGHED[name], "MiB installed": installedBytes(packages, name) / 2 ** 20 },
      });
    } else {
      missing.set(name, failure);
      console.log(`left out: ${name}: ${failure}`);
    }
  }
  return { missing, rows };
}

/** Headings of the tables. */
const TITLES: Readonly<Record<string, string>> = {
  packages: "Packages",
  rpc: "Transport: put 64 B / 256 B, nothing stored, our client",
  log: "Log: durable appends of 400 bytes",
  storage: `Storage: ${values.keys} keys of 64 bytes, values of 256`,
  consensus: "Consensus: core/raft alone, in memory, payloads of 350 bytes",
};

async function measure(part: string, missing: ReadonlySet<string>, directory: string): Promise<Row[]> {
  switch (part) {
    case "rpc":
      return measureRpc({ packages, missing, rounds, seconds: Number(values.seconds) });
    case "log":
      return measureLog({ packages, missing, rounds, directory });
    case "storage":
      return measureStorage({ packages, missing, rounds, directory, keyCount: Number(values.keys), stores });
    case "consensus":
      return measureConsensus();
    default:
      throw new Error(`There is no part "${part}"`);
  }
}

const { missing, rows } = installAll();
const results: Record<string, Row[]> = { packages: rows };
printTable(TITLES["packages"]!, rows);
const root = fs.mkdtempSync(path.join(values.directory, "holdfast-decisions-"));
try {
  for (const part of values.parts.split(",")) {
    const directory = path.join(root, part);
    fs.mkdirSync(directory);
    results[part] = await measure(part, new Set(missing.keys()), directory);
    printTable(TITLES[part]!, results[part]);
  }
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}
const machine = `${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, ${os.type()} ${os.release()}, Node ${process.version}`;
const load = os.loadavg().map((it) => it.toFixed(1));
console.log(`\n${machine}; load average at the end ${load.join(" ")}`);
if (values.json !== undefined) {
  const report = {
    date: new Date().toISOString(),
    machine,
    loadAverage: load,
    rounds,
    left_out: [...missing],
    results,
  };
  fs.writeFileSync(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
}
process.exit(0);
