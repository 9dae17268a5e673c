import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdError } from "./errors.ts";
import { Client } from "./client.ts";
import { compare, compareLease } from "./kv.ts";
import { selectKeys } from "./range.ts";

test("Client.connect refuses what is no endpoint", () => {
  for (const endpoints of ["", "ftp://a:1", "a:99999", "127.0.0.1:1,", []]) {
    assert.throws(() => Client.connect({ endpoints }), TypeError, String(endpoints));
  }
});

test("selectKeys makes the ranges that etcd's client makes", () => {
  const hex = (selection: { key: Uint8Array; range_end: Uint8Array }): string[] =>
    [selection.key, selection.range_end].map((it) => Buffer.from(it).toString("hex"));
  assert.deepEqual(hex(selectKeys("a", {})), ["61", ""]);
  assert.deepEqual(hex(selectKeys("a", { prefix: true })), ["61", "62"]);
  assert.deepEqual(hex(selectKeys("", { prefix: true })), ["00", "00"]);
  assert.deepEqual(hex(selectKeys("", { fromKey: true })), ["00", "00"]);
  assert.deepEqual(hex(selectKeys("a", { fromKey: true })), ["61", "00"]);
  assert.deepEqual(hex(selectKeys("a", { rangeEnd: "c" })), ["61", "63"]);
  assert.throws(() => selectKeys("a", { prefix: true, rangeEnd: "b" }), TypeError);
});

test("conditions carry their operand in the member of the union that their target names", () => {
  const key = new TextEncoder().encode("k");
  assert.deepEqual(compare("k", "create", "=", 0), { key, result: 0, target: 1, create_revision: 0 });
  assert.deepEqual(compareLease("k", "!=", 5n), { key, result: 3, target: 4, lease: 5n });
});

test("a call ends with DeadlineExceeded when no endpoint can be reached", async () => {
  // Port 1 of the local host: nobody listens there, the refusal comes at once.
  const client = Client.connect({ endpoints: "127.0.0.1:1", timeoutMs: 120 });
  await assert.rejects(client.kv.get("a"), (error: unknown) => {
    assert.ok(error instanceof EtcdError);
    assert.deepEqual([error.code, error.message], [4, "context deadline exceeded"]);
    return true;
  });
  client.close();
  await assert.rejects(
    client.kv.get("a"),
    (error: unknown) => error instanceof EtcdError && error.code === 1,
  );
});
