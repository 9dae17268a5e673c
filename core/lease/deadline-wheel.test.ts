import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import { Rows } from "../base/rows.ts";
import { DeadlineWheel, TICK_MS } from "./deadline-wheel.ts";

function makeWheel(): { rows: Rows; wheel: DeadlineWheel; deadlines: Map<number, number> } {
  const rows = new Rows(3);
  const deadlines = new Map<number, number>();
  const wheel = new DeadlineWheel(rows, 0, (slot) => deadlines.get(slot)!);
  return { rows, wheel, deadlines };
}

test("wheel hands out nothing early, and everything within a tick, for deadlines of milliseconds to centuries", () => {
  for (const deadline of [0, 1, 63, 64, 65, 4095, 4096, 262_144 * 64 + 1, 2 ** 40 + 5, 9_000_000_000_000]) {
    const { rows, wheel, deadlines } = makeWheel();
    const slot = rows.allocate();
    deadlines.set(slot, deadline);
    wheel.insert(slot);
    wheel.work = 1000;
    assert.equal(wheel.take(deadline - 0.5), 0);
    assert.equal(wheel.take(deadline + TICK_MS), slot);
    assert.equal(wheel.count, 0);
  }
});

test("wheel agrees with a sorted list under random insertions, removals, postponements and small budgets", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const { rows, wheel, deadlines } = makeWheel();
  let now = random.below(1_000_000);
  for (let step = 0; step < 20_000; step++) {
    const kind = random.below(10);
    if (kind < 4) {
      const slot = rows.allocate();
      deadlines.set(slot, now + Math.floor(10 ** (random.float() * 8)));
      wheel.insert(slot);
    } else if (kind === 4 && deadlines.size > 0) {
      const slot = random.pick([...deadlines.keys()].slice(0, 20));
      wheel.remove(slot);
      deadlines.delete(slot);
      rows.release(slot);
    } else if (kind < 7 && deadlines.size > 0) {
      const slot = random.pick([...deadlines.keys()].slice(-20));
      deadlines.set(slot, deadlines.get(slot)! + random.below(100_000));
    } else {
      now += Math.floor(10 ** (random.float() * 5));
      const next = wheel.nextMs();
      for (let calls = 0; ; calls++) {
        wheel.work = 1 + random.below(5);
        const slot = wheel.take(now);
        if (slot === 0 && wheel.work > 0) break;
        if (slot === 0) continue;
        assert.ok(deadlines.get(slot)! <= now, `early, seed ${seed}`);
        assert.ok(next <= now, `nextMs was later than a deadline, seed ${seed}`);
        deadlines.delete(slot);
        rows.release(slot);
      }
      for (const deadline of deadlines.values()) assert.ok(deadline > now - TICK_MS, `late, seed ${seed}`);
    }
    assert.equal(wheel.count, deadlines.size, `seed ${seed}`);
  }
});
