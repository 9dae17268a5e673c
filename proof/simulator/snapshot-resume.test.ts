import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { PutRequest } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { SmallCluster } from "./small-cluster.ts";

const VALUE = new Uint8Array(100_000).fill(118);

function bytesHere(cluster: SmallCluster): number[] {
  return cluster.events
    .map((line) => /receiving database snapshot .*"bytes-here":(\d+)/.exec(line))
    .filter((match) => match !== null)
    .map((match) => Number(match[1]));
}

test("a member whose connection breaks in the middle of a snapshot gets only the rest", () => {
  const limits = { checkpointEntryCount: 100, catchUpEntryCount: 5 };
  const cluster = new SmallCluster({ memberCount: 3, limits });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
  cluster.run(500);
  const { leader } = cluster;
  const behind = (leader + 1) % 3;
  const node = cluster.nodes[behind]!;
  node.pause();
  for (let i = 0; i < 250; i++) {
    const request = { key: encodeUtf8(`key ${i}`), value: VALUE, lease: 0n, prev_kv: false };
    cluster.ask(leader, METHOD.put, PutRequest, { ...request, ignore_value: false, ignore_lease: false });
    if (i % 10 === 0) cluster.run(5);
  }
  cluster.run(2_000);
  // What waited for it is gone with its connection.
  node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
  node.start();
  assert.ok(
    cluster.runUntil(() => bytesHere(cluster).length > 0, 10_000) >= 0,
    cluster.events.slice(-5).join("\n"),
  );
  cluster.run(1);
  cluster.peers.reset(leader, behind);
  const hasAll = (): boolean => cluster.member(behind).appliedIndex === cluster.member(leader).appliedIndex;
  assert.ok(cluster.runUntil(hasAll, 20_000) >= 0, cluster.events.slice(-10).join("\n"));
  const [first, second, ...others] = bytesHere(cluster);
  assert.equal(first, 0);
  assert.ok(second !== undefined && second > 100_000, `${second} bytes were there`);
  assert.deepEqual(others, []);
  assert.equal(cluster.member(behind).store.keyCount, cluster.member(leader).store.keyCount);
});
