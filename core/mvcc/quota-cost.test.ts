import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import * as m from "../wire/messages.ts";
import { encode, type Input, type MessageOf } from "../wire/schema.ts";
import { TestBench, bytes } from "./test-bench.ts";

const put = (key: string, value: string): { request_put: { key: Uint8Array; value: Uint8Array } } => ({
  request_put: { key: bytes(key), value: bytes(value) },
});

test("the quota counts 256 bytes, key and value of a put, and the costlier branch of a transaction", () => {
  const { machine } = new TestBench();
  const writer = new ByteWriter(256);
  encode(m.PutRequest, { key: bytes("abc"), value: bytes("12345"), lease: 7n }, writer);
  assert.equal(machine.checkPut(writer.bytes, 0, writer.position), undefined);
  assert.equal(machine.putCostBytes, 256 + 8);
  const cost = (request: Input<MessageOf<typeof m.TxnRequest>>): number => {
    writer.reset();
    encode(m.TxnRequest, request, writer);
    return machine.txnCostBytes(writer.bytes, 0, writer.position);
  };
  assert.equal(cost({ success: [put("a", "1")], failure: [put("a", "1"), put("b", "22")] }), 2 * 256 + 5);
  assert.equal(cost({ success: [{ request_txn: { success: [put("a", "1")], failure: [] } }] }), 258);
  assert.equal(cost({ success: [{ request_delete_range: { key: bytes("a") } }], failure: [] }), 0);
});
