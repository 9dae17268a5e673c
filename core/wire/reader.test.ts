import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import { ProtoReader, WireError } from "./reader.ts";

function reader(...values: number[]): ProtoReader {
  const it = new ProtoReader();
  it.reset(Uint8Array.from(values), 0, values.length);
  return it;
}

test("ProtoReader reads back every 64-bit varint", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const bits = BigInt.asUintN(64, value);
      const writer = new ByteWriter(16);
      writer.byte(8);
      writer.varint64(Number(bits >> 32n), Number(bits & 0xffffffffn));
      const it = reader(...writer.written());
      assert.equal(it.next(), 1);
      it.varint64();
      assert.equal((BigInt(it.hi) << 32n) | BigInt(it.lo), bits);
      assert.equal(it.next(), 0);

      const again = reader(...writer.written());
      again.next();
      const max = BigInt(Number.MAX_SAFE_INTEGER);
      assert.equal(again.int64(), Number(value > max ? max : value < -max ? -max : value));
    }),
  );
});

test("ProtoReader refuses malformed input with a WireError", () => {
  const malformed: [string, number[]][] = [
    ["field number 0", [0x00, 0x00]],
    ["field number 0 in two bytes", [0x80, 0x00, 0x00]],
    ["tag cut off", [0x88]],
    ["tag above 32 bits", [0x88, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00]],
    ["varint cut off", [0x08, 0xff]],
    ["varint of eleven bytes", [0x08, ...new Array<number>(10).fill(0x80), 0]],
    ["varint above 64 bits", [0x08, ...new Array<number>(9).fill(0xff), 0x02]],
    ["length beyond the end", [0x12, 5, 1]],
    ["length of 2^32", [0x12, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ["fixed64 cut off", [0x11, 1, 2, 3, 4, 5, 6, 7]],
    ["fixed32 cut off", [0x15, 1, 2, 3]],
    ["group without an end", [0x13, 0x08, 0x01]],
    ["end of a group that did not start", [0x14]],
    ["wire type 6", [0x16]],
    ["wire type 7", [0x17]],
    ["groups without end", new Array<number>(1000).fill(0x13)],
  ];
  for (const [name, values] of malformed) {
    const it = reader(...values);
    assert.throws(
      () => {
        while (it.next() !== 0) it.skip();
      },
      WireError,
      name,
    );
  }
});

test("ProtoReader refuses a known field with another wire type", () => {
  const text = reader(0x0a, 1, 65);
  assert.equal(text.next(), 1);
  assert.throws(() => text.int64(), WireError);
  const number = reader(0x08, 1);
  number.next();
  assert.throws(() => number.chunk(), WireError);
});

test("ProtoReader skips fields of every wire type, groups included", () => {
  const it = reader(
    0x08,
    0x96,
    0x01,
    0x11,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    0x12,
    2,
    9,
    9,
    0x13,
    0x08,
    1,
    0x1b,
    0x1c,
    0x14,
    0x15,
    1,
    2,
    3,
    4,
    0x28,
    7,
  );
  const numbers: number[] = [];
  for (let number = it.next(); number !== 0; number = it.next()) {
    numbers.push(number);
    if (number === 5) assert.equal(it.int64(), 7);
    else it.skip();
  }
  assert.deepEqual(numbers, [1, 2, 2, 2, 2, 5]);
});

test("ProtoReader stays within its range on random bytes and ends or throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), fc.nat(60), (bytes, a, b) => {
      const start = Math.min(a, b, bytes.length);
      const end = Math.min(Math.max(a, b), bytes.length);
      const it = new ProtoReader();
      it.reset(bytes, start, end);
      try {
        while (it.next() !== 0) {
          if (it.wireType === 2) {
            it.chunk();
            assert.ok(it.chunkStart >= start && it.chunkStart <= it.chunkEnd && it.chunkEnd <= end);
          } else it.skip();
          assert.ok(it.position <= end);
        }
      } catch (error) {
        assert.ok(error instanceof WireError);
      }
    }),
    { numRuns: 3000 },
  );
});
