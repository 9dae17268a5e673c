import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import * as m from "../wire/messages.ts";
import { decode } from "../wire/schema.ts";
import { STATUS } from "../wire/status.ts";
import { RangeStream } from "./range-stream.ts";
import type { RangeRequest } from "./slow-model.ts";
import { text } from "./slow-model.ts";
import { TestBench, bytes, encoded } from "./test-bench.ts";

function open(bench: TestBench, request: RangeRequest): ReturnType<TestBench["machine"]["rangeStream"]> {
  const entry = encoded(m.RangeRequest, request);
  return bench.machine.rangeStream(entry, 0, entry.length);
}

function filled(count: number): TestBench {
  const bench = new TestBench({ dataSegmentSizeBytes: 1 << 16 });
  for (let i = 0; i < count; i++) bench.put({ key: bytes(`k${10000 + i}`), value: bytes("v".repeat(100)) });
  return bench;
}

test("chunks hold only keys and grow; header, more and count come last; later changes are not seen", () => {
  const bench = filled(500);
  const stream = open(bench, { key: bytes("k"), range_end: bytes("l"), limit: 450 });
  assert.ok(stream instanceof RangeStream);
  const sizes: number[] = [];
  const keys: string[] = [];
  for (let isLast = false; !isLast;) {
    const writer = new ByteWriter();
    isLast = stream.next(writer);
    const chunk = decode(m.RangeResponse, writer.bytes, 0, writer.position);
    sizes.push(chunk.kvs.length);
    keys.push(...chunk.kvs.map((kv) => text(kv.key)));
    assert.equal(chunk.header?.revision, isLast ? 501 : undefined);
    assert.equal(chunk.count, isLast ? 500 : 0);
    assert.equal(chunk.more, isLast);
    bench.delete({ key: bytes("k"), range_end: bytes("l") });
    bench.compact(bench.store.revision);
    bench.finish();
  }
  assert.deepEqual(sizes.slice(0, 4), [10, 20, 40, 80]);
  assert.deepEqual(
    keys,
    Array.from({ length: 450 }, (_, i) => `k${10000 + i}`),
  );
});

test("a count is one message, and so is an empty range", () => {
  const bench = filled(20);
  for (const request of [{ key: bytes("k"), range_end: bytes("l"), count_only: true }, { key: bytes("x") }]) {
    const stream = open(bench, request);
    assert.ok(stream instanceof RangeStream);
    const writer = new ByteWriter();
    assert.equal(stream.next(writer), true);
    const chunk = decode(m.RangeResponse, writer.bytes, 0, writer.position);
    assert.equal(chunk.count, request.count_only ? 20 : 0);
    assert.equal(chunk.kvs.length, 0);
    assert.equal(chunk.header?.revision, 21);
  }
});

test("sort orders and revision filters are not supported, and an empty key is refused", () => {
  const bench = filled(1);
  assert.equal(open(bench, { key: bytes("k"), sort_order: 2 }), STATUS.rangeStreamSortOrders);
  assert.equal(open(bench, { key: bytes("k"), sort_target: 3 }), STATUS.rangeStreamSortOrders);
  assert.equal(open(bench, { key: bytes("k"), min_mod_revision: 3 }), STATUS.rangeStreamRevisionFilters);
  assert.equal(open(bench, { key: bytes("") }), STATUS.emptyKey);
  assert.equal(open(bench, { key: bytes("k"), revision: 9 }), STATUS.futureRevision);
});
