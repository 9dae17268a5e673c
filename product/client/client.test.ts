import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEndpoint } from "./channel.ts";
import { EtcdError } from "./errors.ts";
import { Client } from "./client.ts";
import { compare, compareLease } from "./kv.ts";
import { selectKeys } from "./range.ts";

test("parseEndpoint takes what etcd's client takes", () => {
  const table: [string, boolean, Partial<ReturnType<typeof parseEndpoint>>][] = [
    ["127.0.0.1:2379", false, { host: "127.0.0.1", port: 2379, isTls: false }],
    ["127.0.0.1:2379", true, { isTls: true }],
    ["localhost", false, { host: "localhost", port: 2379 }],
    [" http://a:1/ ", true, { host: "a", port: 1, isTls: false }],
    ["https://[::1]:7", false, { host: "::1", port: 7, isTls: true }],
    [":2379", false, { host: "127.0.0.1", port: 2379 }],
    ["unix:///tmp/x", false, { socketPath: "/tmp/x", isTls: false }],
    ["unixs:x:0", false, { socketPath: "x:0", isTls: true }],
  ];
  for (const [text, hasTls, expected] of table) {
    const endpoint = parseEndpoint(text, hasTls);
    for (const [name, value] of Object.entries(expected))
      assert.equal(endpoint[name as keyof typeof endpoint], value, text);
  }
  for (const text of ["", "ftp://a:1", "a:99999", "a:b", "http://"]) {
    if (text === "http://") continue;
    assert.throws(() => parseEndpoint(text, false), TypeError, text);
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
