import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "./histogram.ts";
import { judge, measure, parseSlo, type Window } from "./slo.ts";
import { formatCount, formatDuration, parseCount, parseDurationUs } from "./units.ts";

function latencies(...us: number[]): Histogram {
  const histogram = new Histogram(2);
  for (const one of us) histogram.record(one);
  return histogram;
}

function window(startSecond: number, histogram: Histogram, errors = 0): Window {
  return { startSecond, latencies: histogram, errors, seconds: 1 };
}

const options = { windowSeconds: 1, windowShare: 1 };

test("slo: the words of an objective are parsed", () => {
  const parsed = parseSlo("p99<20ms, p99.9<50ms,errors<0.01%,max<1s,mean<500us,rate>4k");
  assert.deepEqual(
    parsed.map((one) => one.kind),
    ["quantile", "quantile", "errors", "quantile", "mean", "rate"],
  );
  assert.ok(parsed[1]!.kind === "quantile" && Math.abs(parsed[1]!.share - 0.999) < 1e-12);
  assert.ok(parsed[2]!.kind === "errors" && Math.abs(parsed[2]!.boundShare - 0.0001) < 1e-12);
  for (const bad of ["p99", "p99<20", "p0<1ms", "speed<3ms", "errors<many"])
    assert.throws(() => parseSlo(bad), Error, bad);
});

test("slo: a run that keeps its objective on average is broken by one bad window", () => {
  const good = Array.from({ length: 1000 }, () => 1000);
  const whole = latencies(...good, ...good, 90_000, 90_000);
  const windows = [
    window(0, latencies(...good)),
    window(1, latencies(...good, 90_000, 90_000)),
    window(2, latencies(90_000)),
  ];
  const verdict = judge(parseSlo("p99<20ms"), { latencies: whole, errors: 0, seconds: 3 }, windows, options);
  assert.equal(verdict.objectives[0]!.kept, true);
  assert.equal(verdict.kept, false);
  assert.equal(verdict.windowsKept, 2);
  assert.equal(verdict.worst?.atSecond, 2);
});

test("slo: a window in which nothing was served is the worst one", () => {
  const verdict = judge(
    parseSlo("p50<20ms"),
    { latencies: latencies(1, 2), errors: 0, seconds: 2 },
    [window(0, latencies(1, 2)), window(1, latencies())],
    options,
  );
  assert.equal(verdict.kept, false);
  assert.deepEqual(verdict.worst, { atSecond: 1, objective: "p50<20ms", value: "nothing" });
});

test("slo: errors are a share of all operations, and none at all keeps any bound", () => {
  const [errors] = parseSlo("errors<1%");
  assert.equal(measure(errors!, window(0, latencies(1, 2, 3), 1)).kept, false);
  assert.equal(measure(parseSlo("errors<0%")[0]!, window(0, latencies(1))).kept, true);
});

test("slo: a bound that is reached exactly is not kept", () => {
  assert.equal(measure(parseSlo("p50<1ms")[0]!, window(0, latencies(1000))).kept, false);
  assert.equal(measure(parseSlo("p50<1ms")[0]!, window(0, latencies(999))).kept, true);
});

test("units: durations and counts read and print as people write them", () => {
  assert.equal(parseDurationUs("1m30s"), 90_000_000);
  assert.equal(parseDurationUs("250us"), 250);
  assert.equal(parseCount("4k"), 4000);
  assert.equal(parseCount("1.5M"), 1_500_000);
  assert.throws(() => parseDurationUs("30"), /30s|form/);
  assert.deepEqual(
    [formatDuration(740), formatDuration(2150), formatDuration(12_340_000)],
    ["740 us", "2.15 ms", "12.3 s"],
  );
  assert.equal(formatCount(1234567), "1,234,567");
});
