import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { slotsByTime } from "./slots-by-time.ts";

/** As it would be done with little to sort. */
function expected(slots: readonly number[], times: readonly number[]): number[] {
  return slots
    .map((slot, i) => ({ slot, ms: Math.floor(times[i]!) }))
    .sort((a, b) => a.ms - b.ms || a.slot - b.slot)
    .map(({ slot }) => slot);
}

test("slots come in the order of their times, the earlier slot first among equals", () => {
  const prng = new Prng(1);
  // The largest TTL is 9,000,000,000 s; in a few milliseconds nearly all are equal.
  for (const spreadMs of [1, 5, 60_000, 2 ** 16, 2 ** 32, 2 ** 33 + 7, 9e12]) {
    for (const count of [0, 1, 2, 100, 2047, 2048, 5000]) {
      const slots = Array.from({ length: count }, (_, i) => 3 * i + 1);
      const times = slots.map(() => 1e6 + prng.float() * spreadMs);
      const found = slotsByTime(Uint32Array.from(slots), Float64Array.from(times));
      assert.deepEqual(Array.from(found), expected(slots, times), `${count} within ${spreadMs} ms`);
    }
  }
});
