import assert from "node:assert/strict";
import { test } from "node:test";
import { STATUS } from "../wire/status.ts";
import { TestBench, bytes } from "./test-bench.ts";

test("the hash of a store that was never written is that of the bucket's name", () => {
  assert.equal(new TestBench().hash(0), 1084519789);
  assert.equal(new TestBench().store.compactedRevision, -1);
});

/** The history behind the rows of the facts' test vectors (§13), compacted at 33. */
function vectorBench(): TestBench {
  const bench = new TestBench();
  for (let lease = 0; lease < 0x1234; lease++) bench.leases.keys.push(new Set());
  const put = (key: string, value: string, lease = 0n): void => {
    bench.put({ key: bytes(key), value: bytes(value), lease });
  };
  for (let i = 0; i < 30; i++) put(`k${i % 7}`, `v${i}`);
  bench.delete({ key: bytes("k3") });
  put("le", "x", 0x1234n);
  bench.compact(33);
  bench.delete({ key: bytes("k4") });
  put("k4", "n");
  for (let i = 0; i < 3; i++) put(`k${i}`, `w${i}`);
  return bench;
}

test("a store is hashed as etcd hashes the same rows, compaction carried out or not", () => {
  for (const isCarriedOut of [false, true]) {
    const bench = vectorBench();
    if (isCarriedOut) bench.finish();
    assert.equal(bench.store.revision, 38);
    for (const [revision, hash] of [
      [38, 1606340527],
      [0, 1606340527],
      [34, 1641681823],
      [35, 2297371661],
    ] as const) {
      assert.equal(bench.hash(revision), hash, `revision ${revision}`);
    }
  }
});

test("hashes of compacted and of future revisions are refused", () => {
  const { housekeeping } = vectorBench();
  const never = (): void => assert.fail("no hash is expected");
  assert.equal(housekeeping.hash(32, never), STATUS.compacted);
  assert.equal(housekeeping.hash(39, never), STATUS.futureRevision);
});
