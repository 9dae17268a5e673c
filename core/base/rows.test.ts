import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ChainIndex, hashId } from "./chain-index.ts";
import { Prng } from "./prng.ts";
import { Rows } from "./rows.ts";

test("rows start as zeros, keep their values over growth, and are zeros again after release", () => {
  const rows = new Rows(5);
  const slots: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const slot = rows.allocate();
    for (let field = 0; field < 5; field++) assert.equal(rows.get(slot, field), 0);
    rows.set(slot, 1, -i);
    rows.setWide(slot, 3, i * 1_000_000_007);
    slots.push(slot);
  }
  for (const [i, slot] of slots.entries()) {
    assert.equal(rows.get(slot, 1), i === 0 ? 0 : -i);
    assert.equal(rows.wide(slot, 3), i * 1_000_000_007);
  }
  for (const slot of slots) rows.release(slot);
  assert.equal(rows.count, 0);
  const again = rows.allocate();
  assert.equal(again, slots.at(-1));
  for (let field = 0; field < 5; field++) assert.equal(rows.get(again, field), 0);
});

test("a wide field holds every non-negative safe integer", () => {
  const rows = new Rows(2);
  const slot = rows.allocate();
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 12345, Number.MAX_SAFE_INTEGER]) {
    rows.setWide(slot, 0, value);
    assert.equal(rows.wide(slot, 0), value);
  }
});

test("a chain index finds what was added and not removed, against a Map", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const rows = new Rows(2);
  const hash = (slot: number): number => hashId(0, rows.get(slot, 0), 99);
  const index = new ChainIndex(rows, 1, hash);
  const model = new Map<number, number>();
  const find = (key: number): number => {
    for (let slot = index.first(hashId(0, key, 99)); slot !== 0; slot = index.next(slot))
      if (rows.get(slot, 0) === key) return slot;
    return 0;
  };
  for (let step = 0; step < 60_000; step++) {
    const key = random.below(8_000);
    const slot = model.get(key);
    assert.equal(find(key), slot ?? 0, `seed ${seed}`);
    if (slot === undefined) {
      const added = rows.allocate();
      rows.set(added, 0, key);
      index.add(hashId(0, key, 99), added);
      model.set(key, added);
    } else if (random.chance(0.6)) {
      index.remove(hashId(0, key, 99), slot);
      rows.release(slot);
      model.delete(key);
    }
  }
  assert.equal(index.count, model.size, `seed ${seed}`);
});
