import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareBytes, concat, copyBytes, equalBytes, hashBytes, hashWords, prefixEnd } from "./bytes.ts";

const bytes = fc.uint8Array({ maxLength: 20 });

test("compareBytes and equalBytes agree with Buffer.compare, at any offset", () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(5), fc.nat(5), (a, b, aPad, bPad) => {
      const aPadded = concat(new Uint8Array(aPad).fill(7), a, Uint8Array.of(9));
      const bPadded = concat(new Uint8Array(bPad).fill(8), b, Uint8Array.of(1));
      const order = compareBytes(aPadded, aPad, aPad + a.length, bPadded, bPad, bPad + b.length);
      assert.equal(Math.sign(order), Buffer.compare(a, b));
      assert.equal(
        equalBytes(aPadded, aPad, aPad + a.length, bPadded, bPad, bPad + b.length),
        Buffer.compare(a, b) === 0,
      );
    }),
  );
});

test("hashBytes depends on content, length and seed only", () => {
  fc.assert(
    fc.property(bytes, fc.nat(9), fc.integer(), (a, pad, seed) => {
      const padded = concat(new Uint8Array(pad).fill(3), a, Uint8Array.of(5));
      assert.equal(hashBytes(a, 0, a.length, seed), hashBytes(padded, pad, pad + a.length, seed));
    }),
  );
  // MurmurHash3 x86 32: published values.
  assert.equal(hashBytes(Buffer.from(""), 0, 0, 1), 0x514e28b7);
  assert.equal(hashBytes(Buffer.from("test"), 0, 4, 0x9747b28c), 0x704b81dc);
  assert.equal(hashBytes(Buffer.from("Hello, world!"), 0, 13, 0x9747b28c), 0x24884cba);
});

test("hashWords of bytes that start at a word is hashBytes of them, whatever follows", () => {
  fc.assert(
    fc.property(bytes, fc.nat(5), fc.integer(), fc.nat(255), (a, pad, seed, after) => {
      const padded = new Uint8Array(32 + pad * 4).fill(after);
      padded.set(a, pad * 4);
      const words = new Uint32Array(padded.buffer);
      assert.equal(hashWords(words, pad, a.length, seed), hashBytes(a, 0, a.length, seed));
    }),
  );
});

test("hashBytes spreads consecutive keys evenly", () => {
  const buckets = new Uint32Array(256);
  for (let i = 0; i < 25_600; i++) {
    const key = Buffer.from(`/registry/pods/default/${i}`);
    const bucket = hashBytes(key, 0, key.length) & 255;
    buckets[bucket] = buckets[bucket]! + 1;
  }
  for (const count of buckets) assert.ok(count > 50 && count < 160, `${count} of 100 expected`);
});

test("prefixEnd follows etcd: last byte below 0xFF incremented, else from the key on", () => {
  const table: [number[], number[]][] = [
    [[0x61], [0x62]],
    [[0x61, 0xff], [0x62]],
    [
      [0x61, 0x00],
      [0x61, 0x01],
    ],
    [[0xff, 0xff], [0]],
    [[], [0]],
  ];
  for (const [prefix, end] of table) assert.deepEqual([...prefixEnd(Uint8Array.from(prefix))], end);
});

test("copyBytes and prefixEnd leave a Buffer alone (Buffer.slice is a view)", () => {
  for (const length of [3, 300]) {
    const source = Buffer.alloc(length, 97);
    copyBytes(source, 0, length)[0] = 0;
    prefixEnd(source);
    assert.ok(source.equals(Buffer.alloc(length, 97)));
  }
});
