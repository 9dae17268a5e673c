import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { NumberList } from "./column.ts";
import { Compaction } from "./compaction.ts";
import { KeyRange, collectLive, countLive } from "./key-range.ts";
import { RecordView } from "./record.ts";
import { Store } from "./store.ts";
import { bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

/** Ways to make keys: what they have in common decides prefixes and digests. */
const SHAPES: ((prng: Prng, count: number) => string)[] = [
  (prng, count) => String(prng.below(count)).padStart(8, "0"),
  (prng, count) => `/registry/pods/default/some-longer-prefix/${prng.below(count)}`,
  (prng, count) => `${"a".repeat(prng.below(count) % 200)}\0${prng.below(3)}`,
  (prng) =>
    String.fromCharCode(
      ...Array.from({ length: 1 + prng.below(6) }, () => [0, 1, 65, 254, 255][prng.below(5)]!),
    ),
  (prng, count) => `${["x/", "y/long/", "z\xff"][prng.below(3)]!}${prng.below(count).toString(2)}`,
];

class Tree {
  readonly store = new Store({ segmentSizeBytes: 1 << 16, hashSeed: 3 });
  readonly live: Set<string> = new Set();
  readonly #range = new KeyRange();
  readonly #refs = new NumberList();
  readonly #view = new RecordView();

  put(key: string): void {
    this.store.beginRevision();
    this.store.put(bytes(key), 0, key.length, bytes("v"), 0, 1, 0, 0);
    this.store.endRevision();
    this.live.add(key);
  }

  delete(key: string): void {
    const id = this.store.findKey(bytes(key), 0, key.length);
    this.store.beginRevision();
    this.store.deleteKey(id);
    this.store.endRevision();
    this.live.delete(key);
  }

  /** Takes everything that is deleted out of the tree. */
  compact(): void {
    this.put("\x01marker"); // a tombstone at the compacted revision itself would stay
    this.store.compactedRevision = this.store.revision;
    const compaction = new Compaction(this.store);
    compaction.begin();
    while (compaction.slice(100));
    assert.equal(this.store.tree.keyCount, this.live.size);
  }

  compare(from: string, to: string, where: string): void {
    const both = bytes(from + to);
    this.#range.set(both, 0, from.length, from.length, both.length);
    const expected = [...this.live].filter((key) => key >= from && (to === "\0" || key < to)).sort();
    assert.equal(countLive(this.store, this.#range), expected.length, where);
    this.#refs.clear();
    collectLive(this.store, this.#range, Number.MAX_SAFE_INTEGER, this.#refs);
    const found = Array.from({ length: this.#refs.length }, (_, i) => {
      this.store.load(this.#refs.get(i), this.#view);
      return String.fromCharCode(...this.#view.bytes.subarray(this.#view.keyStart, this.#view.keyEnd));
    });
    assert.deepEqual(found, expected, where);
  }

  compareAll(prng: Prng, where: string): void {
    this.compare("\0", "\xff\xff\xff\xff\xff\xff\xff\xff", where);
    const keys = [...this.live, "m", "/registry/q", "\xff"];
    for (let i = 0; i < 5; i++) this.compare(prng.pick(keys), prng.pick(keys), where);
    assert.equal(this.store.keyCount, this.live.size, where);
    for (let i = 0; i < 20; i++) {
      const key = prng.pick(keys);
      assert.equal(this.store.findLive(bytes(key), 0, key.length) !== 0, this.live.has(key), where);
    }
  }
}

function growAndShrink(seed: number, shape: number): void {
  const prng = new Prng(seed);
  const make = SHAPES[shape]!;
  const tree = new Tree();
  for (let round = 0; round < 5; round++) {
    const where = `seed ${seed}, shape ${shape}, round ${round}`;
    const count = prng.pick([50, 500, 2500]);
    for (let i = 0; i < count; i++) tree.put(make(prng, 4000));
    tree.compareAll(prng, where);
    const share = prng.pick([0.1, 0.7, 1]);
    // A stretch of neighbours goes as a whole, so that leaves become empty.
    const keys = [...tree.live].sort();
    const from = prng.below(keys.length);
    keys.forEach((key, index) => {
      if ((index >= from && index < from + 400) || prng.chance(share)) tree.delete(key);
    });
    tree.compareAll(prng, where);
    if (prng.chance(0.7)) tree.compact();
    verifyStore(tree.store);
    tree.compareAll(prng, where);
  }
}

for (let shape = 0; shape < SHAPES.length; shape++) {
  test(`tree and table find, order and count keys of shape ${shape} while they come and go`, () => {
    const first = Math.floor(Math.random() * 1e9);
    console.log(`first seed ${first}`);
    for (let i = 0; i < 2; i++) growAndShrink(first + i, shape);
  });
}

test("keys in rising, in falling and in interleaved order are all found", () => {
  const orders = [
    (i: number) => i,
    (i: number) => 9999 - i,
    (i: number) => (i % 7) * 1000 + Math.floor(i / 7),
  ];
  for (const order of orders) {
    const tree = new Tree();
    for (let i = 0; i < 5000; i++) tree.put(`key/${String(order(i)).padStart(6, "0")}`);
    tree.compareAll(new Prng(1), "order");
  }
});

test("one request deletes all keys, and counts follow", () => {
  const tree = new Tree();
  for (let i = 0; i < 3000; i++) tree.put(`key/${i}`);
  const { store } = tree;
  store.beginRevision();
  const both = bytes("key/1key/5");
  assert.equal(
    store.deleteRange(both, 0, 5, both, 5, 10),
    [...tree.live].filter((key) => key >= "key/1" && key < "key/5").length,
  );
  for (const key of tree.live) if (key >= "key/1" && key < "key/5") tree.live.delete(key);
  tree.compareAll(new Prng(1), "after a range");
  assert.equal(store.deleteRange(both, 0, 1, undefined, 0, 0), tree.live.size);
  store.endRevision();
  assert.equal(store.keyCount, 0);
});
