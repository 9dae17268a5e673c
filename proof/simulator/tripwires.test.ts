import assert from "node:assert/strict";
import { test } from "node:test";
import { armTripwires } from "./tripwires.ts";
import { Violation } from "./violation.ts";

const USES: readonly (() => unknown)[] = [
  () => Date.now(),
  () => new Date(),
  () => performance.now(),
  () => process.hrtime(),
  () => Math.random(),
  () => setTimeout(() => undefined, 0),
  () => setImmediate(() => undefined),
  () => queueMicrotask(() => undefined),
  () => process.nextTick(() => undefined),
  () => crypto.randomUUID(),
  () => crypto.getRandomValues(new Uint8Array(1)),
];

test("time, chance and timers of the machine trip a simulation, and work again after it", () => {
  const disarm = armTripwires();
  const tripped: unknown[] = [];
  for (const use of USES) {
    try {
      use();
      tripped.push(undefined);
    } catch (error) {
      tripped.push(error);
    }
  }
  disarm();
  USES.forEach((use, i) => assert.ok(tripped[i] instanceof Violation, String(use)));
  assert.ok(Date.now() > 0);
  assert.equal(typeof Math.random(), "number");
  assert.ok(new Date() instanceof Date);
});
