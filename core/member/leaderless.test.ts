import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { SmallCluster } from "../../proof/simulator/small-cluster.ts";

test("watchers that need a leader are told after three election timeouts without one, however often it is tried", () => {
  const cluster = new SmallCluster({ memberCount: 3 });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
  cluster.run(1_000);
  const last = cluster.member((cluster.leader + 1) % 3);
  let toldCount = 0;
  last.hub.failThoseThatNeedALeader = () => void toldCount++;
  for (const node of cluster.nodes)
    if (node.member !== last) node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
  cluster.run(3 * last.options.electionMs - 100);
  assert.equal(toldCount, 0);
  cluster.run(2 * last.options.electionMs);
  assert.ok(toldCount > 0, "nobody is told");
});
