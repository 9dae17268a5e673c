import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "./crc32c.ts";
import { Prng } from "./prng.ts";
import { crc32cFrom, crc32cWords } from "./crc32c-words.ts";

test("the checksum over words is the one over bytes", () => {
  const prng = new Prng(1);
  const bytes = new Uint8Array(4096).map(() => prng.below(256));
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < 500; i++) {
    const start = prng.below(1000) * 4;
    const end = prng.between(start, 4096);
    assert.equal(crc32cWords(bytes, words, start, end), crc32c(bytes, start, end));
  }
});

test("the checksum over words goes on from another one, and begins at any byte", () => {
  const prng = new Prng(2);
  const bytes = new Uint8Array(4098).map(() => prng.below(256));
  // As a file whose size is no multiple of a word.
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
  for (let i = 0; i < 2000; i++) {
    const start = prng.below(1000);
    const end = prng.below(2) === 0 ? prng.between(start, start + 40) : prng.between(start, bytes.length);
    const seed = prng.uint32();
    assert.equal(crc32cFrom(bytes, words, start, end, seed), crc32c(bytes, start, end, seed));
  }
});
