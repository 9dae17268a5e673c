import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { SimulatedClock } from "./clock.ts";
import { SimulatedDisk } from "./disk.ts";
import { Trace } from "./trace.ts";

test("events happen in the order of their time, then of their asking", () => {
  const clock = new SimulatedClock();
  const order: string[] = [];
  clock.at(5, () => order.push("b"));
  clock.at(1, () => {
    order.push("a");
    clock.after(4, () => order.push("c"));
    clock.at(0, () => order.push("now"));
  });
  const cancelled = clock.at(2, () => order.push("never"));
  clock.cancel(cancelled);
  while (clock.step());
  assert.deepEqual(order, ["a", "now", "b", "c"]);
  assert.equal(clock.now(), 5);
  assert.equal(clock.nextMs(), Infinity);
});

test("an event that was due while the machine worked happens late, and time does not go back", () => {
  const clock = new SimulatedClock();
  const times: number[] = [];
  clock.at(1, () => times.push(clock.now()));
  clock.at(9, () => times.push(clock.now()));
  clock.advance(5);
  while (clock.step());
  assert.deepEqual(times, [5, 9]);
});

test("a thousand events in any order come out sorted", () => {
  const clock = new SimulatedClock();
  const prng = new Prng(7);
  let last = -1;
  for (let i = 0; i < 1000; i++) {
    const time = prng.below(300);
    const handle = clock.at(time, () => {
      assert.ok(time >= last);
      last = time;
    });
    if (prng.chance(0.2)) clock.cancel(handle);
  }
  clock.runUntil(1000);
  assert.equal(clock.now(), 1000);
});

test("the trace hash depends on every value and on their order", () => {
  const hash = (values: readonly number[]): string => {
    const trace = new Trace();
    for (const value of values) trace.fold(value);
    return trace.hex();
  };
  assert.equal(hash([1, 2, 3]), hash([1, 2, 3]));
  const all = [[], [0], [0, 0], [1, 2, 3], [1, 3, 2], [2 ** 40], [2 ** 40 + 1], [-1], [4294967295]].map(hash);
  assert.equal(new Set(all).size, all.length);
  assert.match(hash([5]), /^[0-9a-f]{16}$/);
});

test("two runs of a seed leave the same trace, another seed another", () => {
  const run = (seed: number): string => {
    const clock = new SimulatedClock();
    const trace = new Trace();
    const prng = new Prng(seed);
    const disk = new SimulatedDisk({ clock, prng, trace, syncMs: () => 0.1 + prng.float() });
    const file = disk.create("file", "log");
    for (let i = 0; i < 20; i++) file.writeAndSync(new Uint8Array([prng.below(256)]), 0, 1, i, () => {});
    while (clock.step());
    return trace.hex();
  };
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});
