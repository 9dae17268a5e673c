import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { jointVote, majority, majorityValue, majorityVote } from "./quorum.ts";

/** The slow obvious way: the largest value that more than half have reached, tried one by one. */
function slowMajorityValue(values: readonly number[]): number {
  if (values.length === 0) return Infinity;
  let best = -Infinity;
  for (const candidate of values) {
    const reached = values.filter((value) => value >= candidate).length;
    if (reached * 2 > values.length && candidate > best) best = candidate;
  }
  return best;
}

test("majorityValue equals the slow model for any values in any order (R10)", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 9 }), (values) => {
      assert.equal(majorityValue(Float64Array.from(values), values.length), slowMajorityValue(values));
    }),
    { numRuns: 2000 },
  );
});

test("majorityValue looks at the first `count` values only", () => {
  assert.equal(majorityValue(Float64Array.from([1, 2, 3, 100, 100]), 3), 2);
});

test("majority is more than half", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(majority), [1, 2, 2, 3, 3, 4, 4]);
});

test("majorityVote equals the slow model for every split of up to nine members", () => {
  for (let count = 1; count <= 9; count++) {
    for (let granted = 0; granted <= count; granted++) {
      for (let rejected = 0; granted + rejected <= count; rejected++) {
        const missing = count - granted - rejected;
        const expected = granted * 2 > count ? "won" : (granted + missing) * 2 > count ? "pending" : "lost";
        assert.equal(
          majorityVote(granted, rejected, count),
          expected,
          `${granted} of ${count}, ${rejected} against`,
        );
      }
    }
  }
});

test("a joint vote needs both halves, never one union (R16)", () => {
  // Incoming 1 2 3, outgoing 3 4 5; 1, 2 and 3 say yes: three of five, and one of the outgoing half.
  assert.equal(jointVote(majorityVote(3, 0, 3), majorityVote(1, 0, 3)), "pending");
  assert.equal(jointVote(majorityVote(3, 0, 3), majorityVote(1, 2, 3)), "lost");
  assert.equal(jointVote(majorityVote(2, 0, 3), majorityVote(2, 0, 3)), "won");
  assert.equal(jointVote(majorityVote(2, 0, 3), majorityVote(0, 0, 0)), "won");
});
