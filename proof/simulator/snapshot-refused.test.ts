import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import type { LeaseImage } from "../../core/lease/lease-image.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { SmallCluster } from "./small-cluster.ts";

function putMany(cluster: SmallCluster, prefix: string): void {
  const value = new Uint8Array(50);
  for (let i = 0; i < 150; i++) {
    cluster.ask(cluster.leader, METHOD.put, m.PutRequest, { key: encodeUtf8(`${prefix} ${i}`), value });
    if (i % 10 === 0) cluster.run(5);
  }
  cluster.run(1_000);
}

/** A cluster with a leader, and the place of a member that is to fall behind. */
function leadingCluster(): { cluster: SmallCluster; leader: number; behind: number } {
  const limits = { checkpointEntryCount: 40, catchUpEntryCount: 5 };
  const cluster = new SmallCluster({ memberCount: 3, limits });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
  cluster.run(500);
  const { leader } = cluster;
  return { cluster, leader, behind: (leader + 1) % 3 };
}

test("a snapshot whose leases cannot be read is refused and asked for again, and its receiver goes on", () => {
  const { cluster, leader, behind } = leadingCluster();
  const { image } = cluster.member(leader).lessor;
  const slice = image.slice.bind(image);
  const broken: LeaseImage["slice"] = (rowCount) => {
    const bytes = slice(rowCount);
    if (bytes !== undefined) bytes[0] = 99;
    return bytes;
  };
  image.slice = broken;
  const node = cluster.nodes[behind]!;
  node.pause();
  putMany(cluster, "first");
  node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
  node.start();
  const refusals = (): string[] =>
    cluster.events.filter((line) => line.includes(`m${behind}: a received snapshot is refused`));
  assert.ok(cluster.runUntil(() => refusals().length >= 2, 10_000) >= 0, cluster.events.slice(-5).join("\n"));
  assert.match(
    refusals()[0]!,
    /leases cannot be read: .*version 99 is not 1 \(file member\/data\.[0-9-]+\/manifest/,
  );
  assert.ok(node.isUp);
  image.slice = slice;
  putMany(cluster, "second");
  const hasAll = (): boolean => cluster.member(behind).appliedIndex === cluster.member(leader).appliedIndex;
  assert.ok(cluster.runUntil(hasAll, 20_000) >= 0, cluster.events.slice(-10).join("\n"));
  assert.equal(cluster.member(behind).store.keyCount, cluster.member(leader).store.keyCount);
  // What was refused does not lie about.
  const directories = node.disk.list("member").filter((name) => name.startsWith("data"));
  const kept = directories.filter((name) => node.disk.list(`member/${name}`).length > 0);
  assert.ok(kept.length <= 2, kept.join(" "));
});

test("a snapshot whose pieces are damaged on the way is refused by the checkpoint's checksums, and its receiver goes on", () => {
  const { cluster, leader, behind } = leadingCluster();
  const node = cluster.nodes[behind]!;
  node.pause();
  putMany(cluster, "first");
  const { disk } = cluster.nodes[leader]!;
  const name = disk.list("member/data").find((each) => each.endsWith(".seg"))!;
  const flip = (): void => {
    const file = disk.open(`member/data/${name}`, "bulk");
    const byte = new Uint8Array(1);
    file.read(byte, 0, 1, 200);
    byte[0]! ^= 1;
    file.write(byte, 0, 1, 200);
    file.close();
  };
  flip();
  node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
  node.start();
  const refusals = (): string[] =>
    cluster.events.filter((line) => line.includes(`m${behind}: a received snapshot is refused`));
  assert.ok(cluster.runUntil(() => refusals().length >= 2, 10_000) >= 0, cluster.events.slice(-5).join("\n"));
  assert.match(refusals()[0]!, /of a segment do not match their checksum/);
  assert.equal(cluster.member(behind).store.keyCount, 0, "nothing of it was adopted");
  flip();
  const hasAll = (): boolean => cluster.member(behind).appliedIndex === cluster.member(leader).appliedIndex;
  assert.ok(cluster.runUntil(hasAll, 20_000) >= 0, cluster.events.slice(-10).join("\n"));
  assert.equal(cluster.member(behind).store.keyCount, cluster.member(leader).store.keyCount);
});
