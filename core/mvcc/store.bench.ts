// Run: npx tsx --expose-gc core/mvcc/store.bench.ts [keys, default 1,000,000]
//
// The store alone, with 64-byte keys and 256-byte values: puts in key order and in random order, point reads, ranges,
// a list of 100,000 keys, compaction of every revision, hash, and memory a key. Goals: random insertion <= 7 us,
// sequential <= 2 us, point read < 1 us, <= 110 bytes a key beyond record header and payload.

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import * as m from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { Housekeeping } from "./housekeeping.ts";
import { KvMachine } from "./kv-machine.ts";
import { Store } from "./store.ts";

const KEY_COUNT = Number(process.argv[2] ?? 1_000_000);
const KEY_SIZE = 64;
const VALUE_SIZE = 256;
const PREFIX = "/registry/pods/default/benchmark-of-the-store/key-";

const key = Buffer.alloc(KEY_SIZE);
key.write(PREFIX);
const value = new Uint8Array(VALUE_SIZE).fill(118);
const sink = { bytes: 0 };

function setKey(number: number): void {
  let rest = number;
  for (let at = KEY_SIZE - 1; at >= PREFIX.length; at--) {
    key[at] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

function shuffled(count: number): Uint32Array {
  const prng = new Prng(1);
  const numbers = new Uint32Array(count).map((_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    const kept = numbers[i]!;
    numbers[i] = numbers[j]!;
    numbers[j] = kept;
  }
  return numbers;
}

function memoryBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage.rss();
}

/** Wall time, and processor time a piece: on a busy machine only the second means something. */
function report(what: string, count: number, run: () => void): void {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  run();
  const ns = Number(process.hrtime.bigint() - start);
  const { user, system } = process.cpuUsage(cpu);
  const each = `${((user + system) / count).toFixed(3).padStart(9)} us cpu each (user ${(user / count).toFixed(3)})`;
  console.log(`${what.padEnd(34)} ${(ns / 1e6).toFixed(1).padStart(9)} ms ${each}`);
}

/** Processor time of this process, microseconds: what the loop is held for when nothing else runs. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function putAll(store: Store, numbers: Uint32Array): void {
  let slowestUs = 0;
  let before = cpuUs();
  for (let i = 0; i < numbers.length; i++) {
    setKey(numbers[i]!);
    store.beginRevision();
    store.put(key, 0, KEY_SIZE, value, 0, VALUE_SIZE, 0, 0);
    store.endRevision();
    if ((i & 63) !== 63) continue;
    const now = cpuUs();
    slowestUs = Math.max(slowestUs, now - before);
    before = now;
  }
  console.log(`  longest run of 64 puts: ${(slowestUs / 1e3).toFixed(2)} ms`);
}

const random = shuffled(KEY_COUNT);
const inOrder = new Uint32Array(KEY_COUNT).map((_, i) => i);
const options = { segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 };

const memoryBefore = memoryBytes();
let store = new Store(options);
report("put, new keys at random", KEY_COUNT, () => putAll(store, random));
const memory = memoryBytes() - memoryBefore;
const payload = KEY_COUNT * (KEY_SIZE + VALUE_SIZE + 24);
console.log(
  `memory: ${(memory / 2 ** 20).toFixed(0)} MiB, ${((memory - payload) / KEY_COUNT).toFixed(1)} bytes a key beyond record and header`,
);
store = new Store(options);
report("put, new keys in order", KEY_COUNT, () => putAll(store, inOrder));
store = new Store(options);
report("put, new keys at random, again", KEY_COUNT, () => putAll(store, random));
report("put, known keys at random", KEY_COUNT, () => putAll(store, random));
report("point get", KEY_COUNT, () => {
  for (let i = 0; i < KEY_COUNT; i++) {
    setKey(random[i]!);
    sink.bytes += store.findLive(key, 0, KEY_SIZE);
  }
});

const header = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };
const machine = new KvMachine({ store, header, limits: DEFAULT_LIMITS });
const writer = new ByteWriter(1 << 20);
const call = {
  beginMessage: () => writer,
  endMessage: () => undefined,
  sendLarge: (_size: number, producer: { pull(to: ByteWriter, room: number): boolean }) => {
    while (!producer.pull(writer, 1 << 16)) {
      sink.bytes += writer.position;
      writer.reset();
    }
  },
};

function rangeRequest(first: number, count: number): Uint8Array {
  setKey(first);
  const from = Uint8Array.from(key);
  setKey(first + count);
  const request = new ByteWriter();
  encode(m.RangeRequest, { key: from, range_end: Uint8Array.from(key) }, request);
  return request.copy();
}

function singleRequest(number: number): Uint8Array {
  setKey(number);
  const request = new ByteWriter();
  encode(m.RangeRequest, { key: Uint8Array.from(key) }, request);
  return request.copy();
}

function repeat(what: string, count: number, requests: Uint8Array[]): void {
  report(what, count, () => {
    for (let i = 0; i < count; i++) {
      const request = requests[i % requests.length]!;
      writer.reset();
      machine.range(request, 0, request.length, call);
    }
  });
}

const starts = Array.from({ length: 1000 }, (_, i) => random[i % KEY_COUNT]! % Math.max(1, KEY_COUNT - 100));
repeat("Range of one key, encoded", 500_000, starts.map(singleRequest));
repeat(
  "Range of 100 keys, encoded",
  5_000,
  starts.map((first) => rangeRequest(first, 100)),
);
repeat("Range of 100,000 keys, encoded", 3, [rangeRequest(0, Math.min(KEY_COUNT, 100_000))]);

function inSlices(what: string, count: number, slice: () => boolean): void {
  let slowest = 0;
  let sliceCount = 0;
  report(what, count, () => {
    for (let more = true; more; sliceCount++) {
      const start = cpuUs();
      more = slice();
      slowest = Math.max(slowest, cpuUs() - start);
    }
  });
  console.log(`  ${sliceCount} slices, longest ${(slowest / 1e3).toFixed(2)} ms`);
}

const housekeeping = new Housekeeping(store, DEFAULT_LIMITS);
const recordCount = store.revision;
housekeeping.hash(0, () => undefined);
inSlices("hash of every record", recordCount, () => housekeeping.slice());
store.compactedRevision = store.revision;
inSlices("compaction of every revision", recordCount, () => housekeeping.slice());
housekeeping.hash(0, () => undefined);
inSlices("hash of every key", KEY_COUNT, () => housekeeping.slice());
