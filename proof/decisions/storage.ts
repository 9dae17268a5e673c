// Storage: puts in order and at random, point reads, a list of 100,000 keys, memory, disk and reopening, one process per
// run: `storage.ts run NAME TREES ORDER KEYS PACKAGES DIRECTORY` prints one object.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { Prng } from "../../core/base/prng.ts";
import { cpuUs, median, medianRows, type Row } from "./measure.ts";
import { directoryBytes } from "./packages.ts";
import type { StorageContender, StoreName } from "./storage-contenders.ts";
import { emptyDirectory, openStore, STORES, VALUE_BYTES } from "./storage-contenders.ts";

const GET_COUNT = 50_000;
const LIST_COUNT = 100_000;
const MIB = 2 ** 20;

export interface StorageOptions {
  readonly packages: string;
  readonly missing: ReadonlySet<string>;
  readonly rounds: number;
  readonly directory: string;
  readonly keyCount: number;
  /** Only these, of `STORES`. */
  readonly stores: readonly StoreName[] | undefined;
}

/** Each store with each layout and order; the layout without the past only at random. */
export function measureStorage(options: StorageOptions): Row[] {
  const rounds: Row[][] = [];
  for (let round = 0; round < options.rounds; round++) {
    const rows: Row[] = [];
    for (const order of ["random", "sequential"] as const) {
      for (const name of options.stores ?? STORES) {
        if (options.missing.has(name)) continue;
        rows.push(runApart({ name, trees: 2, order }, options));
        if (order === "random" && name !== "holdfast")
          rows.push(runApart({ name, trees: 1, order }, options));
      }
    }
    rounds.push(rows);
  }
  return medianRows(rounds);
}

interface Run {
  readonly name: StoreName;
  readonly trees: number;
  readonly order: "random" | "sequential";
}

function runApart({ name, trees, order }: Run, options: StorageOptions): Row {
  const directory = emptyDirectory(options.directory);
  try {
    const script = fileURLToPath(import.meta.url);
    const args = ["run", name, trees, order, options.keyCount, options.packages, directory].map(String);
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ["--expose-gc", ...process.execArgv, script, ...args],
      {
        encoding: "utf8",
      },
    );
    if (!stdout.startsWith("{")) throw new Error(`${name} printed no figures: ${stderr}`);
    process.stderr.write(`${order} ${name} ${trees}: ${stdout}`);
    const layout = name === "holdfast" ? "" : trees === 2 ? ", 2 trees" : ", 1 tree";
    return { name: `${order}: ${name}${layout}`, figures: JSON.parse(stdout) as Row["figures"] };
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Of this process, bytes: anonymous memory, and pages of mapped files. */
function memory(): { anonymous: number; file: number } {
  (globalThis as { gc?: () => void }).gc?.();
  const text = fs.readFileSync("/proc/self/status", "utf8");
  const field = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) * 1024;
  return { anonymous: field("RssAnon"), file: field("RssFile") };
}

function numbersIn(order: string, count: number): Uint32Array {
  const numbers = new Uint32Array(count).map((_, i) => i);
  if (order === "sequential") return numbers;
  const prng = new Prng(1);
  for (let i = count - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    const kept = numbers[i]!;
    numbers[i] = numbers[j]!;
    numbers[j] = kept;
  }
  return numbers;
}

async function runHere(args: readonly string[]): Promise<void> {
  const [name, trees, order, keys, packages, directory] = args as [
    StoreName,
    string,
    string,
    string,
    string,
    string,
  ];
  const keyCount = Number(keys);
  const numbers = numbersIn(order, keyCount);
  const before = memory();
  const store = await openStore(name, { packages, directory, trees: Number(trees) });
  const puts = await putAll(store, numbers);
  const after = memory();
  const gets = getSome(store, numbersIn("random", keyCount).subarray(0, GET_COUNT));
  const listMs = await listSome(store, Math.min(keyCount, LIST_COUNT));
  const reopenStart = performance.now();
  await store.reopen();
  if (store.get(0) !== VALUE_BYTES) throw new Error("a value is lost");
  const reopenMs = performance.now() - reopenStart;
  await store.close();
  const figures = {
    "put/s": puts.rate,
    "CPU us/put": puts.cpuUs,
    "held ms": puts.heldMs,
    "get CPU us": gets,
    "list ms": listMs,
    "reopen ms": reopenMs,
    "anon MiB": (after.anonymous - before.anonymous) / MIB,
    "mapped MiB": (after.file - before.file) / MIB,
    "disk MiB": directoryBytes(directory) / MIB,
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

async function putAll(
  store: StorageContender,
  numbers: Uint32Array,
): Promise<{ rate: number; cpuUs: number; heldMs: number }> {
  const cpuBefore = cpuUs();
  const startMs = performance.now();
  const gapsMs: number[] = [];
  let lastMs = startMs;
  const look = (): void => {
    const nowMs = performance.now();
    gapsMs.push(nowMs - lastMs);
    lastMs = nowMs;
  };
  const ticker = setInterval(look, 1);
  for (let at = 0; at < numbers.length; at += store.portion) {
    await store.put(numbers.subarray(at, at + store.portion));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await store.finish();
  look();
  clearInterval(ticker);
  const count = numbers.length;
  const seconds = (performance.now() - startMs) / 1000;
  return { rate: count / seconds, cpuUs: (cpuUs() - cpuBefore) / count, heldMs: typicalHold(gapsMs) };
}

/** Half of the time lies in gaps at least so long: how long a request that comes at any moment finds the loop held. */
function typicalHold(gapsMs: readonly number[]): number {
  const sorted = [...gapsMs].sort((a, b) => a - b);
  let rest = sorted.reduce((sum, it) => sum + it, 0) / 2;
  for (const gap of sorted) {
    rest -= gap;
    if (rest <= 0) return gap;
  }
  return 0;
}

function getSome(store: StorageContender, numbers: Uint32Array): number {
  for (const number of numbers.subarray(0, 5_000)) store.get(number); // warm-up
  const before = cpuUs();
  for (const number of numbers) if (store.get(number) !== VALUE_BYTES) throw new Error("a value is lost");
  return (cpuUs() - before) / numbers.length;
}

async function listSome(store: StorageContender, count: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    if ((await store.list(0, count)) !== count) throw new Error("keys are missing in the list");
    times.push(performance.now() - start);
  }
  return median(times);
}

if (process.argv[1]?.endsWith("storage.ts") === true && process.argv[2] === "run")
  await runHere(process.argv.slice(3));
