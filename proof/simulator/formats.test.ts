import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { FORMAT_VERSION, PRIVATE_KIND } from "../../core/member/format.ts";
import { ENTRY_NORMAL } from "../../core/raft/log.ts";
import { LeaseGrantRequest } from "../../core/wire/messages.ts";
import { REQUEST_KIND, RequestEnvelope } from "../../core/wire/raft-request.ts";
import { METHOD } from "../../core/wire/service.ts";
import { SmallCluster } from "./small-cluster.ts";

/** How many entries of each kind the leader's log has. */
function kinds(cluster: SmallCluster): Map<number, number> {
  const { log } = cluster.member(cluster.leader).raft;
  const envelope = new RequestEnvelope();
  const counts = new Map<number, number>();
  for (let index = log.memoryFirst; index <= log.lastIndex; index++) {
    if (log.type(index) !== ENTRY_NORMAL || log.start(index) === log.end(index)) continue;
    envelope.parse(log.bytes(index), log.start(index), log.end(index));
    counts.set(envelope.kind, (counts.get(envelope.kind) ?? 0) + 1);
  }
  return counts;
}

function grantAndLetExpire(cluster: SmallCluster, count: number): void {
  for (let i = 0; i < count; i++)
    cluster.ask(cluster.leader, METHOD.leaseGrant, LeaseGrantRequest, { TTL: 1, ID: 0n });
  cluster.run(4_000);
  assert.equal(cluster.member(cluster.leader).lessor.count, 0, "all leases have ended");
}

test("while a member of the version before is there, no entry that it does not know is proposed", () => {
  const cluster = new SmallCluster({ memberCount: 3 });
  // Before it has said anything to anybody.
  (cluster.member(2).formats as { own: number }).own = 1;
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
  cluster.run(1_000);
  grantAndLetExpire(cluster, 5);
  const before = kinds(cluster);
  for (const kind of Object.values(PRIVATE_KIND)) assert.equal(before.get(kind), undefined, `kind ${kind}`);
  assert.equal(before.get(REQUEST_KIND.leaseRevoke), 5);

  // Its program is updated.
  const node = cluster.nodes[2]!;
  node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
  node.start();
  const isRaised = (): boolean => cluster.nodes.every((one) => one.member?.formatVersion === FORMAT_VERSION);
  assert.ok(cluster.runUntil(isRaised, 10_000) >= 0, "the format is raised");
  grantAndLetExpire(cluster, 5);
  const after = kinds(cluster);
  assert.equal(after.get(PRIVATE_KIND.formatVersionSet), 1);
  assert.ok((after.get(PRIVATE_KIND.leaseRevokeBatch) ?? 0) >= 1);
  assert.equal(after.get(REQUEST_KIND.leaseRevoke), 5, "no more single ones");
});

test("a new cluster has the newest format as soon as it has a leader", () => {
  const cluster = new SmallCluster({ memberCount: 3 });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
  cluster.run(1_000);
  // Each asks the others what they know of it before it listens to them, and their first frames are lost meanwhile.
  for (const { member } of cluster.nodes) assert.equal(member!.formatVersion, FORMAT_VERSION);
});

test("the format outlives a restart, with and without a checkpoint", () => {
  const cluster = new SmallCluster({ memberCount: 1 });
  assert.ok(cluster.runUntil(() => cluster.member(0).formatVersion === FORMAT_VERSION, 5_000) >= 0);
  const node = cluster.nodes[0]!;
  for (const checkpoint of [false, true]) {
    if (checkpoint) {
      cluster.member(0).housekeeping.checkpointer.want();
      node.wake();
      cluster.run(1_000);
    }
    node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
    node.start();
    cluster.run(2_000);
    assert.equal(cluster.member(0).formatVersion, FORMAT_VERSION);
    assert.ok(cluster.member(0).divergence.effects.isKnown);
    assert.equal(kinds(cluster).get(PRIVATE_KIND.formatVersionSet) ?? 0, checkpoint ? 0 : 1);
  }
});
