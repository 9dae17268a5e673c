import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { fitExponent, median, permutationP, quantileOf, ratioOfMedians } from "./statistics.ts";

test("statistics: the median of an even sample lies between the middle two", () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(quantileOf([10, 20, 30], 1), 30);
  assert.ok(Number.isNaN(median([])));
});

test("statistics: a bootstrap interval covers the true ratio in about 95 of 100 experiments", () => {
  const prng = new Prng(11);
  let covered = 0;
  for (let i = 0; i < 60; i++) {
    const sample = (centre: number): number[] =>
      Array.from({ length: 9 }, () => centre * (0.8 + 0.4 * prng.float()));
    const estimate = ratioOfMedians(sample(50), sample(100), prng);
    if (estimate.low <= 0.5 && estimate.high >= 0.5) covered++;
    assert.ok(estimate.low <= estimate.value && estimate.value <= estimate.high);
  }
  assert.ok(covered >= 50, `${covered} of 60`);
});

test("statistics: equal samples are not told apart, far ones are", () => {
  const prng = new Prng(12);
  assert.ok(permutationP([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], prng) > 0.5);
  assert.ok(permutationP([1, 2, 3, 4, 5], [11, 12, 13, 14, 15], prng) < 0.02);
});

test("statistics: the fitted exponent is that of the law behind the points", () => {
  const prng = new Prng(13);
  const points = [1, 2, 4, 8, 16, 32].map((n) => ({ n, cost: 3 * n ** 1.5 * (0.97 + 0.06 * prng.float()) }));
  const estimate = fitExponent(points, prng);
  assert.ok(Math.abs(estimate.value - 1.5) < 0.05);
  assert.ok(estimate.low <= estimate.value && estimate.value <= estimate.high);
});
