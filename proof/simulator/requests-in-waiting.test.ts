// Calls of Maintenance that wait for slices of housekeeping: more than may wait are refused, and none is forgotten.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

function alone(): SmallCluster {
  const cluster = new SmallCluster({ memberCount: 1, limits: { housekeepingWaiterCountMax: 1 } });
  assert.ok(cluster.runUntil(() => cluster.leader === 0, 10_000) >= 0, "it leads");
  cluster.run(100);
  for (let i = 0; i < 4; i++)
    cluster.ask(0, METHOD.put, m.PutRequest, { key: encodeUtf8("k"), value: encodeUtf8(`v${i}`) });
  cluster.run(100);
  return cluster;
}

function oneIsServedAndOneRefused(cluster: SmallCluster, outcomes: readonly Outcome[]): void {
  const within = cluster.runUntil(() => outcomes.every((it) => it.code !== undefined), 5_000);
  assert.ok(within >= 0, `every call is answered, ${JSON.stringify(outcomes)}`);
  assert.deepEqual(
    outcomes.map((it) => it.text),
    ["", STATUS.tooManyRequests.text],
  );
}

test("a defragmentation that finds no room to wait is refused", () => {
  const cluster = alone();
  const ask = (): Outcome => cluster.ask(0, METHOD.defragment, m.DefragmentRequest, {});
  oneIsServedAndOneRefused(cluster, [ask(), ask()]);
});

test("a physical compaction that finds no room to wait is refused", () => {
  const cluster = alone();
  const ask = (revision: number): Outcome =>
    cluster.ask(0, METHOD.compact, m.CompactionRequest, { revision, physical: true });
  oneIsServedAndOneRefused(cluster, [ask(2), ask(3)]);
});
