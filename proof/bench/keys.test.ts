import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { DistinctCounter, KEY_ORDERS, KeyChooser, KeySpace, Zipf } from "./keys.ts";
import { drawSize, parseSizes, SizeTable } from "./sizes.ts";

function space(count: number, size: string, prefix = ""): KeySpace {
  return new KeySpace({ count, prefix, sizes: new SizeTable(parseSizes(size), new Prng(1)) });
}

function text(keys: KeySpace, index: number): string {
  keys.write(index);
  return Buffer.from(keys.bytes.subarray(0, keys.size)).toString("latin1");
}

test("keys: a key is prefix, zeros and the decimal number, in order of the numbers", () => {
  const keys = space(1_000_000, "20", "bench/");
  assert.equal(text(keys, 42), "bench/00000000000042");
  assert.ok(text(keys, 99) < text(keys, 100));
  assert.ok(text(keys, 999_998) < text(keys, 999_999));
});

test("keys: small sizes change to base 62 and to bytes, and stay distinct", () => {
  for (const [count, size] of [
    [2000, "2"],
    [60_000, "2"],
    [1_000_000, "8"],
  ] as const) {
    const keys = space(count, size);
    const seen = new Set<string>();
    for (let i = 0; i < count; i += 7) seen.add(text(keys, i));
    assert.equal(seen.size, Math.ceil(count / 7));
  }
});

test("keys: too small a size is refused by name", () => {
  assert.throws(() => space(70_000, "2"), /cannot be 70000 distinct/);
});

test("keys: sequential and random orders use every key once a round", () => {
  for (const order of ["sequential", "random"] as const) {
    for (const count of [1, 2, 10, 1000, 1024]) {
      const chooser = new KeyChooser(order, count, new Prng(2));
      const distinct = new DistinctCounter(count);
      for (let i = 0; i < count; i++) distinct.add(chooser.next());
      assert.equal(distinct.count, count, `${order} of ${count}`);
    }
  }
});

test("keys: every order stays inside the key space", () => {
  for (const order of KEY_ORDERS) {
    for (const count of [1, 2, 3, 1000]) {
      const chooser = new KeyChooser(order, count, new Prng(3));
      for (let i = 0; i < 2000; i++) {
        const index = chooser.next();
        assert.ok(Number.isInteger(index) && index >= 0 && index < count, `${order} of ${count}: ${index}`);
      }
    }
  }
});

test("keys: a zipfian tenth of the keys gets most of the operations", () => {
  const zipf = new Zipf(1000);
  const prng = new Prng(4);
  let hot = 0;
  for (let i = 0; i < 10_000; i++) if (zipf.rank(prng.float()) < 100) hot++;
  assert.ok(hot > 6000 && hot < 8500, String(hot));
});

test("sizes: each form is parsed and stays in its bounds", () => {
  const prng = new Prng(5);
  assert.deepEqual(parseSizes("256"), { kind: "fixed", bytes: 256 });
  for (let i = 0; i < 500; i++) {
    const uniform = drawSize(parseSizes("64..128"), prng);
    assert.ok(uniform >= 64 && uniform <= 128);
    assert.ok([10, 20].includes(drawSize(parseSizes("10:80,20:20"), prng)));
    assert.ok(drawSize(parseSizes("lognormal:256,1"), prng) >= 1);
  }
  assert.throws(() => parseSizes("big"), /is none of/);
  assert.throws(() => parseSizes("9..3"), /ends below/);
});
