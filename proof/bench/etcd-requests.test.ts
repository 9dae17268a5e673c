import assert from "node:assert/strict";
import { test } from "node:test";

import { RangeResponse } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { RangeAnswer } from "./etcd-requests.ts";

/** A RangeResponse of keys of several sizes, somewhere in a larger array. */
function answer(): { bytes: Uint8Array; start: number; end: number } {
  const writer = new ByteWriter();
  writer.raw(new Uint8Array(7), 0, 7);
  const kvs = [3, 200, 20_000, 0].map((size, i) => ({
    key: Uint8Array.of(97, i),
    mod_revision: 300 + i,
    value: new Uint8Array(size).fill(0x22),
  }));
  encode(RangeResponse, { header: { revision: 900 }, kvs, more: true, count: 70_000 }, writer);
  return { bytes: writer.copy(), start: 7, end: writer.position };
}

test("an answer is read the same at once and byte by byte", () => {
  const { bytes, start, end } = answer();
  const whole = new RangeAnswer();
  whole.parse(bytes, start, end);
  assert.deepEqual([whole.keys, whole.count, whole.firstModRevision], [4, 70_000, 300]);
  const grown = new RangeAnswer();
  const keys: number[] = [];
  for (let there = start; there < end; there++) {
    grown.take(bytes, start, there);
    keys.push(grown.keys);
  }
  grown.finish(bytes, start, end);
  assert.deepEqual([grown.keys, grown.count, grown.firstModRevision], [4, 70_000, 300]);
  assert.deepEqual([...new Set(keys)], [0, 1, 2, 3, 4]);
  grown.parse(bytes, start, end);
  assert.equal(grown.keys, 4);
});

test("an answer that is cut is not taken for a whole one", () => {
  const { bytes, start, end } = answer();
  assert.throws(() => new RangeAnswer().parse(bytes, start, end - 1), /whole field/);
});
