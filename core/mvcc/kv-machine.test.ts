import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { STATUS } from "../wire/status.ts";
import type { Answer } from "./slow-model.ts";
import { SlowModel, isStatus } from "./slow-model.ts";
import { RequestSource, TestBench, bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

/** Draws a request for both; every answer must be equal. */
function compareOne(world: World, kind: number, where: string): void {
  const { prng, source, bench, model } = world;
  if (kind < 35) {
    const request = source.put();
    assert.deepEqual(bench.put(request), model.put(request), where);
  } else if (kind < 45) {
    const request = source.delete();
    assert.deepEqual(bench.delete(request), model.delete(request), where);
  } else if (kind < 60) {
    const request = source.txn(model.revision);
    const answer = bench.txn(request);
    // The duplicate rule has tests of its own; the model applies what passed.
    if (answer !== STATUS.duplicateKey) assert.deepEqual(answer, model.txn(request), where);
  } else if (kind < 92) {
    const request = source.range(model.revision);
    assert.deepEqual(bench.range(request), model.range(request), where);
  } else if (kind < 94) {
    const revision = prng.below(model.revision + 2);
    assert.equal(bench.compact(revision), model.compact(revision), where);
  } else if (kind < 98) for (let slices = prng.below(6); slices > 0; slices--) bench.housekeeping.slice();
  else comparePast(world, where);
}

function comparePast({ prng, bench, model }: World, where: string): void {
  const oldest = Math.max(model.compacted, 1);
  const revision = oldest + prng.below(model.revision - oldest + 1);
  if (prng.chance(0.2)) bench.housekeeping.defragment(() => undefined);
  assert.deepEqual(bench.history(revision), model.history(revision), where);
  assert.equal(bench.hash(revision), model.hash(revision), where);
  const live = model.versions.reduce((sum, it) => sum + it.key.length, 0);
  if (!bench.housekeeping.compaction.isDue) assert.ok(bench.store.sizeInUseBytes >= live, where);
}

interface World {
  readonly prng: Prng;
  readonly source: RequestSource;
  readonly bench: TestBench;
  readonly model: SlowModel;
}

function runAgainstModel(seed: number, stepCount: number, keyCount: number): void {
  const prng = new Prng(seed);
  const bench = new TestBench({
    dataSegmentSizeBytes: 1024 << prng.below(3),
    sliceRecordCount: 1 + prng.below(30),
  });
  const world: World = { prng, bench, source: new RequestSource(prng, keyCount), model: new SlowModel() };
  for (let lease = 1n; lease <= 3n; lease++) {
    world.model.leases.add(lease);
    bench.leases.keys.push(new Set());
  }
  for (let step = 0; step < stepCount; step++) {
    const where = `seed ${seed}, step ${step}`;
    compareOne(world, prng.below(100), where);
    assert.equal(bench.store.keyCount, world.model.visible().length, where);
  }
  bench.finish();
  verifyStore(bench.store);
}

test("every answer equals the slow model's, over random requests", () => {
  const first = Math.floor(Math.random() * 1e9);
  console.log(`first seed ${first}`);
  for (let i = 0; i < 16; i++) runAgainstModel(first + i, 300, i % 2 === 0 ? 6 : 40);
});

test("a fresh store is at revision 1, and each put adds one", () => {
  const bench = new TestBench();
  assert.equal((bench.range({ key: bytes("a") }) as Answer).revision, 1);
  assert.equal((bench.put({ key: bytes("a"), value: bytes("1") }) as Answer).revision, 2);
  assert.equal((bench.delete({ key: bytes("b") }) as Answer).revision, 2);
});

test("a range of an empty key, and unknown sort options, are refused", () => {
  const bench = new TestBench();
  assert.equal(bench.range({ key: bytes("") }), STATUS.emptyKey);
  assert.equal(bench.range({ key: bytes("a"), sort_order: 3 }), STATUS.invalidSortOption);
  assert.equal(bench.range({ key: bytes("a"), sort_target: 5 }), STATUS.invalidSortOption);
});

test("a large range is sent by a producer that later changes do not touch", () => {
  const bench = new TestBench({ dataSegmentSizeBytes: 1 << 16 });
  for (let i = 0; i < 300; i++) bench.put({ key: bytes(`k${1000 + i}`), value: bytes("x".repeat(500)) });
  const answer = bench.range({ key: bytes("k"), range_end: bytes("l") });
  assert.ok(!isStatus(answer));
  assert.equal(bench.wasLarge, true);
  assert.equal(answer.count, 300);
  assert.equal(answer.kvs!.length, 300);
  assert.equal(answer.kvs![299]!.key, "k1299");
});

test("put with options that contradict each other is refused", () => {
  const bench = new TestBench();
  assert.equal(bench.put({ key: bytes("a"), value: bytes("x"), ignore_value: true }), STATUS.valueProvided);
  assert.equal(bench.put({ key: bytes("a"), lease: 1n, ignore_lease: true }), STATUS.leaseProvided);
  assert.equal(bench.put({ key: bytes("a"), lease: 9n }), STATUS.leaseNotFound);
  assert.equal(bench.put({ key: bytes("a"), ignore_value: true }), STATUS.keyNotFound);
});
