import assert from "node:assert/strict";
import { test } from "node:test";
import { IdTable } from "./id-table.ts";
import { Prng } from "./prng.ts";

test("IdTable agrees with a Map under random sets and deletes of few and many ids", () => {
  for (const spread of [20, 2000, 2 ** 32]) {
    const prng = new Prng(spread);
    const table = new IdTable({ seed: prng.uint32() });
    const model = new Map<string, number>();
    for (let step = 0; step < 20_000; step++) {
      const hi = prng.below(spread);
      const lo = prng.chance(0.5) ? prng.below(spread) : 0xffffffff;
      const name = `${hi}:${lo}`;
      if (prng.chance(0.55)) {
        table.set(hi, lo, step);
        model.set(name, step);
      } else {
        assert.equal(table.delete(hi, lo), model.delete(name));
      }
      const [probeHi, probeLo] = [prng.below(spread), prng.below(spread)];
      assert.equal(table.get(probeHi, probeLo), model.get(`${probeHi}:${probeLo}`) ?? -1);
      assert.equal(table.count, model.size);
    }
    const seen = new Map<string, number>();
    table.forEach((hi, lo, value) => seen.set(`${hi}:${lo}`, value));
    assert.deepEqual(seen, model);
    for (const [name, value] of model) {
      const [hi, lo] = name.split(":").map(Number) as [number, number];
      assert.equal(table.get(hi, lo), value);
    }
  }
});

test("IdTable keeps room for the announced capacity and forgets everything on clear", () => {
  const table = new IdTable({ capacity: 1000 });
  for (let i = 0; i < 1000; i++) table.set(i, i, i);
  assert.equal(table.get(999, 999), 999);
  table.clear();
  assert.equal(table.count, 0);
  assert.ok(!table.has(999, 999));
});
