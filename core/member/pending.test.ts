import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "./call.ts";
import { PendingCalls } from "./pending.ts";

const call = (): Call => ({ slot: 0 }) as unknown as Call;

test("a waiting call is found by its number once, and by no other number", () => {
  const pending = new PendingCalls(3);
  const first = call();
  const sequence = pending.add(first, 0);
  assert.equal(pending.take(sequence + 4), undefined);
  assert.equal(pending.take(sequence), first);
  assert.equal(pending.take(sequence), undefined);
  assert.equal(pending.count, 0);
});

test("the registry is bounded: there is no room behind an old call that still waits", () => {
  const pending = new PendingCalls(3);
  const sequences = [0, 1, 2, 3].map(() => pending.add(call(), 0));
  assert.equal(pending.hasRoom, false);
  pending.take(sequences[3]!);
  assert.equal(pending.hasRoom, false);
  pending.take(sequences[0]!);
  assert.equal(pending.hasRoom, true);
});

test("calls expire oldest first, each after its own time limit", () => {
  const pending = new PendingCalls(8);
  const calls = [10, 20, 30].map((nowMs) => {
    const made = call();
    pending.add(made, nowMs);
    return made;
  });
  assert.equal(pending.nextDeadlineMs(7000), 7010);
  assert.equal(pending.takeExpired(7009, 7000), undefined);
  assert.equal(pending.takeExpired(7020, 7000), calls[0]);
  assert.equal(pending.takeExpired(7020, 7000), calls[1]);
  assert.equal(pending.takeExpired(7020, 7000), undefined);
  assert.equal(pending.takeAny(), calls[2]);
  assert.equal(pending.nextDeadlineMs(7000), Number.POSITIVE_INFINITY);
});

test("sequence numbers go round past 0, which stands for nobody", () => {
  const pending = new PendingCalls(7, 0xfffffffe);
  const calls = Array.from({ length: 5 }, call);
  const sequences = calls.map((made) => pending.add(made, 0));
  assert.deepEqual(sequences, [0xfffffffe, 0xffffffff, 1, 2, 3]);
  sequences.forEach((sequence) => pending.noteForwarded(sequence, 9));
  assert.equal(pending.takeForwarded(9), calls[0]);
  for (const left of calls.slice(1)) assert.equal(pending.takeExpired(7000, 7000), left);
  assert.equal(pending.takeAny(), undefined);
  assert.equal(pending.nextDeadlineMs(7000), Number.POSITIVE_INFINITY);
});

test("what was handed on before a term is taken in one pass, and nothing that is kept, or that nobody can tell of", () => {
  const pending = new PendingCalls(15);
  const add = (): { made: Call; sequence: number } => {
    const made = call();
    return { made, sequence: pending.add(made, 0) };
  };
  const lost = () => {
    const taken: Call[] = [];
    pending.takeHandedBefore(7, 3, (made) => taken.push(made));
    return taken;
  };
  const [early, late, own, current, kept] = [add(), add(), add(), add(), add()];
  pending.noteForwarded(early.sequence, 7);
  pending.noteForwarded(late.sequence, 8);
  pending.noteAppended(own.sequence, 2);
  pending.noteAppended(current.sequence, 3);
  assert.deepEqual(lost(), [early.made, own.made]);
  assert.equal(pending.count, 3);
  pending.noteForwarded(late.sequence, 1);
  pending.noteUnknown();
  assert.deepEqual(lost(), []);
  // What was kept is handed on after all.
  pending.noteForwarded(kept.sequence, 2);
  assert.deepEqual(lost(), [kept.made]);
});
