// Run: npx tsx core/mvcc/checkpoint.bench.ts [keys, default 1,000,000] [directory, default below the system's temporary one]
//
// A checkpoint of a store with 64-byte keys and 256-byte values on the real disk, then loading it. Goals: no slice above
// 2 ms, well below one second for loading 1 M keys.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { Housekeeping } from "./housekeeping.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { Store } from "./store.ts";

const KEY_COUNT = Number(process.argv[2] ?? 1_000_000);
const directory = fs.mkdtempSync(path.join(process.argv[3] ?? os.tmpdir(), "holdfast-bench-"));
const key = Buffer.alloc(64, "/registry/pods/default/benchmark-of-the-store/key-00000000000000");
const value = new Uint8Array(256).fill(118);

function fill(): Store {
  const store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 });
  const prng = new Prng(1);
  while (store.keyCount < KEY_COUNT) {
    let rest = prng.uint32() * 1000 + prng.below(1000);
    for (let at = 63; at >= 50; at--) {
      key[at] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    store.beginRevision();
    store.put(key, 0, 64, value, 0, 256, 0, 0);
    store.endRevision();
  }
  return store;
}

function timed<T>(what: string, run: () => T): T {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  const result = run();
  const { user, system } = process.cpuUsage(cpu);
  const wall = Number(process.hrtime.bigint() - start) / 1e6;
  console.log(
    `${what}: ${wall.toFixed(0)} ms, cpu ${((user + system) / 1e3).toFixed(0)} ms (user ${(user / 1e3).toFixed(0)})`,
  );
  return result;
}

function checkpoint(store: Store, disk: NodeDisk): Promise<void> {
  const housekeeping = new Housekeeping(store, DEFAULT_LIMITS);
  const slices: number[] = [];
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      const before = process.hrtime.bigint();
      const more = housekeeping.slice();
      slices.push(Number(process.hrtime.bigint() - before) / 1e6);
      if (more) setImmediate(turn);
    };
    const done = (error: Error | undefined): void => {
      slices.sort((a, b) => b - a);
      const size = (checkpointed!.writtenBytes / 2 ** 20).toFixed(1);
      const times = [0, 1, 2, 5, 10, 50]
        .map((index) => slices[Math.min(index, slices.length - 1)]!.toFixed(2))
        .join(" ");
      console.log(
        `  ${size} MiB written, ${slices.length} slices; the longest, number 0 1 2 5 10 50: ${times} ms`,
      );
      if (error === undefined) resolve();
      else reject(error);
    };
    const extra = new Uint8Array(0);
    const checkpointed = housekeeping.checkpoint({
      disk,
      directory: "data",
      extra,
      done,
      wake: () => setImmediate(turn),
    });
    turn();
  });
}

async function main(): Promise<void> {
  const disk = new NodeDisk(directory);
  disk.makeDirectory("data");
  const store = timed("filled", fill);
  for (const what of ["first checkpoint", "checkpoint without changes"]) {
    const start = process.hrtime.bigint();
    await checkpoint(store, disk);
    console.log(`${what}: ${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(0)} ms`);
  }
  for (let i = 0; i < 3; i++)
    timed("loaded", () =>
      loadCheckpoint({ disk, directory: "data", hashSeed: i, supersededBytesMax: 64 << 20 }),
    );
}

try {
  await main();
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
