import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8, isUtf8 } from "./utf8.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true });

// Bytes that are likely to sit next to each other in nearly well-formed text.
const suspicious = fc.constantFrom(
  0x00,
  0x61,
  0x7f,
  0x80,
  0x8f,
  0x90,
  0x9f,
  0xa0,
  0xbf,
  0xc0,
  0xc2,
  0xdf,
  0xe0,
  0xe1,
  0xed,
  0xef,
  0xf0,
  0xf1,
  0xf4,
  0xf5,
  0xff,
);

test("decodeUtf8 and isUtf8 agree with TextDecoder on ill-formed bytes", () => {
  fc.assert(
    fc.property(fc.array(suspicious, { maxLength: 40 }), (values) => {
      const bytes = Uint8Array.from(values);
      assert.equal(decodeUtf8(bytes, 0, bytes.length), decoder.decode(bytes));
      let isWellFormed = true;
      try {
        strict.decode(bytes);
      } catch {
        isWellFormed = false;
      }
      assert.equal(isUtf8(bytes, 0, bytes.length), isWellFormed);
    }),
    { numRuns: 5000 },
  );
});

test("encodeUtf8 agrees with TextEncoder, unpaired surrogates included, and decodes back", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.string({ unit: fc.nat(0xffff).map((u) => String.fromCharCode(u)), maxLength: 30 }),
      (a, b) => {
        for (const text of [a, b]) {
          const bytes = encodeUtf8(text);
          assert.deepEqual(bytes, new TextEncoder().encode(text));
          assert.equal(decodeUtf8(bytes, 0, bytes.length), decoder.decode(bytes));
        }
      },
    ),
  );
});

test("decodeUtf8 takes long texts in chunks", () => {
  const text = "añ€😀".repeat(20_000);
  const bytes = encodeUtf8(text);
  assert.equal(decodeUtf8(bytes, 0, bytes.length), text);
});
