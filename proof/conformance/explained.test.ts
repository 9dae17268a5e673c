import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPLAINED } from "./explained.ts";

const [hashAtCompaction, hashBelow] = EXPLAINED;
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

const COMPACTED = "error 11 etcdserver: mvcc: required revision has been compacted";

test("a hash that etcd kept of a revision that was compacted since is explained", () => {
  assert.ok(hashBelow!.matches('HashKV {"revision":14}', COMPACTED, hash(9, 2)));
});

test("a refused hash of a revision that etcd has not compacted to is a difference", () => {
  // As etcd answers when the revision is not among those it kept: with the present compacted revision, or another one's hash.
  assert.ok(!hashBelow!.matches('HashKV {"revision":14}', COMPACTED, hash(14, 2)));
  assert.ok(!hashBelow!.matches('HashKV {"revision":15}', COMPACTED, hash(9, 2)));
  assert.ok(!hashBelow!.matches('HashKV {"revision":140}', COMPACTED, hash(9, 2)));
  assert.ok(!hashBelow!.matches('Range {"revision":14}', COMPACTED, hash(9, 2)));
  assert.ok(!hashBelow!.matches('HashKV {"revision":14}', "error 14 unavailable", hash(9, 2)));
});
