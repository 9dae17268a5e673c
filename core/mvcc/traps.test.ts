// One test per trap of other stores' transactions (T1-T4 in the list that docs/internals/simulation.md names), called after what it
// protects. kv-machine.test.ts compares all of it with the slow model.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import * as m from "../wire/messages.ts";
import type { Input, Schema } from "../wire/schema.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import type { Answer, RequestOp } from "./slow-model.ts";
import { TestBench, bytes, encoded } from "./test-bench.ts";

type TxnInput = Input<typeof m.TxnRequest extends Schema<infer T> ? T : never>;

const put = (key: string, value = "v"): RequestOp => ({
  request_put: { key: bytes(key), value: bytes(value) },
});
const del = (key: string, end = ""): RequestOp => ({
  request_delete_range: { key: bytes(key), range_end: bytes(end) },
});
const get = (key: string, revision = 0): RequestOp => ({ request_range: { key: bytes(key), revision } });

/** As the member that was asked applies it, and as the others do: without an answer. */
function apply(bench: TestBench, success: RequestOp[], wantsReply: boolean): Status | undefined {
  const entry = encoded(m.TxnRequest, { success } as TxnInput);
  return bench.machine.applyTxn(entry, 0, entry.length, wantsReply ? new ByteWriter(16) : null);
}

/** Two members with the same log: one has compacted what it may, the other one has not come to it. */
function members(): TestBench[] {
  return [true, false].map((isCompacted) => {
    const bench = new TestBench({ sliceRecordCount: 1 });
    for (let i = 0; i < 20; i++) bench.put({ key: bytes("k"), value: bytes(`${i}`) });
    assert.equal(bench.compact(15), undefined);
    if (isCompacted) bench.finish();
    return bench;
  });
}

for (const [id, revision, status] of [
  ["T1: a transaction that reads a compacted revision", 10, STATUS.compacted],
  ["T2: a transaction that reads a revision to come", 99, STATUS.futureRevision],
] as const) {
  test(`${id} changes nothing, on no member, however far its compaction is and whoever was asked`, () => {
    for (const success of [
      [put("a"), get("k", revision)],
      [get("k", revision), put("a")],
      [{ request_txn: { success: [put("a"), get("k", revision)] } }],
    ]) {
      const benches = members();
      const before = benches[0]!.store.revision;
      for (const [number, bench] of benches.entries()) {
        assert.equal(apply(bench, success, number === 0), status);
        assert.equal(bench.store.revision, before);
        bench.finish();
      }
      assert.equal(benches[0]!.hash(before), benches[1]!.hash(before));
    }
  });
}

test("T2: a transaction that reads an explicit revision is applied alike, by who answers and by who does not", () => {
  const benches = members();
  for (const [number, bench] of benches.entries()) {
    assert.equal(apply(bench, [get("k", 16), put("a"), get("k", 20), put("b")], number === 0), undefined);
    bench.finish();
  }
  const [asked, other] = benches as [TestBench, TestBench];
  assert.equal(asked.store.revision, other.store.revision);
  assert.deepEqual(asked.history(15), other.history(15));
  assert.equal(asked.hash(asked.store.revision), other.hash(other.store.revision));
});

test("T3: an operation of a transaction sees what those before it did, and nothing of those behind it", () => {
  const bench = new TestBench();
  bench.put({ key: bytes("c"), value: bytes("old") });
  bench.put({ key: bytes("a"), value: bytes("old") });
  const revision = bench.store.revision;
  const answer = bench.txn({
    success: [
      get("a"),
      { request_txn: { success: [put("a", "new"), get("a")] } },
      get("a", revision),
      get("b"),
      put("b"),
      del("c"),
      get("c"),
    ],
  }) as Answer;
  const said = (response: Answer): (string | number)[] => [
    response.revision,
    ...response.kvs!.map(({ value }) => value),
  ];
  const [first, nested, old, missing, , deleted, gone] = answer.responses as Answer[];
  assert.deepEqual(said(first!), [revision, "old"]);
  assert.deepEqual(said(nested!.responses![1]!), [revision + 1, "new"]);
  assert.deepEqual(said(old!), [revision + 1, "old"]);
  assert.deepEqual(said(missing!), [revision + 1]);
  assert.equal(deleted!.deleted, 1);
  assert.deepEqual(said(gone!), [revision + 1]);
  assert.equal(bench.store.revision, revision + 1);
});

test("T4: a key is written once in a transaction, also where branches and ranges hide the second time", () => {
  const nested = (success: RequestOp[], failure: RequestOp[] = []): RequestOp => ({
    request_txn: { success, failure },
  });
  for (const success of [
    [put("a"), put("a")],
    [del("a"), put("a")],
    [put("b"), del("a", "c")],
    [put("a"), nested([put("a")])],
    [put("a"), nested([], [put("a")])],
    [nested([put("a")]), nested([nested([], [put("a")])])],
  ])
    assert.equal(new TestBench().txn({ success }), STATUS.duplicateKey);
  const bench = new TestBench();
  assert.equal((bench.txn({ success: [nested([put("a")], [put("a")])] }) as Answer).revision, 2);
});
