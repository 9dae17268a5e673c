import assert from "node:assert/strict";
import { test } from "node:test";
import { RaftLog } from "../raft/log.ts";
import { RecoveredEntries } from "./recovered-entries.ts";

/** Behind a checkpoint at index 10, term 3; an entry's data is its index and term. */
function recovered(): RecoveredEntries {
  return new RecoveredEntries(new RaftLog({ arenaBytes: 256, compactedIndex: 10, compactedTerm: 3 }));
}

/** All are read into the same memory, one after the other. */
const memory = new Uint8Array(16);

function put(entries: RecoveredEntries, index: number, term: number): void {
  memory.fill(0xff).set([index, term], 7);
  entries.put(index, 0, term, memory, 7, 9);
}

/** "index/term" of what Raft's log has, from its data. */
function kept({ log }: RecoveredEntries): string[] {
  return Array.from({ length: log.lastIndex - 10 }, (_, i) => {
    const data = log.bytes(11 + i).subarray(log.start(11 + i), log.end(11 + i));
    assert.deepEqual([...data], [11 + i, log.term(11 + i)]);
    return data.join("/");
  });
}

test("entries are copied out of the memory that they were read into", () => {
  const entries = recovered();
  for (let index = 11; index <= 40; index++) put(entries, index, 3);
  assert.equal(entries.lastIndex, 40);
  assert.equal(entries.count, 30);
  assert.equal(kept(entries).length, 30);
});

test("an entry takes the place of what stood at its index, and drops everything behind it", () => {
  const entries = recovered();
  for (const index of [11, 12, 13, 14]) put(entries, index, 3);
  put(entries, 12, 5);
  assert.equal(entries.lastIndex, 12);
  assert.deepEqual(kept(entries), ["11/3", "12/5"]);
  entries.truncate(11);
  assert.equal(entries.lastIndex, 10);
  assert.deepEqual(kept(entries), []);
});

test("entries that a received snapshot replaced are counted and not kept: terms never fall in a log", () => {
  const entries = recovered();
  for (const index of [11, 12]) put(entries, index, 2);
  assert.equal(entries.lastIndex, 12);
  assert.deepEqual(kept(entries), []);
  // A higher term behind them does not continue the snapshot either …
  put(entries, 13, 4);
  assert.equal(entries.lastIndex, 13);
  assert.deepEqual(kept(entries), []);
  // … but what was written over them does.
  put(entries, 11, 4);
  put(entries, 12, 4);
  assert.equal(entries.lastIndex, 12);
  assert.deepEqual(kept(entries), ["11/4", "12/4"]);
});

test("behind a newer snapshot nothing is kept, since what leads there is missing", () => {
  const entries = recovered();
  put(entries, 11, 3);
  entries.reset(20);
  assert.equal(entries.lastIndex, 20);
  put(entries, 21, 4);
  assert.equal(entries.count, 1);
  assert.deepEqual(kept(entries), []);
});
