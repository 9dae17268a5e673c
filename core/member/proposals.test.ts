import assert from "node:assert/strict";
import { test } from "node:test";
import { id64 } from "../base/ids.ts";
import { Prng } from "../base/prng.ts";
import { requestAuthor } from "./proposals.ts";

test("no two lives of a member share their request ids", () => {
  const authors = new Set<number>();
  const lives = 100_000;
  for (let boot = 1; boot <= lives; boot++) authors.add(requestAuthor(id64(0x12345678, 0x9abcdef0), boot));
  assert.equal(authors.size, lives);
});

test("every bit of a member's id counts in its request ids", () => {
  const prng = new Prng(1);
  for (let round = 0; round < 100; round++) {
    const id = id64(prng.uint32(), prng.uint32());
    const boot = prng.between(1, 1000);
    const author = requestAuthor(id, boot);
    for (let bit = 0; bit < 32; bit++) {
      assert.notEqual(requestAuthor(id64(id.hi ^ (1 << bit), id.lo), boot), author);
      assert.notEqual(requestAuthor(id64(id.hi, id.lo ^ (1 << bit)), boot), author);
    }
  }
});
