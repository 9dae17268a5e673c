// Run: npx tsx core/mvcc/holds.bench.ts [keys, default 1,000,000] [directory, default below the system's temporary one]
//
// How long each operation holds the loop at most, on the real disk: slices of checkpoint, hash, compaction, cooling and
// defragmentation (goal: 20 ms, 5 a slice), and single requests over all keys, which are not sliced.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import * as m from "../wire/messages.ts";
import { encode, type Input } from "../wire/schema.ts";
import { Housekeeping } from "./housekeeping.ts";
import { KvMachine } from "./kv-machine.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { Store } from "./store.ts";

const KEY_COUNT = Number(process.argv[2] ?? 1_000_000);
const directory = fs.mkdtempSync(path.join(process.argv[3] ?? os.tmpdir(), "holdfast-holds-"));
const disk = new NodeDisk(directory);
disk.makeDirectory("data");
const files = { disk, directory: "data" };
const limits = DEFAULT_LIMITS;
const store = new Store({ segmentSizeBytes: limits.dataSegmentSizeBytes, hashSeed: 1, files });
const header = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };
const machine = new KvMachine({ store, header, limits });
const housekeeping = new Housekeeping(store, limits);
const key = Buffer.alloc(64, 97);
const value = new Uint8Array(256).fill(118);
const everything = { key: Uint8Array.of(0), range_end: Uint8Array.of(0) };

function putAll(): void {
  for (let i = 0; i < KEY_COUNT; i++) {
    key.write(String((i * 7919) % KEY_COUNT).padStart(8, "0"), 40);
    store.beginRevision();
    store.put(key, 0, 64, value, 0, 256, 0, 0);
    store.endRevision();
  }
}

/** Milliseconds of wall time and of this process's processor time. On a busy machine the truth is the smaller one. */
interface Hold {
  readonly wall: number;
  readonly cpu: number;
}

function report(what: string, holds: readonly Hold[]): void {
  const longest = (kind: keyof Hold): string => {
    let most = 0;
    for (const hold of holds) most = Math.max(most, hold[kind]);
    return most.toFixed(1).padStart(8);
  };
  const truth = holds.map((hold) => Math.min(hold.wall, hold.cpu)).sort((a, b) => a - b);
  const p99 = truth[Math.floor((truth.length - 1) * 0.99)]!.toFixed(1).padStart(7);
  console.log(
    `${what.padEnd(44)} ${String(holds.length).padStart(6)} holds: p99${p99}, longest${truth.at(-1)!.toFixed(1).padStart(8)} ms (wall${longest("wall")}, cpu${longest("cpu")})`,
  );
}

function timed<T>(holds: Hold[], run: () => T): T {
  const { user, system } = process.cpuUsage();
  const start = process.hrtime.bigint();
  const result = run();
  const wall = Number(process.hrtime.bigint() - start) / 1e6;
  const after = process.cpuUsage();
  holds.push({ wall, cpu: (after.user + after.system - user - system) / 1e3 });
  return result;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function checkpoint(what: string): Promise<void> {
  const holds: Hold[] = [];
  let isDone = false;
  const done = (error: Error | undefined): void => {
    if (error !== undefined) throw error;
    isDone = true;
  };
  const options = { ...files, extra: new Uint8Array(0), done, wake: () => undefined };
  timed(holds, () => housekeeping.checkpoint(options));
  while (!isDone || housekeeping.isCheckpointing) {
    // A slice that only waits for the disk is none.
    if (!timed(holds, () => housekeeping.slice())) holds.pop();
    await nextTurn();
  }
  report(what, holds);
}

async function housekeep(what: string): Promise<void> {
  const holds: Hold[] = [];
  while (timed(holds, () => housekeeping.slice())) await nextTurn();
  report(what, holds);
}

function request(what: string, run: () => void): void {
  const holds: Hold[] = [];
  timed(holds, run);
  report(what, holds);
}

/** The preparation of a list; its bytes are pulled later. */
function prepareRange(
  fields: Partial<Input<typeof m.RangeRequest>> & {
    sort_order?: number;
    sort_target?: number;
    revision?: number;
  },
): void {
  const writer = new ByteWriter();
  encode(m.RangeRequest, { ...everything, ...fields }, writer);
  machine.range(writer.bytes, 0, writer.position, {
    beginMessage: () => new ByteWriter(),
    endMessage: () => undefined,
    sendLarge: (_size, producer) => producer.abandon(),
  });
}

putAll();
await checkpoint("checkpoint of all keys");
const oldRevision = store.revision;
putAll();
await checkpoint("checkpoint after all were overwritten");
await housekeep("cooling");
housekeeping.hash(0, () => undefined);
await housekeep("hash, with cold segments");
request("list of all keys", () => prepareRange({}));
request("list of all keys, at an old revision (cold)", () => prepareRange({ revision: oldRevision }));
request("list of all keys by version", () => prepareRange({ sort_order: 1, sort_target: 1 }));
request("list of all keys by value", () => prepareRange({ sort_order: 1, sort_target: 4 }));
store.compactedRevision = store.revision;
await housekeep("compaction of one version a key");
await checkpoint("checkpoint, with files to remove");
housekeeping.defragment(() => undefined);
await housekeep("defragmentation");
request("start", () =>
  loadCheckpoint({ ...files, hashSeed: 1, supersededBytesMax: limits.supersededBytesMax }),
);
request("deletion of all keys", () => {
  const writer = new ByteWriter();
  encode(m.DeleteRangeRequest, everything, writer);
  machine.applyDelete(writer.bytes, 0, writer.position, new ByteWriter());
});
store.compactedRevision = store.revision;
await housekeep("compaction of deleted keys");
await checkpoint("checkpoint of an empty store");
fs.rmSync(directory, { recursive: true });
process.exit(0);
