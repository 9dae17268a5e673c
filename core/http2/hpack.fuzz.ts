// HPACK on bytes and fields of any kind.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { ByteWriter } from "../base/byte-writer.ts";
import { ConnectionError } from "./frames.ts";
import { HpackDecoder } from "./hpack-decode.ts";
import { HpackEncoder } from "./hpack-encode.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
const LIST_SIZE_BYTES_MAX = 2000;

/** Bytes that look like HPACK more often than chance would have it. */
const blockBytes = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0x80, max: 0xff }).map((it) => [it]),
      fc.constantFrom(
        [0x20],
        [0x3f, 0x10],
        [0x00, 1, 0x61, 1, 0x62],
        [0x40, 2, 0x78, 0x79, 0],
        [0x7e, 1, 0x63],
        [0x0f, 0x10],
      ),
      fc.uint8Array({ maxLength: 6 }).map((it) => [...it]),
    ),
    { maxLength: 30 },
  )
  .map((it) => Uint8Array.from(it.flat()));

test("blocks of any bytes decode or throw ConnectionError, within the list's limit", () => {
  const property = fc.property(fc.array(blockBytes, { maxLength: 6 }), (blocks) => {
    const decoder = new HpackDecoder(LIST_SIZE_BYTES_MAX);
    try {
      for (const bytes of blocks) {
        const block = decoder.decode(bytes, 0, bytes.length);
        const sizeBytes = block.names.reduce(
          (sum, it, i) => sum + it.length + block.values[i]!.length + 32,
          0,
        );
        assert.ok(sizeBytes <= LIST_SIZE_BYTES_MAX);
      }
    } catch (error) {
      assert.ok(error instanceof ConnectionError && error.code === 9, String(error));
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 5_000 });
});

test("what the encoder writes is what the decoder reads, whatever was sent before", () => {
  const name = fc.stringMatching(/^[a-z0-9-]{1,12}$/).filter((it) => !RESERVED.has(it));
  const value = fc.stringMatching(/^([!-~]([ -~]{0,20}[!-~])?)?$/);
  const field = fc.tuple(name, value, fc.boolean());
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.array(field, { maxLength: 8 }) },
    { weight: 1, arbitrary: fc.nat(5000) },
  );
  const property = fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(1 << 20);
    for (const it of steps) {
      if (typeof it === "number") {
        encoder.limitTable(it);
        continue;
      }
      const writer = new ByteWriter(16);
      encoder.beginBlock(writer);
      for (const [fieldName, fieldValue, isRepeated] of it) {
        if (isRepeated) encoder.repeated(writer, fieldName, fieldValue);
        else encoder.once(writer, fieldName, fieldValue);
      }
      const block = decoder.decode(writer.bytes, 0, writer.position);
      assert.equal(block.malformed, "");
      assert.deepEqual(
        block.names.map((blockName, i) => [blockName, block.values[i]]),
        it.map(([fieldName, fieldValue]) => [fieldName, fieldValue]),
      );
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
});

const RESERVED = new Set(["te", "connection", "upgrade", "keep-alive"]);
