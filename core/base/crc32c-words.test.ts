import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "./crc32c.ts";
import { Prng } from "./prng.ts";
import { crc32cWords } from "./crc32c-words.ts";

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
