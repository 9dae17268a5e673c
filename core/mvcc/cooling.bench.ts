// Run: npx tsx --expose-gc core/mvcc/cooling.bench.ts [budget for superseded versions, MiB, default 64]
//
// 100,000 keys of 64 bytes with values of 256 are overwritten twenty times, with a checkpoint after each time: what a
// further version takes of memory (goal: 16 bytes beyond the budget), a put of processor time, and how long cooling holds the
// loop. A budget of 100000 is what it was without.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Housekeeping } from "./housekeeping.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { Store } from "./store.ts";

const MIB = 2 ** 20;
const KEY_COUNT = 100_000;
const ROUND_COUNT = 20;
const supersededBytesMax = Number(process.argv[2] ?? 64) * MIB;
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-cooling-"));
const disk = new NodeDisk(directory);
disk.makeDirectory("data");
const files = { disk, directory: "data" };
const store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1, files });
const housekeeping = new Housekeeping(store, { ...DEFAULT_LIMITS, supersededBytesMax });
const key = Buffer.alloc(64, 97);
const value = new Uint8Array(256).fill(118);

function memory(): { rss: number; held: number } {
  for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc?.();
  const { rss, arrayBuffers, heapUsed } = process.memoryUsage();
  return { rss, held: arrayBuffers + heapUsed };
}

function putAll(): void {
  for (let i = 0; i < KEY_COUNT; i++) {
    // 7919 and the number of keys have no divisor in common: every key once, in another order.
    key.write(String((i * 7919) % KEY_COUNT).padStart(8, "0"), 40);
    store.beginRevision();
    store.put(key, 0, 64, value, 0, 256, 0, 0);
    store.endRevision();
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Takes a checkpoint; returns how long the longest slice of what followed from it took, milliseconds of processor time. */
async function checkpoint(): Promise<number> {
  let isDone = false;
  const done = (error: Error | undefined): void => {
    if (error !== undefined) throw error;
    isDone = true;
  };
  housekeeping.checkpoint({ ...files, extra: new Uint8Array(0), done, wake: () => undefined });
  while (!isDone) if (!housekeeping.slice()) await nextTurn();
  let longest = 0;
  for (let more = true; more;) {
    const { user, system } = process.cpuUsage();
    more = housekeeping.slice();
    const after = process.cpuUsage();
    longest = Math.max(longest, (after.user + after.system - user - system) / 1e3);
    await nextTurn();
  }
  return longest;
}

async function run(): Promise<void> {
  putAll();
  await checkpoint();
  let putUs = 0;
  let longest = 0;
  // The first half fills the budget, and what the allocator keeps for itself.
  let half = memory();
  for (let round = 0; round < ROUND_COUNT; round++) {
    if (round === ROUND_COUNT / 2) half = memory();
    const before = process.cpuUsage();
    putAll();
    const { user, system } = process.cpuUsage(before);
    putUs += user + system;
    longest = Math.max(longest, await checkpoint());
  }
  const last = memory();
  const versionCount = KEY_COUNT * ROUND_COUNT;
  const each = (from: number, to: number): string => (((to - from) * 2) / versionCount).toFixed(1);
  console.log(
    `memory ${(half.rss / MIB).toFixed(0)} MiB half way, ${(last.rss / MIB).toFixed(0)} MiB at the end`,
  );
  console.log(
    `a further version: ${each(half.rss, last.rss)} bytes resident, ${each(half.held, last.held)} allocated`,
  );
  const { slabs } = store;
  console.log(
    `superseded in memory: ${(slabs.supersededBytes / MIB).toFixed(0)} of ${(store.sizeBytes / MIB).toFixed(0)} MiB`,
  );
  console.log(
    `a put: ${(putUs / versionCount).toFixed(2)} us; longest slice of cooling: ${longest.toFixed(1)} ms`,
  );
  const start = process.hrtime.bigint();
  const loaded = loadCheckpoint({ ...files, hashSeed: 1, supersededBytesMax })!;
  const ms = Number(process.hrtime.bigint() - start) / 1e6;
  console.log(
    `loaded in ${ms.toFixed(0)} ms, ${(loaded.store.slabs.memoryBytes / MIB).toFixed(0)} MiB of records in memory`,
  );
  fs.rmSync(directory, { recursive: true });
  process.exit(0);
}

await run();
