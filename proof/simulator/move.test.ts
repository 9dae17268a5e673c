import assert from "node:assert/strict";
import { test } from "node:test";
import { id64ToBigInt } from "../../core/base/ids.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const KEY = encodeUtf8("k");

test("no put fails or is lost while leadership moves, whichever member it is sent to, and each happens once", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const cluster = new SmallCluster({ memberCount: 3, seed });
    assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0);
    cluster.run(1_000);
    const puts: { readonly place: number; readonly atMs: number; readonly outcome: Outcome }[] = [];
    for (let move = 0; move < 6; move++) {
      const from = cluster.leader;
      const to = (from + 1) % 3;
      const targetID = id64ToBigInt(cluster.nodes[to]!.id);
      const moved = cluster.ask(from, METHOD.moveLeader, m.MoveLeaderRequest, { targetID });
      for (let i = 0; i < 120; i++) {
        const place = i % 3;
        const outcome = cluster.ask(place, METHOD.put, m.PutRequest, { key: KEY });
        puts.push({ place, atMs: cluster.nowMs, outcome });
        cluster.run(0.1);
      }
      cluster.run(300);
      assert.equal(moved.code, 0);
      assert.equal(cluster.leader, to);
    }
    const bad = puts.filter(({ outcome }) => outcome.code !== 0);
    assert.deepEqual(bad, [], `seed ${seed}: ${bad.length} of ${puts.length}`);
    // The first entries of the store are what members announce of themselves, which is no key.
    for (const node of cluster.nodes) assert.equal(node.member!.store.revision, 1 + puts.length);
  }
});
