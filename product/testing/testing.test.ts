import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../client/index.ts";
import { startCluster } from "./index.ts";

test("a cluster of three starts inside a test, loses a member, takes it back, and leaves nothing behind", async () => {
  const cluster = await startCluster({ members: 3 });
  const [first, second, third] = cluster.members;
  const client = Client.connect({ endpoints: cluster.endpoints });
  await client.kv.put("greeting", "hello");
  await first!.stop();
  assert.equal(first!.isRunning, false);
  const others = Client.connect({ endpoints: [second!.endpoint, third!.endpoint] });
  await others.kv.put("greeting", "still here", { timeoutMs: 20_000 });
  others.close();
  await first!.start();
  const alone = Client.connect({ endpoints: [first!.endpoint] });
  const { kvs } = await alone.kv.get("greeting", { timeoutMs: 20_000 });
  assert.equal(new TextDecoder().decode(kvs[0]!.value), "still here");
  alone.close();
  client.close();
  await cluster.stop();
  assert.ok(cluster.members.every((member) => !member.isRunning));
});

test("a single member starts inside a test, and two clusters do not meet", async () => {
  const [one, other] = await Promise.all([startCluster(), startCluster()]);
  const client = Client.connect({ endpoints: one.endpoints });
  const stranger = Client.connect({ endpoints: other.endpoints });
  await client.kv.put("k", "v");
  assert.equal((await stranger.kv.get("k")).kvs.length, 0);
  client.close();
  stranger.close();
  await Promise.all([one.stop(), other.stop()]);
});
