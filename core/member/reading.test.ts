import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { Metrics } from "../base/metrics.ts";
import { METHOD } from "../wire/service.ts";
import { RangeRequest } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import type { Call } from "./call.ts";
import type { Member } from "./member.ts";
import { RangeTimes } from "./range-times.ts";
import { Reading } from "./reading.ts";
import type { ReadProbe, ReadQueue } from "./reads.ts";

function rangeTimes(): RangeTimes {
  return new RangeTimes({ now: () => 0, unixSeconds: () => 0 }, new Metrics());
}

test("after a restart a serializable read waits until all that was shown before is applied again", () => {
  const served: string[] = [];
  const queued: string[] = [];
  const member = {
    appliedIndex: 3,
    raft: { lastIndex: 5, isLeader: false },
    rangeTimes: rangeTimes(),
    isLearner: false,
    isSoleVoter: false,
    kv: { checkRange: () => undefined, range: () => void served.push(`applied ${member.appliedIndex}`) },
  };
  const queue = { hasRoom: true, add: () => void queued.push("read") };
  const reading = new Reading(member as unknown as Member, queue as unknown as ReadQueue);
  const writer = new ByteWriter(64);
  encode(RangeRequest, { key: Uint8Array.of(97), serializable: true }, writer);
  const call = { method: METHOD.range, finish: () => undefined } as unknown as Call;
  const read = (): void => reading.range(call, writer.bytes, 0, writer.position);
  read();
  assert.deepEqual([served, queued], [[], ["read"]]);
  member.appliedIndex = 5;
  read();
  assert.deepEqual([served, queued], [["applied 5"], ["read"]]);
});

test("after a restart one confirmed read is enough for serializable ones, though the log's end was replaced", () => {
  let servedCount = 0;
  const member = {
    appliedIndex: 4,
    raft: { lastIndex: 5, isLeader: false },
    rangeTimes: rangeTimes(),
    isSoleVoter: false,
    kv: { checkRange: () => undefined, range: () => void servedCount++ },
  };
  const reading = new Reading(
    member as unknown as Member,
    { hasRoom: true, add: () => undefined } as unknown as ReadQueue,
  );
  const writer = new ByteWriter(64);
  encode(RangeRequest, { key: Uint8Array.of(97), serializable: true }, writer);
  const call = { method: METHOD.range, finish: () => undefined } as unknown as Call;
  reading.serveConfirmed(call, writer.bytes, 0, writer.position);
  reading.range(call, writer.bytes, 0, writer.position);
  assert.equal(servedCount, 2);
});

test("after a restart one answered question is enough for all that wait for the past", () => {
  const asked: ReadProbe[] = [];
  const member = {
    appliedIndex: 4,
    raft: { lastIndex: 5, isLeader: false },
    isSoleVoter: false,
    options: { waker: { wake: () => undefined } },
  };
  const queue = { hasRoom: true, addProbe: (probe: ReadProbe) => void asked.push(probe) };
  const reading = new Reading(member as unknown as Member, queue as unknown as ReadQueue);
  const told: unknown[] = [];
  reading.afterPast((failure) => told.push(failure));
  assert.deepEqual([told, asked.length, reading.showsItsPast], [[], 1, false]);
  asked[0]!(undefined);
  reading.afterPast((failure) => told.push(failure));
  assert.deepEqual([told, asked.length, reading.showsItsPast], [[undefined, undefined], 1, true]);
});
