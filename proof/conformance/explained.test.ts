import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPLAINED } from "./explained.ts";

const [hashAtCompaction] = EXPLAINED;
const hash = (compact: number, value: number): string =>
  `{"compact_revision":${compact},"hash":${value},"hash_revision":14,"header":{"revision":20}}`;

test("a hash at the compacted revision may differ, as it is explained", () => {
  assert.ok(hashAtCompaction!.matches('HashKV {"revision":14}', hash(14, 1), hash(9, 2)));
});

test("a hash that differs with the same compacted revision is a difference", () => {
  assert.ok(!hashAtCompaction!.matches('HashKV {"revision":14}', hash(9, 1), hash(9, 2)));
});

test("a hash at another revision is a difference", () => {
  assert.ok(!hashAtCompaction!.matches('HashKV {"revision":14}', hash(12, 1), hash(9, 2)));
});
