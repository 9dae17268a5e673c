import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../base/utf8.ts";
import { Prng } from "../base/prng.ts";
import { Housekeeping } from "../mvcc/housekeeping.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Store } from "../mvcc/store.ts";
import { EffectHash } from "./effect-hash.ts";
import { EffectSamples } from "./effect-samples.ts";

class Side {
  readonly store: Store;
  readonly hash: EffectHash;
  readonly #housekeeping: Housekeeping;

  constructor(segmentSizeBytes: number, hashSeed: number) {
    this.store = new Store({ segmentSizeBytes, hashSeed });
    this.hash = new EffectHash(0, this.store);
    this.#housekeeping = new Housekeeping(this.store, { ...DEFAULT_LIMITS, sliceRecordCount: 7 });
  }

  put(key: string, value: string, lease = 0): void {
    const k = encodeUtf8(key);
    const v = encodeUtf8(value);
    this.store.beginRevision();
    this.store.put(k, 0, k.length, v, 0, v.length, 0, lease);
    this.store.endRevision();
    this.hash.addRecords(this.store);
  }

  deleteAll(from: string, to: string): void {
    const a = encodeUtf8(from);
    const b = encodeUtf8(to);
    this.store.beginRevision();
    this.store.deleteRange(a, 0, a.length, b, 0, b.length);
    this.store.endRevision();
    this.hash.addRecords(this.store);
  }

  compact(): void {
    this.store.compactedRevision = Math.max(2, this.store.revision - 20);
  }

  clean(slices: number): void {
    for (let i = 0; i < slices; i++) this.#housekeeping.slice();
  }

  get sample(): number {
    return this.hash.sample(this.store, 0);
  }
}

test("two stores with the same effects have the same hash, however their memory is laid out and cleaned", () => {
  const prng = new Prng(1);
  const sides = [new Side(1024, 1), new Side(8192, 2)];
  for (let i = 0; i < 3_000; i++) {
    const key = `key ${prng.below(60)}`;
    const value = "v".repeat(prng.below(90));
    const what = prng.below(20);
    for (const side of sides) {
      if (what === 0) side.deleteAll(key, `${key}~`);
      else if (what === 1) side.compact();
      else side.put(key, value, prng.below(1));
    }
    sides[0]!.clean(prng.below(3));
    if (i % 500 === 499) sides[1]!.clean(200);
    assert.equal(sides[0]!.sample, sides[1]!.sample, `step ${i}`);
  }
});

test("every field of an effect is in the hash", () => {
  const base = (change: (side: Side) => void): number => {
    const side = new Side(4096, 1);
    side.put("a", "1");
    change(side);
    return side.sample;
  };
  const samples = [
    base(() => undefined),
    base((side) => side.put("a", "2")),
    base((side) => side.put("a", "3")),
    base((side) => side.put("b", "2")),
    base((side) => side.put("a", "2", 7)),
    base((side) => side.deleteAll("a", "b")),
    base((side) => (side.put("a", "2"), side.put("a", "2"))),
    base((side) => side.hash.addEntry(8, encodeUtf8("x"), 0, 1)),
    base((side) => (side.store.compactedRevision = 2)),
  ];
  assert.equal(new Set(samples).size, samples.length);
});

test("a difference stays, whatever the same for both comes after it", () => {
  const sides = [new Side(4096, 1), new Side(4096, 1)];
  sides[0]!.put("a", "1");
  sides[1]!.put("a", "2");
  for (let i = 0; i < 2_000; i++) {
    for (const side of sides) side.put("b", String(i));
    assert.notEqual(sides[0]!.sample, sides[1]!.sample);
  }
});

test("a sample changes nothing, and a hash goes on from where a checkpoint left it", () => {
  const side = new Side(4096, 1);
  side.put("a", "1");
  const kept = side.hash.value;
  assert.equal(side.sample, side.sample);
  assert.equal(side.hash.value, kept);
  const restored = new EffectHash(kept, side.store);
  side.put("a", "2");
  restored.addRecords(side.store);
  assert.equal(restored.value, side.hash.value);
});

test("samples are kept at every 64th index and where they are wanted", () => {
  const samples = new EffectSamples();
  samples.want(70);
  samples.want(10);
  for (let index = 1; index <= 200; index++) if (samples.isDue(index)) samples.add(index, index * 3);
  const kept = Array.from({ length: 200 }, (_, i) => i + 1).filter((index) => samples.find(index) >= 0);
  assert.deepEqual(kept, [10, 64, 70, 128, 192]);
  assert.equal(samples.find(64), 192);
  assert.equal(samples.latestRegularIndex, 192);
});
