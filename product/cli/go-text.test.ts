import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  durationText,
  hex16,
  hexEscaped,
  jsonString,
  parseDuration,
  parseInt64,
  quote,
  sizeText,
  unquote,
} from "./go-text.ts";

test("quote prints what Go's %q prints", () => {
  const table: [Uint8Array | string, string][] = [
    ["plain", '"plain"'],
    ['a"b\\c\n\t\r', '"a\\"b\\\\c\\n\\t\\r"'],
    ["\u0007\u0008\u000b\u000c\u0000\u007f", '"\\a\\b\\v\\f\\x00\\x7f"'],
    ["é€😀", '"é€😀"'],
    ["\u00a0\u200b\ufeff", '"\\u00a0\\u200b\\ufeff"'],
    [Uint8Array.of(0xff, 0x61, 0xc3), '"\\xffa\\xc3"'],
    [Uint8Array.of(0xed, 0xa0, 0x80), '"\\xed\\xa0\\x80"'],
    ["\ufffd", '"\ufffd"'],
  ];
  for (const [value, expected] of table) assert.equal(quote(value), expected);
});

test("unquote reads back what quote prints, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      assert.deepEqual(unquote(quote(bytes)), bytes);
    }),
  );
  assert.deepEqual(unquote("`raw\\n`"), new TextEncoder().encode("raw\\n"));
  assert.deepEqual(unquote('"\\u00e9\\101\\U0001F600"'), new TextEncoder().encode("éA😀"));
  for (const wrong of ['"', '"a', 'a"', '"\\q"', '"\\x1"', '"\\U00110000"', "'a'"])
    assert.equal(unquote(wrong), undefined);
});

test("durations are printed and read as Go's", () => {
  const table: [number, string][] = [
    [0, "0s"],
    [0.0000015, "2ns"],
    [0.0015, "1.5µs"],
    [3.614413, "3.614413ms"],
    [1000, "1s"],
    [62_500, "1m2.5s"],
    [3_600_000, "1h0m0s"],
  ];
  for (const [ms, text] of table) assert.equal(durationText(ms), text);
  const parsed: [string, number | undefined][] = [
    ["5s", 5000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["100ms", 100],
    [".5s", 500],
    ["-2s", -2000],
    ["0", 0],
    ["5", undefined],
    ["s", undefined],
    ["", undefined],
  ];
  for (const [text, ms] of parsed) assert.equal(parseDuration(text), ms, text);
});

test("sizes are printed in powers of a thousand", () => {
  const table: [number, string][] = [
    [0, "0 B"],
    [9, "9 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [20_480, "20 kB"],
    [2_147_483_648, "2.1 GB"],
    [82_854_982, "83 MB"],
  ];
  for (const [bytes, text] of table) assert.equal(sizeText(bytes), text);
});

test("parseInt64 has Go's bounds and words", () => {
  assert.deepEqual(parseInt64("-8000000000000000", 16), { value: -(2n ** 63n) });
  assert.equal(
    parseInt64("8000000000000000", 16).error,
    'strconv.ParseInt: parsing "8000000000000000": value out of range',
  );
  assert.deepEqual(parseInt64("ffffffffffffffff", 16, true), { value: 2n ** 64n - 1n });
  assert.equal(parseInt64("-1", 16, true).error, 'strconv.ParseUint: parsing "-1": invalid syntax');
  assert.equal(parseInt64("", 10).error, 'strconv.ParseInt: parsing "": invalid syntax');
});

test("ids, bytes and JSON texts are printed as etcdctl prints them", () => {
  assert.equal(hex16(0x123n), "0000000000000123");
  assert.equal(hex16(-1n), "-000000000000001");
  assert.equal(hexEscaped(Uint8Array.of(0, 255)), "\\x00\\xff");
  assert.equal(jsonString('<a&"b\u2028>'), '"\\u003ca\\u0026\\"b\\u2028\\u003e"');
});
