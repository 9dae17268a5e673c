// A leader that falls silent, as a stopped process or one behind a broken link does: what was sent to it is lost, and nobody may have to pay
// for that longer than until the next one leads.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const ELECTION_MS = 500;
/** Fewer than are lost: places that stayed taken would keep every later write out. */
const LEAST = 4;

function led(): SmallCluster {
  const limits = { admittedCountMin: LEAST, proposalCountMax: 64 };
  const cluster = new SmallCluster({ memberCount: 3, limits });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, 10_000) >= 0, "somebody leads");
  cluster.run(2_000);
  return cluster;
}

function put(cluster: SmallCluster, place: number): Outcome {
  return cluster.ask(place, METHOD.put, m.PutRequest, { key: encodeUtf8("k") });
}

function puts(cluster: SmallCluster, places: readonly number[], count: number): Outcome[] {
  return places.flatMap((place) => Array.from({ length: count }, () => put(cluster, place)));
}

/** Nothing goes from or to this member. */
function silence(cluster: SmallCluster, place: number): void {
  for (let other = 0; other < 3; other++) {
    if (other === place) continue;
    cluster.network.close(place, other);
    cluster.network.close(other, place);
  }
}

test("writes that went to a leader that fell silent fail once another one leads, and keep no later write out", () => {
  const cluster = led();
  const silent = cluster.leader;
  const others = [0, 1, 2].filter((place) => place !== silent);
  silence(cluster, silent);
  const lost = puts(cluster, others, 2 * LEAST);
  const isNew = (): boolean => others.some((place) => cluster.member(place).isLeader);
  assert.ok(cluster.runUntil(isNew, 5 * ELECTION_MS) >= 0, "another one leads");
  cluster.run(50);
  assert.deepEqual(
    lost.map((it) => it.text),
    lost.map(() => STATUS.leaderChanged.text),
  );
  const later = puts(cluster, others, LEAST);
  cluster.run(50);
  assert.deepEqual(
    later.map((it) => it.code),
    later.map(() => 0),
  );
});

test("what a silent leader had in its own log alone fails when it follows another one, and never happens", () => {
  const cluster = led();
  const silent = cluster.leader;
  const others = [0, 1, 2].filter((place) => place !== silent);
  const revision = cluster.member(silent).store.revision;
  silence(cluster, silent);
  const lost = puts(cluster, [silent], LEAST);
  cluster.run(5 * ELECTION_MS);
  assert.ok(
    lost.every((it) => it.code === undefined),
    "nobody knows yet",
  );
  cluster.network.heal();
  cluster.run(2_000);
  assert.deepEqual(
    lost.map((it) => it.text),
    lost.map(() => STATUS.leaderChanged.text),
  );
  for (const place of [silent, ...others]) assert.equal(cluster.member(place).store.revision, revision);
});
