import assert from "node:assert/strict";
import { test } from "node:test";
import { id64, id64Hex } from "../base/ids.ts";
import { judge } from "./verdict.ts";

const ids = [1, 2, 3, 4, 5, 6].map((n) => id64(0, n));
const hex = (n: number): string => id64Hex(ids[n - 1]!);

/** Hashes in the order of the members; 0 is silence. */
function verdict(voterCount: number, said: readonly number[]) {
  const hashes = new Map<string, number>();
  said.forEach((hash, i) => hash !== 0 && hashes.set(hex(i + 1), hash));
  return judge({ voters: ids.slice(0, voterCount), outgoing: [], hashes });
}

test("a verdict of three members follows two, whoever they are", () => {
  assert.deepEqual(verdict(3, [7, 7, 7]), { kind: "majority", hash: 7, diverged: [] });
  assert.deepEqual(verdict(3, [7, 7, 8]), { kind: "majority", hash: 7, diverged: [hex(3)] });
  // The first is the leader as well as any other: it has no more weight.
  assert.deepEqual(verdict(3, [8, 7, 7]), { kind: "majority", hash: 7, diverged: [hex(1)] });
});

test("a verdict waits for those that may still make a majority", () => {
  assert.deepEqual(verdict(3, [7]), { kind: "open", differ: false });
  assert.deepEqual(verdict(3, [7, 8]), { kind: "open", differ: true });
  assert.deepEqual(verdict(5, [7, 7, 8]), { kind: "open", differ: true });
  assert.deepEqual(verdict(5, [7, 7, 8, 0, 7]), { kind: "majority", hash: 7, diverged: [hex(3)] });
});

test("a verdict of five members names two that differ, even when they agree", () => {
  assert.deepEqual(verdict(5, [8, 8, 7, 7, 7]), { kind: "majority", hash: 7, diverged: [hex(1), hex(2)] });
  assert.deepEqual(verdict(5, [8, 9, 7, 7, 7]), { kind: "majority", hash: 7, diverged: [hex(1), hex(2)] });
});

test("without a possible majority members are split", () => {
  assert.deepEqual(verdict(3, [7, 8, 9]), { kind: "split" });
  assert.deepEqual(verdict(2, [7, 8]), { kind: "split" });
  assert.deepEqual(verdict(4, [7, 7, 8, 8]), { kind: "split" });
  assert.deepEqual(verdict(5, [7, 7, 8, 8, 9]), { kind: "split" });
  assert.deepEqual(verdict(5, [7, 7, 8, 8]), { kind: "open", differ: true });
});

test("a learner decides nothing, and is named when it differs", () => {
  assert.deepEqual(verdict(3, [7, 0, 0, 7]), { kind: "open", differ: false });
  assert.deepEqual(verdict(3, [7, 7, 0, 8]), { kind: "majority", hash: 7, diverged: [hex(4)] });
});

test("while the configuration is joint a majority of both halves is needed", () => {
  const hashes = new Map([1, 2, 3].map((n) => [hex(n), 7]));
  const half = { voters: ids.slice(0, 3), outgoing: ids.slice(3, 6) };
  assert.deepEqual(judge({ ...half, hashes }), { kind: "open", differ: false });
  hashes.set(hex(4), 7).set(hex(5), 7).set(hex(6), 8);
  assert.deepEqual(judge({ ...half, hashes }), { kind: "majority", hash: 7, diverged: [hex(6)] });
});
