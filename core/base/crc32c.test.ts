import assert from "node:assert/strict";
import { test } from "node:test";
import { Crc32c, crc32c } from "./crc32c.ts";
import { Prng } from "./prng.ts";

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** The definition, a bit at a time. */
function slow(bytes: Uint8Array, seed: number): number {
  let crc = ~seed >>> 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = ((crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)) >>> 0;
  }
  return ~crc >>> 0;
}

test("crc32c gives the published check values (RFC 3720 B.4, facts of etcd)", () => {
  const table: [Uint8Array, number][] = [
    [ascii(""), 0],
    [ascii("123456789"), 0xe3069283],
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    [ascii("key"), 1084519789], // HashKV of a store that was never written
  ];
  for (const [bytes, expected] of table) assert.equal(crc32c(bytes, 0, bytes.length), expected);
});

test("crc32c agrees with the definition on random bytes, cut anywhere", () => {
  const prng = new Prng(20261123);
  for (let round = 0; round < 500; round++) {
    const bytes = Uint8Array.from({ length: prng.below(100) }, () => prng.below(256));
    const seed = prng.uint32();
    const cut = prng.below(bytes.length + 1);
    const expected = slow(bytes, seed);
    assert.equal(crc32c(bytes, 0, bytes.length, seed), expected);
    assert.equal(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut, seed)), expected);
    const running = new Crc32c();
    running.value = seed;
    running.update(bytes, 0, cut);
    running.update(bytes, cut, bytes.length);
    assert.equal(running.value, expected);
  }
});

test("crc32c reproduces three HashKV values of a real etcd (row keys and values in order)", () => {
  // facts: rows by main revision with their value bytes, all of sub-revision 0; compacted at 33.
  const rows: [number, string, string][] = [
    [25, "k2", "0a026b321004181920042a03763233"],
    [27, "k4", "0a026b341006181b20042a03763235"],
    [28, "k5", "0a026b351007181c20042a03763236"],
    [29, "k6", "0a026b361008181d20042a03763237"],
    [30, "k0", "0a026b301002181e20052a03763238"],
    [31, "k1", "0a026b311003181f20052a03763239"],
    [33, "le", "0a026c651021182120012a017830b424"],
    [34, "k4", "0a026b34"],
    [35, "k4", "0a026b341023182320012a016e"],
    [36, "k0", "0a026b301002182420062a027730"],
    [37, "k1", "0a026b311003182520062a027731"],
    [38, "k2", "0a026b321004182620052a027732"],
  ];
  const compacted = 33;
  for (const [revision, expected] of [
    [38, 1606340527],
    [34, 1641681823],
    [35, 2297371661],
  ] as const) {
    const visible = rows.filter(([main]) => main <= revision);
    const keep = new Set<number>();
    for (const name of new Set(visible.map(([, key]) => key))) {
      const newest = visible.filter(([, key]) => key === name).at(-1)!;
      if (newest[2].length > 8) keep.add(newest[0]);
    }
    let crc = crc32c(ascii("key"), 0, 3);
    for (const [main, , hex] of visible) {
      const isTombstone = hex.length === 8;
      if (main <= compacted && keep.size > 0 && !keep.has(main)) continue;
      if (isTombstone && main === compacted) continue;
      const rowKey = Buffer.from(
        `00000000000000${main.toString(16)}5f0000000000000000${isTombstone ? "74" : ""}`,
        "hex",
      );
      const value = Buffer.from(hex, "hex");
      crc = crc32c(value, 0, value.length, crc32c(rowKey, 0, rowKey.length, crc));
    }
    assert.equal(crc, expected, `revision ${revision}`);
  }
});
