import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../base/metrics.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { ApplyTimes } from "./apply-times.ts";
import { MemberCounters } from "./counters.ts";
import type { Member } from "./member.ts";
import { RangeTimes } from "./range-times.ts";

interface Scene {
  nowMs: number;
  readonly warnings: Record<string, string | number>[];
  readonly counters: MemberCounters;
  readonly times: ApplyTimes;
  /** Count and sum of the histogram of an operation. */
  series(op: string, success: boolean): readonly [count: number, seconds: number];
}

function scene(): Scene {
  const metrics = new Metrics();
  const warnings: Record<string, string | number>[] = [];
  const counters = new MemberCounters(metrics);
  const options = {
    events: { warn: (_: string, fields: Record<string, string | number>) => warnings.push(fields) },
  };
  const clock = { now: (): number => it.nowMs };
  const member = { clock, counters, options, warningApplyMs: 100 } as unknown as Member;
  const it: Scene = {
    nowMs: 0,
    warnings,
    counters,
    times: new ApplyTimes(member, metrics),
    series(op, success) {
      const of = (end: string): number =>
        Number(
          metrics
            .render()
            .split("\n")
            .find((line) =>
              line.startsWith(
                `etcd_server_apply_duration_seconds_${end}{version="v3",op="${op}",success="${success}"`,
              ),
            )
            ?.split(" ")[1] ?? 0,
        );
      return [of("count"), of("sum")];
    },
  };
  return it;
}

test("puts between two looks at the clock share their time, other requests have their own", () => {
  const it = scene();
  const { times } = it;
  times.begin();
  for (let i = 0; i < 4; i++) times.put(i < 3);
  it.nowMs += 8;
  times.beginOther();
  it.nowMs += 5;
  times.endOther(REQUEST_KIND.txn, true);
  times.put(true);
  it.nowMs += 1;
  times.end();
  assert.deepEqual(it.series("Put", true), [4, 0.007]);
  assert.deepEqual(it.series("Put", false), [1, 0.002]);
  assert.deepEqual(it.series("Txn", true), [1, 0.005]);
});

test("time that passes between two batches is nobody's", () => {
  const it = scene();
  for (let i = 0; i < 2; i++) {
    it.times.begin();
    it.times.put(true);
    it.nowMs += 1;
    it.times.end();
    it.nowMs += 500;
  }
  assert.deepEqual(it.series("Put", true), [2, 0.002]);
});

test("an entry that takes too long is counted as slow and logged with its operation", () => {
  const it = scene();
  it.times.begin();
  it.times.beginOther();
  it.nowMs += 100;
  it.times.endOther(REQUEST_KIND.deleteRange, true);
  assert.equal(it.counters.slowApply.value, 0);
  it.times.beginOther();
  it.nowMs += 150;
  it.times.endOther(REQUEST_KIND.deleteRange, true);
  assert.equal(it.counters.slowApply.value, 1);
  assert.deepEqual(it.warnings, [
    { took: "150.000ms", "expected-duration": "100ms", request: "DeleteRange", requests: 1 },
  ]);
});

test("a long replay of short puts is not slow, the same time for a few of them is", () => {
  const it = scene();
  for (const count of [80_000, 50]) {
    it.times.begin();
    for (let i = 0; i < count; i++) it.times.put(true);
    it.nowMs += 300;
    it.times.end();
  }
  assert.deepEqual(
    it.warnings.map((warning) => warning["requests"]),
    [50],
  );
});

test("the first range of a turn is measured, and the others count like it", () => {
  let nowMs = 0;
  const metrics = new Metrics();
  const times = new RangeTimes({ now: () => nowMs, unixSeconds: () => 0 }, metrics);
  const range = (ms: number, isServed: boolean): void => {
    times.begin();
    nowMs += ms;
    times.end(isServed);
  };
  range(2, true);
  range(50, true);
  range(1, false);
  times.flush();
  times.flush();
  range(4, true);
  times.flush();
  const page = metrics.render();
  assert.match(page, /_seconds_count\{success="true"\} 3$/m);
  assert.match(page, /_seconds_sum\{success="true"\} 0\.008$/m);
  assert.match(page, /_seconds_sum\{success="false"\} 0\.002$/m);
});
