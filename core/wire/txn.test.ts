import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import type { RequestOpMessage, TxnRequestMessage } from "./messages.ts";
import { DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest } from "./messages.ts";
import { WireError } from "./reader.ts";
import type { Input } from "./schema.ts";
import { decode, encode } from "./schema.ts";
import {
  CompareFields,
  OP_DELETE,
  OP_NONE,
  OP_PUT,
  OP_RANGE,
  OP_TXN,
  TXN_DEPTH_MAX,
  TxnChecker,
  TxnCursor,
  TxnCursors,
} from "./txn.ts";

function encoded(txn: Input<TxnRequestMessage>): Uint8Array {
  const writer = new ByteWriter();
  encode(TxnRequest, txn, writer);
  return writer.copy();
}

/** What the cursors see, as the table's message. */
class Walk {
  readonly #cursors = new TxnCursors();
  readonly #compare = new CompareFields();

  txn(bytes: Uint8Array, start: number, end: number, depth = 0): TxnRequestMessage {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    const result: TxnRequestMessage = { compare: [], success: [], failure: [] };
    while (cursor.nextCompare()) result.compare.push(this.#one(bytes, cursor.itemStart, cursor.itemEnd));
    for (const branch of ["success", "failure"] as const) {
      cursor.select(branch === "success");
      while (cursor.nextOp()) result[branch].push(this.#op(bytes, cursor, depth));
    }
    assert.deepEqual(
      [cursor.compareCount, cursor.successCount, cursor.failureCount],
      [result.compare.length, result.success.length, result.failure.length],
    );
    return result;
  }

  #one(bytes: Uint8Array, start: number, end: number): TxnRequestMessage["compare"][number] {
    const it = this.#compare;
    it.parse(bytes, start, end);
    const lease = BigInt.asIntN(64, (BigInt(it.operandHi) << 32n) | BigInt(it.operandLo));
    const target = it.operandTarget;
    return {
      result: it.result,
      target: it.target,
      key: bytes.slice(it.keyStart, it.keyEnd),
      version: target === 0 ? it.operand : undefined,
      create_revision: target === 1 ? it.operand : undefined,
      mod_revision: target === 2 ? it.operand : undefined,
      value: target === 3 ? bytes.slice(it.valueStart, it.valueEnd) : undefined,
      lease: target === 4 ? lease : undefined,
      range_end: bytes.slice(it.rangeEndStart, it.rangeEndEnd),
    };
  }

  #op(bytes: Uint8Array, cursor: TxnCursor, depth: number): RequestOpMessage {
    const { opKind: kind, itemStart: start, itemEnd: end } = cursor;
    return {
      request_range: kind === OP_RANGE ? decode(RangeRequest, bytes, start, end) : undefined,
      request_put: kind === OP_PUT ? decode(PutRequest, bytes, start, end) : undefined,
      request_delete_range: kind === OP_DELETE ? decode(DeleteRangeRequest, bytes, start, end) : undefined,
      request_txn: kind === OP_TXN ? this.txn(bytes, start, end, depth + 1) : undefined,
    };
  }
}

const key = fc.uint8Array({ maxLength: 8 });
const number = fc.maxSafeInteger();
const operand = fc.oneof(
  number.map((version) => ({ target: 0, version })),
  number.map((create_revision) => ({ target: 1, create_revision })),
  number.map((mod_revision) => ({ target: 2, mod_revision })),
  key.map((value) => ({ target: 3, value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((lease) => ({ target: 4, lease })),
);
const compare = fc
  .tuple(key, key, fc.nat(3), operand)
  .map(([k, range_end, result, it]) => ({ key: k, range_end, result, ...it }));
const { txn } = fc.letrec<{ txn: Input<TxnRequestMessage>; op: Input<RequestOpMessage> }>((tie) => ({
  op: fc.oneof(
    { maxDepth: 4 },
    fc.constant({}),
    key.map((k) => ({ request_range: { key: k, limit: 3 } })),
    fc.tuple(key, key).map(([k, value]) => ({ request_put: { key: k, value } })),
    key.map((k) => ({ request_delete_range: { key: k, prev_kv: true } })),
    tie("txn").map((inner) => ({ request_txn: inner })),
  ),
  txn: fc.record({
    compare: fc.array(compare, { maxLength: 3 }),
    success: fc.array(tie("op"), { maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 3 }),
  }),
}));

test("TxnCursor sees the transaction that the table sees", () => {
  const walk = new Walk();
  const checker = new TxnChecker();
  fc.assert(
    fc.property(txn, (request) => {
      const bytes = encoded(request);
      checker.check(bytes, 0, bytes.length);
      assert.deepEqual(walk.txn(bytes, 0, bytes.length), decode(TxnRequest, bytes, 0, bytes.length));
    }),
  );
});

test("TxnChecker and the walk agree on damaged transactions: both pass or both throw WireError", () => {
  const walk = new Walk();
  const checker = new TxnChecker();
  fc.assert(
    fc.property(
      txn,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (request, damages) => {
        const bytes = encoded(request);
        if (bytes.length === 0) return;
        for (const [at, value] of damages) bytes[at % bytes.length] = value;
        const outcome = (act: () => void): boolean => {
          try {
            act();
            return true;
          } catch (error) {
            assert.ok(error instanceof WireError, String(error));
            return false;
          }
        };
        const isSound = outcome(() => checker.check(bytes, 0, bytes.length));
        assert.equal(
          outcome(() => walk.txn(bytes, 0, bytes.length)),
          isSound,
        );
      },
    ),
    { numRuns: 2000 },
  );
});

test("transactions are read to 32 levels and refused below", () => {
  const nest = (levels: number): Uint8Array => {
    let inner: Input<TxnRequestMessage> = {};
    for (let i = 1; i < levels; i++) inner = { success: [{ request_txn: inner }] };
    return encoded(inner);
  };
  const checker = new TxnChecker();
  const deepest = nest(TXN_DEPTH_MAX);
  checker.check(deepest, 0, deepest.length);
  assert.ok(decode(TxnRequest, deepest, 0, deepest.length));
  const deeper = nest(TXN_DEPTH_MAX + 1);
  assert.throws(() => checker.check(deeper, 0, deeper.length), WireError);
  const far = nest(1000);
  assert.throws(() => decode(TxnRequest, far, 0, far.length), WireError);
  assert.throws(() => checker.check(far, 0, far.length), WireError);
});

test("a comparison whose operand is not the target's compares with zero", () => {
  const fields = new CompareFields();
  // target MOD with `version` 9
  fields.parse(Uint8Array.of(0x10, 2, 0x20, 9), 0, 4);
  assert.deepEqual([fields.target, fields.operand, fields.operandLo], [2, 0, 0]);
});

test("an operation that is empty has no kind, and of two the last counts", () => {
  const cursor = new TxnCursor();
  const bytes = Uint8Array.of(0x12, 0, 0x12, 7, 0x0a, 1, 0, 0x12, 2, 0x0a, 0, 0x1a, 0);
  cursor.open(bytes, 0, bytes.length);
  assert.ok(cursor.nextOp());
  assert.equal(cursor.opKind, OP_NONE);
  assert.ok(cursor.nextOp());
  assert.equal(cursor.opKind, OP_PUT);
  assert.equal(cursor.itemEnd - cursor.itemStart, 2);
  assert.ok(!cursor.nextOp());
  assert.equal(cursor.operationCountMax, 2);
});
