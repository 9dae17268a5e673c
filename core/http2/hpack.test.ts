// HPACK against the examples of RFC 7541 appendix C, and the encoder against the decoder.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderBlock } from "./header-block.ts";
import { HpackDecoder } from "./hpack-decode.ts";
import { HpackEncoder } from "./hpack-encode.ts";

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

function decode(decoder: HpackDecoder, hex: string): HeaderBlock {
  const bytes = bytesOf(hex);
  return decoder.decode(bytes, 0, bytes.length);
}

function fieldsOf(block: HeaderBlock): string[] {
  const pseudo = [block.method, block.scheme, block.path, block.authority, block.status].filter(
    (it) => it !== "",
  );
  return [...pseudo, ...block.names.map((name, i) => `${name}: ${block.values[i]}`)];
}

const REQUESTS = [
  ["GET", "http", "/", "www.example.com"],
  ["GET", "http", "/", "www.example.com", "cache-control: no-cache"],
  ["GET", "https", "/index.html", "www.example.com", "custom-key: custom-value"],
];

test("requests without Huffman (RFC 7541 C.3)", () => {
  const decoder = new HpackDecoder(16384);
  const blocks = [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ];
  assert.deepEqual(
    blocks.map((it) => fieldsOf(decode(decoder, it))),
    REQUESTS,
  );
});

test("requests with Huffman (RFC 7541 C.4)", () => {
  const decoder = new HpackDecoder(16384);
  const blocks = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ];
  assert.deepEqual(
    blocks.map((it) => fieldsOf(decode(decoder, it))),
    REQUESTS,
  );
});

test("responses that evict entries from a table of 256 bytes (RFC 7541 C.6)", () => {
  const decoder = new HpackDecoder(16384);
  const resize = "3fe1 01";
  const first =
    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
  const third =
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
  assert.deepEqual(fieldsOf(decode(decoder, resize + first)), [
    "302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ]);
  assert.equal(fieldsOf(decode(decoder, "4883 640e ffc1 c0bf"))[0], "307");
  assert.deepEqual(fieldsOf(decode(decoder, third)), [
    "200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ]);
});

function encodeFields(encoder: HpackEncoder, fields: readonly (readonly [string, string])[]): Uint8Array {
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const [name, value] of fields) encoder.repeated(writer, name, value);
  return writer.copy();
}

test("a repeated field costs one byte from its second time on", () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(16384);
  const fields = [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "0"],
  ] as const;
  const first = encodeFields(encoder, fields);
  const second = encodeFields(encoder, fields);
  assert.ok(first.length > 20);
  assert.equal(second.length, 3);
  for (const block of [first, second]) {
    const decoded = decoder.decode(block, 0, block.length);
    assert.deepEqual(fieldsOf(decoded), ["200", "content-type: application/grpc", "grpc-status: 0"]);
  }
});

test("a peer that wants a smaller table gets none used (RFC 7541 4.2)", () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(16384);
  const fields = [["x-custom", "value"]] as const;
  const before = encodeFields(encoder, fields);
  decoder.decode(before, 0, before.length);
  encoder.limitTable(100);
  const after = encodeFields(encoder, fields);
  assert.equal(after[0], 0x20);
  assert.deepEqual(fieldsOf(decoder.decode(after, 0, after.length)), ["x-custom: value"]);
  assert.deepEqual(encodeFields(encoder, fields), after.slice(1));
});

test("the encoder's table stays below the peer's, however many fields repeat", () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(1 << 20);
  for (let i = 0; i < 500; i++) {
    const block = encodeFields(encoder, [
      [`x-name-${i % 200}`, `value ${i}`],
      ["x-name-0", "value 0"],
    ]);
    assert.deepEqual(fieldsOf(decoder.decode(block, 0, block.length)), [
      `x-name-${i % 200}: value ${i}`,
      "x-name-0: value 0",
    ]);
  }
});
