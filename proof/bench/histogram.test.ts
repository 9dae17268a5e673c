import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { fromPairs, Histogram, isSupported, percentilesOf, toPairs } from "./histogram.ts";

test("histogram: percentiles lie within a thousandth of the exact nearest-rank ones", () => {
  const seed = Date.now() >>> 0;
  const prng = new Prng(seed);
  for (let round = 0; round < 20; round++) {
    const histogram = new Histogram();
    const values: number[] = [];
    const spread = prng.between(1, 25);
    for (let i = 0; i < 5000; i++) {
      const us = Math.floor(2 ** (prng.float() * spread));
      values.push(us);
      histogram.record(us);
    }
    values.sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1]) {
      const exact = values[Math.max(0, Math.ceil(share * values.length - 1e-6) - 1)]!;
      const got = histogram.quantile(share);
      assert.ok(
        got >= exact && got <= exact * 1.001 + 1,
        `seed ${seed}: p${share} is ${got}, exactly ${exact}`,
      );
    }
  }
});

test("histogram: values below 2048 us are exact, and max, min and mean always are", () => {
  const histogram = new Histogram();
  for (const us of [1, 2, 2047, 123_456.75]) histogram.record(us);
  assert.equal(histogram.quantile(0.25), 1);
  assert.equal(histogram.quantile(0.75), 2047);
  const report = percentilesOf(histogram);
  assert.equal(report.maxUs, 123_456.8);
  assert.equal(report.minUs, 1);
  assert.ok(Math.abs(histogram.mean() - (1 + 2 + 2047 + 123_456.75) / 4) < 1e-9);
});

test("histogram: latencies above a minute are counted and their maximum is kept", () => {
  const histogram = new Histogram();
  histogram.record(10);
  histogram.record(90_000_000);
  assert.equal(histogram.count, 2);
  assert.equal(histogram.quantile(1), 90_000_000);
  assert.equal(histogram.max, 90_000_000);
});

test("histogram: an empty one answers zeros", () => {
  const report = percentilesOf(new Histogram());
  assert.deepEqual([report.p50Us, report.maxUs, report.minUs, report.meanUs], [0, 0, 0, 0]);
});

test("histogram: adding two is recording into one", () => {
  const prng = new Prng(7);
  const both = new Histogram(2);
  const left = new Histogram(2);
  const right = new Histogram(2);
  for (let i = 0; i < 3000; i++) {
    const us = prng.below(1_000_000);
    both.record(us);
    (i % 3 === 0 ? left : right).record(us);
  }
  left.add(right);
  assert.deepEqual(toPairs(left), toPairs(both));
  assert.equal(left.max, both.max);
});

test("histogram: pairs read back give the same percentiles", () => {
  const prng = new Prng(8);
  const histogram = new Histogram();
  for (let i = 0; i < 3000; i++) histogram.record(prng.below(5_000_000));
  const again = fromPairs(toPairs(histogram));
  assert.equal(again.count, histogram.count);
  for (const share of [0.5, 0.99]) assert.equal(again.quantile(share), histogram.quantile(share));
  assert.ok(again.max / histogram.max < 1.001, "the maximum of a file is its bucket's highest value");
});

test("histogram: the share of values within a bound is exact below 2048 us", () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 1000; us++) histogram.record(us);
  assert.equal(histogram.shareAtMost(500), 0.5);
  assert.equal(histogram.shareAtMost(5000), 1);
});

test("histogram: a percentile needs a hundred values beyond it", () => {
  assert.equal(isSupported(0.999, 100_001), true);
  assert.equal(isSupported(0.999, 50_000), false);
});
