import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { NumberList } from "./column.ts";

test("a list that takes many numbers at once is the one that takes them one by one", () => {
  const prng = new Prng(1);
  const values = new Uint32Array(40_000).map(() => prng.uint32());
  for (let trial = 0; trial < 20; trial++) {
    const [list, slow] = [new NumberList(), new NumberList()];
    // Some are there already, and some of these are gone: neither the chunk nor the count begins at a round number.
    const before = prng.below(20_000);
    for (const each of [list, slow]) {
      for (let i = 0; i < before; i++) each.push(i);
      each.dropFirst(before >>> 1);
    }
    const count = prng.below(values.length);
    list.pushAll(values, count);
    for (let i = 0; i < count; i++) slow.push(values[i]!);
    assert.equal(list.length, slow.length);
    for (let i = 0; i < slow.length; i++) if (list.get(i) !== slow.get(i)) assert.fail(`entry ${i} differs`);
  }
});
