import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prng } from "./prng.ts";
import { stableOrder } from "./stable-order.ts";

test("the order of numbers is that of a stable sort by comparison", () => {
  const number = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 5000 }), fc.maxSafeNat());
  const property = fc.property(fc.array(number, { maxLength: 60 }), (numbers) => {
    const expected = numbers.map((_, i) => i).sort((a, b) => numbers[a]! - numbers[b]!);
    assert.deepEqual([...stableOrder(Float64Array.from(numbers))], expected);
  });
  fc.assert(property, { numRuns: 500, includeErrorInReport: true });
});

test("the order of times of any spread, up to the largest TTL, is that of a sort, the earlier place first among equals", () => {
  const prng = new Prng(1);
  // The largest TTL is 9,000,000,000 s; in a few milliseconds nearly all are equal.
  for (const spreadMs of [1, 5, 60_000, 2 ** 16, 2 ** 32, 2 ** 33 + 7, 9e12]) {
    for (const count of [0, 1, 2, 100, 2047, 2048, 5000]) {
      const times = Array.from({ length: count }, () => Math.floor(1e6 + prng.float() * spreadMs));
      const expected = times.map((_, i) => i).sort((a, b) => times[a]! - times[b]! || a - b);
      const found = stableOrder(Float64Array.from(times));
      assert.deepEqual(Array.from(found), expected, `${count} within ${spreadMs} ms`);
    }
  }
});
