// Run: npx tsx --expose-gc core/watch/hub.bench.ts
//
// The hub over the real store, with calls that throw their bytes away. Goals: 350,000 events/s to 1,000 watchers of one
// key (P13, transport included, so several times that here); an idle watcher in 122 bytes, 1 M in 150 MB (P14); 10,000
// slow watchers, on streams that take nothing, cost a writer nothing (P15).

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Store } from "../mvcc/store.ts";
import { WatchRequest } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { WatchHub } from "./hub.ts";
import type { WatchCall } from "./watch-call.ts";

class SinkCall implements WatchCall {
  state: unknown = undefined;
  readonly cancelled = false;
  writable = true;
  byteCount = 0;
  readonly #writer = new ByteWriter(4096);
  metadata(): undefined {
    return undefined;
  }
  beginMessage(): ByteWriter {
    this.#writer.reset();
    return this.#writer;
  }
  endMessage(): void {
    this.byteCount += this.#writer.position;
  }
  flush(): void {}
  finish(): void {}
  fail(): void {
    throw new Error("a call of the benchmark failed");
  }
}

const scratch = new ByteWriter();
const value = Buffer.alloc(256, "v");

// oxlint-disable-next-line max-params -- a benchmark in short
function create(hub: WatchHub, call: SinkCall, key: string, rangeEnd = "", startRevision = 0): void {
  scratch.reset();
  const create_request = {
    key: Buffer.from(key),
    range_end: Buffer.from(rangeEnd),
    start_revision: startRevision,
  };
  encode(WatchRequest, { create_request }, scratch);
  hub.onMessage(call, scratch.bytes, 0, scratch.position);
}

function put(store: Store, key: Buffer): void {
  store.beginRevision();
  store.put(key, 0, key.length, value, 0, value.length, 0, 0);
  store.endRevision();
}

function world(): { store: Store; hub: WatchHub } {
  const store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 });
  const header = {
    clusterHi: 0xdc50b8da,
    clusterLo: 0xae93b3e0,
    memberHi: 0x66788015,
    memberLo: 0x7b8812c8,
    term: 2,
  };
  return { store, hub: new WatchHub({ store, header, limits: DEFAULT_LIMITS, progressMs: 600_000 }) };
}

/** Milliseconds of the processor since the start, so that a busy machine does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function drain(hub: WatchHub): number {
  let longest = 0;
  for (let more = true; more;) {
    const start = performance.now();
    more = hub.turn(0);
    longest = Math.max(longest, performance.now() - start);
  }
  return longest;
}

function fanOut(putsPerTurn: number): void {
  const { store, hub } = world();
  const calls: SinkCall[] = [];
  for (let i = 0; i < 1000; i++) {
    if (i % 100 === 0) {
      const call = new SinkCall();
      hub.open(call);
      calls.push(call);
    }
    create(hub, calls.at(-1)!, "/key/of/all");
  }
  const key = Buffer.from("/key/of/all");
  const events = 2_000_000;
  let longest = 0;
  const start = cpuMs();
  for (let done = 0; done < events; done += 1000 * putsPerTurn) {
    for (let i = 0; i < putsPerTurn; i++) put(store, key);
    longest = Math.max(longest, drain(hub));
  }
  const ms = cpuMs() - start;
  console.log(
    `1,000 watchers of one key, ${putsPerTurn} put a turn: ${Math.round((hub.eventCount / ms) * 1000)} events/s, ` +
      `${((ms * 1e6) / hub.eventCount).toFixed(0)} ns each, longest slice ${longest.toFixed(2)} ms`,
  );
}

function putCost(title: string, prepare: (hub: WatchHub) => void): void {
  const { store, hub } = world();
  prepare(hub);
  const keys = Array.from({ length: 1000 }, (_, i) => Buffer.from(`/elsewhere/${i}`));
  for (const key of keys) put(store, key);
  drain(hub);
  const samples: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const start = performance.now();
    put(store, keys[i % 1000]!);
    hub.advance();
    hub.turn(0);
    samples.push((performance.now() - start) * 1000);
  }
  samples.sort((a, b) => a - b);
  const at = (part: number): string => samples[Math.floor(samples.length * part)]!.toFixed(1);
  console.log(`put and turn, ${title}: p50 ${at(0.5)} us, p99 ${at(0.99)} us, p99.9 ${at(0.999)} us`);
}

function slowOnes(hub: WatchHub, key: string, rangeEnd: string): void {
  for (let i = 0; i < 10_000; i++) {
    const call = new SinkCall();
    hub.open(call);
    create(hub, call, key, rangeEnd);
    call.writable = false;
  }
}

function memory(title: string, keyOf: (i: number) => readonly [string, string]): void {
  const gc = (globalThis as { gc?: () => void }).gc ?? ((): void => undefined);
  gc();
  const before = process.memoryUsage();
  const { hub } = world();
  const call = new SinkCall();
  hub.open(call);
  const count = 1_000_000;
  let longest = 0;
  const start = cpuMs();
  for (let i = 0; i < count; i++) {
    const [key, end] = keyOf(i);
    const from = performance.now();
    create(hub, call, key, end);
    longest = Math.max(longest, performance.now() - from);
  }
  const ms = cpuMs() - start;
  gc();
  const after = process.memoryUsage();
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  console.log(
    `${title}: ${(bytes / count).toFixed(0)} bytes each (tables say ${(hub.watchers.sizeBytes / count).toFixed(0)}), ` +
      `${((ms * 1000) / count).toFixed(2)} us a creation, longest ${longest.toFixed(1)} ms`,
  );
}

function catchUp(): void {
  const { store, hub } = world();
  const key = Buffer.from("/key/of/all");
  for (let i = 0; i < 10_000; i++) put(store, key);
  drain(hub);
  const calls = Array.from({ length: 100 }, () => new SinkCall());
  for (const call of calls) {
    hub.open(call);
    create(hub, call, "/key", "/kez", 2);
  }
  const start = cpuMs();
  const longest = drain(hub);
  const ms = cpuMs() - start;
  console.log(
    `100 watchers from 10,000 revisions back: ${Math.round((hub.eventCount / ms) * 1000)} events/s, ` +
      `longest slice ${longest.toFixed(2)} ms`,
  );
}

function slowOnesCatchUp(): void {
  const { store, hub } = world();
  const calls: SinkCall[] = [];
  for (let i = 0; i < 10_000; i++) {
    const call = new SinkCall();
    calls.push(call);
    hub.open(call);
    create(hub, call, "/key", "/kez");
    call.writable = false;
  }
  for (let i = 0; i < 100; i++) put(store, Buffer.from(`/key/${i}`));
  drain(hub);
  const start = cpuMs();
  for (const call of calls) {
    call.writable = true;
    hub.onWritable(call);
  }
  const longest = drain(hub);
  const ms = cpuMs() - start;
  console.log(
    `10,000 slow watchers take 100 events each at once: ${ms.toFixed(0)} ms, ` +
      `${Math.round((hub.eventCount / ms) * 1000)} events/s, longest slice ${longest.toFixed(2)} ms`,
  );
}

fanOut(1);
fanOut(1);
fanOut(20);
putCost("no watcher", () => undefined);
putCost("10,000 idle watchers of other keys", (hub) => {
  const call = new SinkCall();
  hub.open(call);
  for (let i = 0; i < 10_000; i++) create(hub, call, `/registry/pods/default/pod-${i}`);
});
putCost("10,000 idle watchers of other ranges", (hub) => {
  const call = new SinkCall();
  hub.open(call);
  for (let i = 0; i < 10_000; i++) create(hub, call, `/registry/pods/ns-${i}/`, `/registry/pods/ns-${i}0`);
});
putCost("10,000 slow watchers of the same range", (hub) => slowOnes(hub, "/elsewhere/", "/elsewhere0"));
catchUp();
slowOnesCatchUp();
memory("1 M watchers, keys of 24 bytes", (i) => [`/registry/pods/p-${String(i).padStart(7, "0")}`, ""]);
memory("1 M watchers, prefixes of 24 bytes", (i) => {
  const prefix = `/registry/p/ns${String(i).padStart(9, "0")}`;
  return [`${prefix}/`, `${prefix}0`];
});
memory("1 M watchers of one prefix", () => ["/registry/pods/", "/registry/pods0"]);
