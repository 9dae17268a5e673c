import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { STATUS } from "../wire/status.ts";
import type { Answer, RequestOp, TxnRequest } from "./slow-model.ts";
import { isStatus, text } from "./slow-model.ts";
import { RequestSource, TestBench, bytes } from "./test-bench.ts";
import { KeyIntervals } from "./txn-intervals.ts";

const put = (key: string): RequestOp => ({ request_put: { key: bytes(key), value: bytes("v") } });
const del = (key: string, end = ""): RequestOp => ({
  request_delete_range: { key: bytes(key), range_end: bytes(end) },
});
const get = (key: string, revision = 0): RequestOp => ({ request_range: { key: bytes(key), revision } });
const txn = (success: RequestOp[], failure: RequestOp[] = []): RequestOp => ({
  request_txn: { success, failure },
});

function outcome(success: RequestOp[]): string {
  const answer = new TestBench().txn({ success });
  return isStatus(answer) ? answer.text : "accepted";
}

const DUPLICATE = STATUS.duplicateKey.text;

test("a key may not be put twice, nor put and deleted, in one branch", () => {
  assert.equal(outcome([put("a"), put("b")]), "accepted");
  assert.equal(outcome([put("a"), put("a")]), DUPLICATE);
  assert.equal(outcome([put("a"), del("a")]), DUPLICATE);
  assert.equal(outcome([del("a"), put("a")]), DUPLICATE);
  assert.equal(outcome([put("b"), del("a", "c")]), DUPLICATE);
  assert.equal(outcome([put("c"), del("a", "c")]), "accepted");
  assert.equal(outcome([del("a", "c"), del("b", "d"), get("b")]), "accepted");
  // Even when the branch does not run.
  assert.equal(new TestBench().txn({ success: [], failure: [put("a"), put("a")] }), STATUS.duplicateKey);
});

test("a key that is put twice is found among few and many, short and long", () => {
  for (const count of [2, 3, 31, 32, 33, 128]) {
    for (const prefix of ["", "k".repeat(253), "k".repeat(254), "k".repeat(1000)]) {
      const keys = Array.from({ length: count }, (_, i) => `${prefix}${100 + i}`);
      assert.equal(outcome(keys.map((key) => put(key))), "accepted");
      for (const [from, to] of [
        [0, count - 1],
        [count - 1, 0],
        [count - 2, count - 1],
      ] as const) {
        const twice = keys.map((key, i) => put(i === to ? keys[from]! : key));
        assert.equal(outcome(twice), DUPLICATE);
      }
    }
  }
});

test("the duplicate rule does not see a deletion from a key on", () => {
  assert.equal(outcome([put("b"), del("a", "\0")]), "accepted");
  const bench = new TestBench();
  const answer = bench.txn({ success: [put("b"), del("a", "\0")] }) as Answer;
  assert.equal(answer.responses![1]!.deleted, 1);
  assert.deepEqual(bench.history(2), ["2/0 b false 0", "2/1 b true 0"]);
});

test("the duplicate rule looks at nested transactions in order", () => {
  assert.equal(outcome([txn([del("a")]), txn([put("a")])]), DUPLICATE);
  assert.equal(outcome([txn([put("a")]), txn([del("a")])]), "accepted");
  assert.equal(outcome([txn([put("a")], [put("a")])]), "accepted");
  assert.equal(outcome([txn([put("a")]), txn([put("a")])]), DUPLICATE);
  assert.equal(outcome([txn([put("a")]), put("a")]), DUPLICATE);
  assert.equal(outcome([txn([txn([put("a")])]), del("a")]), DUPLICATE);
});

test("operations are limited per level, less what the levels above have", () => {
  const many = (count: number): RequestOp[] => Array.from({ length: count }, (_, i) => put(`k${i}`));
  assert.equal(outcome(many(128)), "accepted");
  assert.equal(outcome(many(129)), STATUS.tooManyOperations.text);
  assert.equal(outcome([txn(many(127))]), "accepted");
  assert.equal(outcome([txn(many(128))]), STATUS.tooManyOperations.text);
});

test("requests of a transaction pass the checks of requests of their own", () => {
  assert.equal(outcome([{}]), STATUS.keyNotFound.text);
  assert.equal(outcome([put("")]), STATUS.emptyKey.text);
  assert.equal(outcome([del("")]), STATUS.emptyKey.text);
  assert.equal(outcome([get("")]), STATUS.emptyKey.text);
  assert.equal(new TestBench().txn({ compare: [{ key: bytes("") }] }), STATUS.emptyKey);
});

test("a transaction is refused as a whole before anything changes", () => {
  const bench = new TestBench();
  const refused = (request: TxnRequest, status: unknown): void => {
    assert.equal(bench.txn(request), status);
    assert.equal(bench.store.revision, 1);
    assert.equal(bench.store.keyCount, 0);
  };
  refused({ success: [put("a"), { request_put: { key: bytes("b"), lease: 7n } }] }, STATUS.leaseNotFound);
  refused(
    { success: [put("a"), { request_put: { key: bytes("b"), ignore_value: true } }] },
    STATUS.keyNotFound,
  );
  refused({ success: [put("a"), get("a", 2)] }, STATUS.futureRevision);
  // The first one that fails gives the answer.
  const unknownLease = { request_put: { key: bytes("b"), lease: 7n } };
  refused({ success: [get("a", 2), unknownLease] }, STATUS.futureRevision);
  refused({ success: [unknownLease, get("a", 2)] }, STATUS.leaseNotFound);
  refused({ success: [{ request_txn: { success: [get("a", 2)] } }, unknownLease] }, STATUS.futureRevision);
});

test("a negative revision inside a transaction is compacted, except -1 before the first compaction", () => {
  const bench = new TestBench();
  assert.ok(!isStatus(bench.txn({ success: [get("a", -1)] })));
  assert.equal(bench.txn({ success: [get("a", -5)] }), STATUS.compacted);
  assert.equal(bench.compact(0), undefined);
  assert.equal(bench.txn({ success: [get("a", -1)] }), STATUS.compacted);
  assert.ok(!isStatus(bench.range({ key: bytes("a"), revision: -5 })));
});

test("an empty transaction succeeds and changes nothing", () => {
  assert.deepEqual(new TestBench().txn({}), { revision: 1, succeeded: true, responses: [] });
});

test("the wrong member of a comparison's union counts as zero", () => {
  const bench = new TestBench();
  const compare = [{ target: 2, result: 0, key: bytes("missing"), version: 5 }];
  assert.equal((bench.txn({ compare }) as Answer).succeeded, true);
});

test("compaction is refused at or below the compacted and above the current revision; 0 passes once", () => {
  const bench = new TestBench();
  assert.equal(bench.compact(-1), STATUS.compacted);
  assert.equal(bench.compact(0), undefined);
  assert.equal(bench.compact(0), STATUS.compacted);
  assert.equal(bench.compact(2), STATUS.futureRevision);
});

test("intervals of keys find what a plain list finds", () => {
  const prng = new Prng(5);
  const source = new RequestSource(prng, 30);
  for (let round = 0; round < 50; round++) {
    const intervals = new KeyIntervals();
    const plain: [string, string][] = [];
    for (let i = prng.below(12); i >= 0; i--) {
      const pair: [string, string] = [text(source.key()), text(source.key())];
      intervals.add(...pair);
      plain.push(pair);
    }
    for (let i = 0; i < 30; i++) {
      const key = text(source.key());
      assert.equal(
        intervals.includes(key),
        plain.some(([first, end]) => first <= key && key < end),
      );
    }
  }
});
