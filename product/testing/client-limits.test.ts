import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, EtcdError } from "../client/index.ts";
import { startCluster } from "./index.ts";

function refusedWith(text: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof EtcdError);
    assert.deepEqual([error.code, error.message], [8, text]);
    return true;
  };
}

test("a client takes no larger answer and sends no larger request than it was told", async () => {
  const cluster = await startCluster();
  const { endpoints } = cluster;
  const free = Client.connect({ endpoints });
  const bound = Client.connect({ endpoints, receiveSizeBytesMax: 1000, sendSizeBytesMax: 900 });
  await free.kv.put("k", "v".repeat(3000));
  await assert.rejects(
    bound.kv.put("k", "v".repeat(1000)),
    refusedWith("trying to send message larger than max (1006 vs. 900)"),
  );
  await assert.rejects(bound.kv.get("k"), (error: unknown) => {
    assert.ok(error instanceof EtcdError);
    assert.match(error.message, /^grpc: received message larger than max \(\d+ vs\. 1000\)$/);
    return true;
  });
  // Neither ended the connection, nor changed what is there.
  await bound.kv.put("small", "v");
  assert.equal((await bound.kv.get("small")).kvs.length, 1);
  assert.equal((await free.kv.get("k")).kvs[0]!.value.length, 3000);
  free.close();
  bound.close();
  await cluster.stop();
});
