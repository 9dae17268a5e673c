import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Metrics } from "../base/metrics.ts";
import { METHOD } from "../wire/service.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { Admission } from "./admission.ts";
import type { Call } from "./call.ts";
import { MemberCounters } from "./counters.ts";
import { onUnary } from "./dispatch.ts";
import type { Member } from "./member.ts";

const admission = (): Admission =>
  new Admission({ ...DEFAULT_LIMITS, admittedMs: 100, admittedCountMin: 1_000, proposalCountMax: 20_000 });

test("as many may wait as are answered in time", () => {
  const subject = admission();
  assert.equal(subject.hasRoom(19_999), true);
  assert.equal(subject.hasRoom(20_000), false);
  subject.answered(8_000, 400, 0);
  assert.equal(subject.countMax, 2_000);
  assert.equal(subject.hasRoom(1_999), true);
  assert.equal(subject.hasRoom(2_000), false);
});

test("a stall while few wait refuses nobody of a usual crowd", () => {
  const subject = admission();
  subject.answered(3, 5_000, 0);
  assert.equal(subject.countMax, 1_000);
});

test("those who waited in time make room for as many as would have", () => {
  const subject = admission();
  subject.answered(20_000, 10_000, 0);
  assert.equal(subject.countMax, 1_000);
  subject.answered(1_000, 80, 0);
  assert.equal(subject.countMax, 1_250);
  // A thousand puts are soon done, but that twenty thousand are is not known yet.
  subject.answered(1_250, 10, 0);
  assert.equal(subject.countMax, 2_500);
  for (let turn = 0; turn < 4; turn++) subject.answered(subject.countMax, 0, 0);
  assert.equal(subject.countMax, 20_000);
});

test("a few who are answered at once say nothing of many, and an overload is forgotten with time", () => {
  const subject = admission();
  subject.answered(20_000, 10_000, 5_000);
  for (let turn = 0; turn < 1_000; turn++) subject.answered(10, 1, 5_999);
  assert.equal(subject.countMax, 1_000);
  subject.answered(10, 1, 6_000);
  assert.equal(subject.countMax, 1_125);
  for (let second = 7; second < 40; second++) subject.answered(10, 1, second * 1_000);
  assert.equal(subject.countMax, 20_000);
});

test("at whatever overload the wait settles near its bound", () => {
  for (const msPerWrite of [0.06, 0.2, 0.5]) {
    const subject = admission();
    let waitedMs = 10;
    for (let turn = 0; turn < 100; turn++) {
      // Twice of what can be done arrives while a turn runs.
      const arrived = (2 * waitedMs) / msPerWrite;
      const taken = Math.min(arrived, subject.countMax);
      waitedMs = Math.max(1, taken * msPerWrite);
      subject.answered(taken, waitedMs, 0);
    }
    const boundMs = Math.max(101, 1_000 * msPerWrite);
    assert.ok(waitedMs >= 50 && waitedMs <= boundMs, `${waitedMs} ms at ${msPerWrite} ms a write`);
  }
});

test("a write without room is refused before it is looked at, and counted", () => {
  const metrics = new Metrics();
  const counters = new MemberCounters(metrics);
  const refusals: Status[] = [];
  const member = {
    admission: { hasRoom: () => false },
    counters,
    pending: { count: 5 },
    rejoin: {},
    hasLeader: true,
  };
  for (const method of [METHOD.put, METHOD.deleteRange, METHOD.txn]) {
    const call = { method, fail: (status: Status) => void refusals.push(status) };
    onUnary(member as unknown as Member, call as unknown as Call, new Uint8Array(0), 0, 0);
  }
  assert.deepEqual(refusals, [STATUS.tooManyRequests, STATUS.tooManyRequests, STATUS.tooManyRequests]);
  assert.match(metrics.render(), /^holdfast_server_refused_total 3$/m);
});
