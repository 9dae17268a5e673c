import assert from "node:assert/strict";
import { test } from "node:test";
import { TestBench, bytes } from "./test-bench.ts";
import { KeyTable } from "./key-table.ts";

/** Enough for a table of several parts, and for every part to have keys that wrap into the next. */
const KEY_COUNT = 3_000;

test("a table that is filled at once finds what one finds that grew with its keys, and goes on growing", () => {
  const bench = new TestBench();
  const names = Array.from({ length: KEY_COUNT }, (_, i) => bytes(`key ${i * 7}`));
  for (const key of names) bench.put({ key, value: bytes("v") });
  const { keys, table: grown } = bench.store;
  const hashes = new Uint32Array(KEY_COUNT);
  const idOf = (table: KeyTable, key: Uint8Array): number =>
    table.find(keys.hash(key, 0, key.length), key, 0, key.length);
  for (const key of names) hashes[idOf(grown, key)] = keys.hash(key, 0, key.length);
  // One key of three is left out: ids have gaps when keys were compacted away.
  const kept = names.filter((_, i) => i % 3 !== 0);
  const filled = new KeyTable(keys);
  filled.fill(
    Uint32Array.from(kept, (key) => idOf(grown, key)),
    hashes,
  );
  assert.equal(filled.count, kept.length);
  for (const [i, key] of names.entries())
    assert.equal(idOf(filled, key), i % 3 === 0 ? -1 : idOf(grown, key));
  for (const [i, key] of names.entries()) {
    const id = idOf(grown, key);
    if (i % 3 === 0) filled.insert(hashes[id]!, id);
    else if (i % 3 === 1) filled.remove(hashes[id]!, id);
  }
  for (const [i, key] of names.entries())
    assert.equal(idOf(filled, key), i % 3 === 1 ? -1 : idOf(grown, key));
});

test("a table that is filled with nothing takes keys", () => {
  const bench = new TestBench();
  const key = bytes("a");
  bench.put({ key, value: bytes("v") });
  const { keys, table } = bench.store;
  const hash = keys.hash(key, 0, 1);
  const id = table.find(hash, key, 0, 1);
  const filled = new KeyTable(keys);
  filled.fill(new Uint32Array(0), new Uint32Array(0));
  assert.equal(filled.find(hash, key, 0, 1), -1);
  filled.insert(hash, id);
  assert.equal(filled.find(hash, key, 0, 1), id);
});
