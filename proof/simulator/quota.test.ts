import assert from "node:assert/strict";
import { test } from "node:test";
import { id64ToBigInt } from "../../core/base/ids.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { ALARM_NOSPACE } from "../../core/member/alarms.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const KIB = 1024;
const key = encodeUtf8("key");

test("the quota counts what etcd counts: a put that would reach it is refused and raises the alarm", () => {
  // As many bytes as the put below counts, 256 + 3 + 100, are just too many beside what is there.
  const world = new SmallCluster({ memberCount: 1, limits: { quotaBytes: 359 } });
  assert.ok(world.runUntil(() => world.leader === 0, 10_000) >= 0, "it leads");
  world.run(1_000);
  const small = world.ask(0, METHOD.put, m.PutRequest, { key, value: new Uint8Array(99) });
  const txn = world.ask(0, METHOD.txn, m.TxnRequest, {
    success: [{ request_put: { key, value: new Uint8Array(1) } }],
    failure: [{ request_put: { key, value: new Uint8Array(100) } }],
  });
  assert.equal(small.text, "", "it is below the quota");
  assert.equal(txn.text, STATUS.noSpace.text);
  world.run(500);
  assert.ok(world.member(0).alarms.isNoSpace);
});

test("a full store takes writes again after deletions, a compaction, a defragmentation and the alarm's end", () => {
  const limits = { quotaBytes: 60 * KIB, dataSegmentSizeBytes: 4 * KIB };
  const world = new SmallCluster({ memberCount: 3, limits });
  assert.ok(world.runUntil(() => world.leader >= 0, 10_000) >= 0, "it leads");
  world.run(1_000);
  const { leader } = world;
  const put = (i: number) =>
    world.ask(leader, METHOD.put, m.PutRequest, { key: encodeUtf8(`key ${i}`), value: new Uint8Array(400) });
  for (let round = 0; round < 3; round++) {
    const outcomes: Outcome[] = [];
    for (let i = 0; i < 300; i++) {
      outcomes.push(put(i));
      if (i % 25 === 24) world.run(1);
    }
    world.run(1_000);
    assert.equal(outcomes[0]!.text, "", `round ${round}`);
    assert.equal(outcomes.at(-1)!.text, STATUS.noSpace.text, `round ${round}`);
    const all = { key: new Uint8Array(1), range_end: new Uint8Array(1) };
    const deleted = world.ask(leader, METHOD.deleteRange, m.DeleteRangeRequest, all);
    world.run(100);
    const { revision } = world.member(leader).store;
    const compacted = world.ask(leader, METHOD.compact, m.CompactionRequest, { revision, physical: true });
    world.run(100);
    const defragmented = [0, 1, 2].map((place) =>
      world.ask(place, METHOD.defragment, m.DefragmentRequest, {}),
    );
    world.run(100);
    const cleared = world
      .member(leader)
      .alarms.list(ALARM_NOSPACE)
      .map(({ memberId }) => ({ action: 2, memberID: id64ToBigInt(memberId), alarm: 1 }))
      .map((request) => world.ask(leader, METHOD.alarm, m.AlarmRequest, request));
    world.run(100);
    for (const { code, text } of [deleted, compacted, ...defragmented, ...cleared])
      assert.equal(code, 0, text);
    assert.ok(cleared.length > 0);
  }
});
