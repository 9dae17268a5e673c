import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { SmallCluster } from "./small-cluster.ts";

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
