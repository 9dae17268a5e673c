import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as pass } from "node:timers/promises";
import { Driver } from "./driver.ts";

test("one turn works off what several woke for, writes twice, and tells how long it held the loop", async () => {
  const notes: string[] = [];
  let nowMs = 0;
  const driver = new Driver({
    machine: {
      turn: () => {
        notes.push("turn");
        nowMs += 30;
      },
      background: () => {
        notes.push("background");
        nowMs += 2;
        return false;
      },
      nextDeadlineMs: () => Number.POSITIVE_INFINITY,
    },
    now: () => nowMs,
    flush: () => void notes.push("flush"),
    onTurn: (durationMs) => void notes.push(`held ${durationMs}`),
    onFatal: (error) => assert.fail(String(error)),
  });
  driver.wake();
  driver.wake();
  await pass();
  driver.stop();
  assert.deepEqual(notes, ["turn", "flush", "background", "flush", "held 32"]);
});

test("a turn that throws is the last", async () => {
  const errors: unknown[] = [];
  const fault = new Error("the disk is gone");
  const driver = new Driver({
    machine: {
      turn: () => {
        throw fault;
      },
      background: () => assert.fail("not after a fault"),
      nextDeadlineMs: () => 0,
    },
    now: () => 0,
    flush: () => assert.fail("nothing may be answered"),
    onTurn: () => assert.fail("it did not end"),
    onFatal: (error) => errors.push(error),
  });
  driver.wake();
  await pass();
  driver.wake();
  await pass();
  assert.deepEqual(errors, [fault]);
});
