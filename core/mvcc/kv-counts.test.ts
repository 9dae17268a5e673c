import assert from "node:assert/strict";
import { test } from "node:test";
import { TestBench, bytes } from "./test-bench.ts";

const put = (key: string, value: string): { request_put: { key: Uint8Array; value: Uint8Array } } => ({
  request_put: { key: bytes(key), value: bytes(value) },
});

test("operations are counted, alone and in transactions, and a transaction when it has several", () => {
  const bench = new TestBench();
  bench.put({ key: bytes("a"), value: bytes("12345") });
  bench.range({ key: bytes("a") });
  bench.delete({ key: bytes("none") });
  bench.txn({ success: [put("b", "1")] });
  bench.txn({ success: [put("c", "1"), { request_range: { key: bytes("a") } }] });
  bench.txn({ success: [{ request_txn: { success: [put("d", "1"), put("e", "1")] } }] });
  const { puts, ranges, deletes, txns, putBytes } = bench.counts;
  assert.deepEqual({ puts, ranges, deletes, txns }, { puts: 5, ranges: 2, deletes: 1, txns: 2 });
  assert.equal(putBytes, 6 + 4 * 2);
});

test("a refused request counts nothing", () => {
  const bench = new TestBench();
  bench.put({ key: bytes("a"), ignore_value: true });
  bench.range({ key: bytes("a"), revision: 100 });
  bench.txn({ success: [put("b", "1"), { request_range: { key: bytes("a"), revision: 100 } }] });
  assert.deepEqual({ ...bench.counts }, { puts: 0, ranges: 0, deletes: 0, txns: 0, putBytes: 0 });
});
