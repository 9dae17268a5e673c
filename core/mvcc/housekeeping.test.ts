import assert from "node:assert/strict";
import { test } from "node:test";
import { STATUS } from "../wire/status.ts";
import { TestBench, bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

/** Overwrites few keys many times, so that most records are superseded. */
function worn(): TestBench {
  const bench = new TestBench({ dataSegmentSizeBytes: 1024, sliceRecordCount: 50 });
  for (let i = 0; i < 2000; i++) bench.put({ key: bytes(`k${i % 20}`), value: bytes("v".repeat(50)) });
  return bench;
}

test("compaction gives back what is not needed, in slices, and tells who waits", () => {
  const bench = worn();
  const before = bench.store.sizeBytes;
  let isDone = false;
  bench.compact(bench.store.revision);
  bench.housekeeping.whenCompacted(bench.store.revision, () => (isDone = true));
  let sliceCount = 0;
  while (bench.housekeeping.slice()) sliceCount++;
  assert.ok(isDone);
  assert.ok(sliceCount > 40, `${sliceCount} slices`);
  assert.ok(bench.store.sizeBytes < before / 10, `${bench.store.sizeBytes} of ${before} bytes are left`);
  assert.equal(bench.store.keyCount, 20);
  verifyStore(bench.store);
});

test("writes between slices of a compaction are kept", () => {
  const bench = worn();
  bench.compact(bench.store.revision - 5);
  for (let i = 0; bench.housekeeping.slice(); i++) {
    if (i % 2 === 0) bench.put({ key: bytes(`k${i % 30}`), value: bytes(`new ${i}`) });
    else bench.delete({ key: bytes(`k${i % 30}`) });
  }
  verifyStore(bench.store);
});

test("a physical compaction of a revision that drops nothing is done at once", () => {
  const bench = new TestBench();
  assert.equal(bench.compact(0), undefined);
  let isDone = false;
  bench.housekeeping.whenCompacted(0, () => (isDone = true));
  bench.finish();
  assert.ok(isDone);
});

test("defragmentation answers when done, with and without anything to do", () => {
  for (const bench of [worn(), new TestBench()]) {
    let doneCount = 0;
    bench.housekeeping.defragment(() => doneCount++);
    bench.housekeeping.defragment(() => doneCount++);
    bench.finish();
    assert.equal(doneCount, 2);
    verifyStore(bench.store);
  }
});

test("too many hashes at once are refused", () => {
  const bench = new TestBench({ housekeepingWaiterCountMax: 2 });
  let doneCount = 0;
  for (let i = 0; i < 2; i++)
    assert.equal(
      bench.housekeeping.hash(0, () => doneCount++),
      undefined,
    );
  assert.equal(
    bench.housekeeping.hash(0, () => doneCount++),
    STATUS.tooManyRequests,
  );
  bench.finish();
  assert.equal(doneCount, 2);
});

test("a hash whose revision is compacted while it waits fails with that", () => {
  const bench = worn();
  let failure: unknown;
  bench.housekeeping.hash(100, (_, status) => (failure = status));
  bench.compact(200);
  bench.finish();
  assert.equal(failure, STATUS.compacted);
});
