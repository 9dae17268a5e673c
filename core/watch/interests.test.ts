import { strict as assert } from "node:assert";
import { test } from "node:test";
import { encodeUtf8 } from "../base/utf8.ts";
import { Prng } from "../base/prng.ts";
import { Interests, KeyRange } from "./interests.ts";
import { KeyArena } from "./key-arena.ts";

function range(key: string, end: string | null | undefined): KeyRange {
  const made = new KeyRange();
  made.bytes = encodeUtf8(key + (end ?? ""));
  made.keyEnd = made.endStart = encodeUtf8(key).length;
  made.endEnd = made.bytes.length;
  made.kind = end === undefined ? "single" : end === null ? "from-key" : "range";
  return made;
}

test("arena keeps blocks of any size apart and gives freed ones out again", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const arena = new KeyArena();
  const live: { address: number; size: number; fill: number }[] = [];
  for (let step = 0; step < 5000; step++) {
    if (live.length > 0 && random.chance(0.45)) {
      const [block] = live.splice(random.below(live.length), 1);
      const at = arena.startOf(block!.address);
      const bytes = arena.bytesOf(block!.address).subarray(at, at + block!.size);
      assert.ok(
        bytes.every((byte) => byte === block!.fill),
        `seed ${seed}`,
      );
      arena.release(block!.address, block!.size);
      continue;
    }
    const size = Math.floor(10 ** (random.float() * 5.2)) - 1;
    const block = { address: arena.allocate(size), size, fill: random.below(256) };
    const at = arena.startOf(block.address);
    arena.bytesOf(block.address).fill(block.fill, at, at + size);
    live.push(block);
  }
  for (const block of live) arena.release(block.address, block.size);
  assert.equal(arena.usedBytes, 0);
});

test("interests find exactly the keys and ranges that hold a key, against a list", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const interests = new Interests(seed);
  const model = new Map<number, { key: string; end: string | null | undefined }>();
  const text = (): string => {
    let made = "";
    for (let i = random.between(1, 4); i > 0; i--) made += random.pick(["a", "b", "c", "/"]);
    return made;
  };
  for (let step = 0; step < 6000; step++) {
    if (model.size > 0 && random.chance(0.4)) {
      const slot = random.pick([...model.keys()]);
      interests.remove(slot);
      model.delete(slot);
    } else {
      const key = text();
      const other = text();
      const end = random.chance(0.3)
        ? undefined
        : random.chance(0.1)
          ? null
          : other > key
            ? other
            : `${key}~`;
      const slot = interests.find(range(key, end));
      const known = model.get(slot);
      if (known !== undefined) assert.deepEqual(known, { key, end }, `seed ${seed}`);
      model.set(slot, { key, end });
    }
    const probe = text();
    const bytes = encodeUtf8(probe);
    interests.match(bytes, 0, bytes.length);
    const expected = [...model]
      .filter(([, { key, end }]) =>
        end === undefined ? key === probe : key <= probe && (end === null || probe < end),
      )
      .map(([slot]) => slot);
    assert.deepEqual(
      [...interests.matched].sort((a, b) => a - b),
      expected.sort((a, b) => a - b),
      `seed ${seed}`,
    );
    assert.equal(interests.count, model.size);
  }
  for (const slot of model.keys()) interests.remove(slot);
  assert.equal(interests.keyBytes, 0);
});
