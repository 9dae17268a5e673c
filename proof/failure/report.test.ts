import assert from "node:assert/strict";
import { test } from "node:test";
import { assignGaps, gapCdf, type TimelineItem, waitQuantiles } from "./report.ts";

test("gaps are counted and summed from each bound on", () => {
  const gaps = [10, 60, 300, 1200].map((lengthMs) => ({ atMs: 0, lengthMs }));
  assert.deepEqual(gapCdf(gaps), [
    { atLeastMs: 50, count: 3, sumMs: 1560 },
    { atLeastMs: 100, count: 2, sumMs: 1500 },
    { atLeastMs: 250, count: 2, sumMs: 1500 },
    { atLeastMs: 500, count: 1, sumMs: 1200 },
    { atLeastMs: 1000, count: 1, sumMs: 1200 },
  ]);
});

test("the wait from a random instant is equally distributed within each gap", () => {
  // Half of the time in short gaps, half in one long one.
  const gaps = [...Array.from({ length: 100 }, () => 10), 1000].map((lengthMs) => ({ atMs: 0, lengthMs }));
  const waits = waitQuantiles(gaps);
  assert.equal(waits["p100"], 1000);
  assert.equal(waits["p90"], 800);
  assert.ok(waits["p50"]! <= 11);
});

test("a gap belongs to the last fault that began before it ended", () => {
  const item = (atSeconds: number): TimelineItem => ({
    ...{ atSeconds, fault: "kill -9", victim: "m1", wasLeader: true, seconds: 1 },
    ...{ recoveredMs: 0, longestGapMs: 0, note: "" },
  });
  const timeline = [item(1), item(5)];
  assignGaps(timeline, [
    { atMs: 0, lengthMs: 900 },
    { atMs: 990, lengthMs: 700 },
    { atMs: 4900, lengthMs: 300 },
  ]);
  assert.deepEqual(
    timeline.map((it) => it.longestGapMs),
    [700, 300],
  );
});
