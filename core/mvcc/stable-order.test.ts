import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stableOrder } from "./stable-order.ts";

test("the order of numbers is that of a stable sort by comparison", () => {
  const number = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 5000 }), fc.maxSafeNat());
  const property = fc.property(fc.array(number, { maxLength: 60 }), (numbers) => {
    const expected = numbers.map((_, i) => i).sort((a, b) => numbers[a]! - numbers[b]!);
    assert.deepEqual([...stableOrder(Float64Array.from(numbers))], expected);
  });
  fc.assert(property, { numRuns: 500, includeErrorInReport: true });
});
