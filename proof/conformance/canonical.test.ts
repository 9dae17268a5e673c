import assert from "node:assert/strict";
import { test } from "node:test";
import { canonical } from "./canonical.ts";
import { CASES } from "./cases.ts";

test("two values that differ behind their first bytes are shown differently, though they are equally long", () => {
  const [a, b] = [new Uint8Array(200).fill(120), new Uint8Array(200).fill(120)];
  assert.equal(canonical({ value: a }), canonical({ value: b }));
  b[199] = 121;
  assert.notEqual(canonical({ value: a }), canonical({ value: b }));
});

test("what a lease has left may differ, but not whether it lives", () => {
  const show = (TTL: number): string => canonical({ ID: 1n, TTL, grantedTTL: 100 });
  assert.equal(show(99), show(98));
  for (const wrong of [-1, 0, 101]) assert.notEqual(show(99), show(wrong));
});

test("a lease's keys are compared without their order", () => {
  const key = (text: string): Uint8Array => new TextEncoder().encode(text);
  assert.equal(canonical({ keys: [key("a"), key("b")] }), canonical({ keys: [key("b"), key("a")] }));
  assert.notEqual(canonical({ keys: [key("a")] }), canonical({ keys: [key("b")] }));
});

test("the named cases are told apart by their names", () => {
  assert.ok(CASES.length >= 27);
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
});
