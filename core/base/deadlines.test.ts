import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineHeap } from "./deadlines.ts";
import { Prng } from "./prng.ts";

test("DeadlineHeap agrees with a sorted list under random additions, moves, cancellations and time", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const prng = new Prng(seed);
    const heap = new DeadlineHeap(1);
    let model: { handle: number; deadlineMs: number; tag: number; sequence: number }[] = [];
    let now = 0;
    for (let step = 0; step < 1000; step++) {
      const choice = prng.below(10);
      if (choice < 5) {
        const deadlineMs = prng.chance(0.05) ? Infinity : now + prng.below(50);
        const tag = prng.below(1000);
        model.push({ handle: heap.add(deadlineMs, tag), deadlineMs, tag, sequence: step });
      } else if (choice < 7 && model.length > 0) {
        const entry = prng.pick(model);
        if (choice === 5) {
          heap.cancel(entry.handle);
          model = model.filter((it) => it !== entry);
        } else {
          entry.deadlineMs = now + prng.below(50);
          entry.sequence = step;
          heap.move(entry.handle, entry.deadlineMs);
        }
      } else {
        now += prng.below(10);
        model.sort((a, b) =>
          a.deadlineMs === b.deadlineMs ? a.sequence - b.sequence : a.deadlineMs - b.deadlineMs,
        );
        const due = model.filter((it) => it.deadlineMs <= now).map((it) => it.tag);
        const popped: number[] = [];
        for (let tag = heap.pop(now); tag >= 0; tag = heap.pop(now)) popped.push(tag);
        assert.deepEqual(popped, due, `seed ${seed}, step ${step}`);
        model = model.filter((it) => it.deadlineMs > now);
      }
      assert.equal(heap.count, model.length);
      assert.equal(heap.nextMs, Math.min(Infinity, ...model.map((it) => it.deadlineMs)), `seed ${seed}`);
    }
  }
});

test("DeadlineHeap refuses a handle that is no longer in use", () => {
  const heap = new DeadlineHeap();
  const handle = heap.add(5, 1);
  assert.equal(heap.pop(4), -1);
  assert.equal(heap.pop(5), 1);
  assert.throws(() => heap.cancel(handle));
  assert.throws(() => heap.move(99, 1));
});
