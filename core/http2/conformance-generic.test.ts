// What RFC 9113 and RFC 7541 ask of a server, in the order of the well-known conformance list: the 44 generic cases and
// the 8 of HPACK.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  type Case,
  END,
  PING_PAYLOAD,
  connection,
  u32,
  text,
  HUFFMAN_AA,
  getWith,
  getInPieces,
  openPost,
  halfClosed,
  testCases,
} from "./conformance-cases.test.ts";
import {
  COMPRESSION_ERROR,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_RST_STREAM,
  FRAME_WINDOW_UPDATE,
  SETTING_INITIAL_WINDOW_SIZE,
} from "./frames.ts";
import { GET_FIELDS, type RawPeer, latin1 } from "../grpc/raw-peer.ts";

const GENERIC: readonly Case[] = [
  ["1/1 a preface and SETTINGS open a connection", () => undefined, "open"],
  ["2/1 PRIORITY on an idle stream", (p) => p.frame(FRAME_PRIORITY, 0, 1, [...u32(0), 15]), "open"],
  [
    "2/2 WINDOW_UPDATE on a half-closed stream",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(100));
    },
    "answered",
  ],
  [
    "2/3 PRIORITY on a half-closed stream",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_PRIORITY, 0, 1, [...u32(0), 15]);
    },
    "open",
  ],
  [
    "2/4 RST_STREAM on a half-closed stream",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_RST_STREAM, 0, 1, u32(8));
    },
    "open",
  ],
  [
    "2/5 PRIORITY on a closed stream",
    (p) => {
      p.headers(1, GET_FIELDS);
      p.frame(FRAME_PRIORITY, 0, 1, [...u32(0), 15]);
    },
    "open",
  ],
  [
    "3.1/1 a DATA frame",
    (p) => {
      openPost(p);
      p.data(1, "test", true);
    },
    "answered",
  ],
  [
    "3.1/2 several DATA frames",
    (p) => {
      openPost(p);
      p.data(1, "test", false);
      p.data(1, "test", true);
    },
    "answered",
  ],
  [
    "3.1/3 a padded DATA frame",
    (p) => {
      openPost(p);
      p.frame(FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, [3, ...latin1("test"), 0, 0, 0]);
    },
    "answered",
  ],
  ["3.2/1 a HEADERS frame", (p) => p.headers(1, GET_FIELDS), "answered"],
  [
    "3.2/2 a padded HEADERS frame",
    (p) => p.frame(FRAME_HEADERS, END | FLAG_PADDED, 1, [2, ...p.block(GET_FIELDS), 0, 0]),
    "answered",
  ],
  [
    "3.2/3 a HEADERS frame with priority",
    (p) => p.frame(FRAME_HEADERS, END | FLAG_PRIORITY, 1, [...u32(0), 255, ...p.block(GET_FIELDS)]),
    "answered",
  ],
  ["3.3/1 PRIORITY with weight 1", (p) => priorityThenGet(p, u32(0), 0), "answered"],
  ["3.3/2 PRIORITY with weight 256", (p) => priorityThenGet(p, u32(0), 255), "answered"],
  ["3.3/3 PRIORITY with a dependency", (p) => priorityThenGet(p, u32(5), 15), "answered"],
  ["3.3/4 PRIORITY with an exclusive dependency", (p) => priorityThenGet(p, u32(0x80000005), 15), "answered"],
  [
    "3.3/5 PRIORITY of an idle stream, then a lower stream",
    (p) => {
      p.frame(FRAME_PRIORITY, 0, 7, [...u32(0), 255]);
      p.headers(1, GET_FIELDS);
    },
    "answered",
  ],
  [
    "3.4/1 RST_STREAM",
    (p) => {
      openPost(p);
      p.frame(FRAME_RST_STREAM, 0, 1, u32(8));
    },
    "open",
  ],
  ["3.5/1 SETTINGS", (p) => p.settings([[SETTING_INITIAL_WINDOW_SIZE, 100]]), "open"],
  ["3.7/1 PING", (p) => p.frame(FRAME_PING, 0, 0, PING_PAYLOAD), "open"],
  ["3.8/1 GOAWAY", (p) => p.frame(FRAME_GOAWAY, 0, 0, [...u32(0), ...u32(0)]), "open"],
  ["3.9/1 WINDOW_UPDATE of the connection", (p) => p.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(1)), "open"],
  [
    "3.9/2 WINDOW_UPDATE of a stream",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(100));
    },
    "answered",
  ],
  ["3.10/1 a CONTINUATION frame", (p) => getInPieces(p, 1), "answered"],
  ["3.10/2 several CONTINUATION frames", (p) => getInPieces(p, 3), "answered"],
  ["4/1 GET", (p) => p.headers(1, GET_FIELDS), "answered"],
  ["4/2 HEAD", (p) => p.headers(1, [[":method", "HEAD"], ...GET_FIELDS.slice(1)]), "open"],
  [
    "4/3 POST with a body",
    (p) => {
      openPost(p);
      p.data(1, "body", true);
    },
    "answered",
  ],
  [
    "4/4 POST with trailers",
    (p) => {
      openPost(p);
      p.data(1, "body", false);
      p.headers(1, [["x-trailer", "test"]]);
    },
    "answered",
  ],
  ["5/1 HPACK: an indexed field", (p) => getWith(p, [0x90]), "answered"],
  ["5/2 literal, indexed: known name, Huffman", (p) => getWith(p, [0x7a, ...HUFFMAN_AA]), "answered"],
  ["5/3 literal, indexed: known name", (p) => getWith(p, [0x7a, ...text("agent")]), "answered"],
  [
    "5/4 literal, indexed: new name, Huffman",
    (p) => getWith(p, [0x40, ...HUFFMAN_AA, ...HUFFMAN_AA]),
    "answered",
  ],
  ["5/5 literal, indexed: new name", (p) => getWith(p, [0x40, ...text("x-test"), ...text("v")]), "answered"],
  ["5/6 literal: known name, Huffman", (p) => getWith(p, [0x0f, 0x2b, ...HUFFMAN_AA]), "answered"],
  ["5/7 literal: known name", (p) => getWith(p, [0x0f, 0x2b, ...text("agent")]), "answered"],
  ["5/8 literal: new name, Huffman", (p) => getWith(p, [0x00, ...HUFFMAN_AA, ...HUFFMAN_AA]), "answered"],
  ["5/9 literal: new name", (p) => getWith(p, [0x00, ...text("x-test"), ...text("v")]), "answered"],
  [
    "5/10 literal, never indexed: known name, Huffman",
    (p) => getWith(p, [0x1f, 0x2b, ...HUFFMAN_AA]),
    "answered",
  ],
  ["5/11 literal, never indexed: known name", (p) => getWith(p, [0x1f, 0x2b, ...text("agent")]), "answered"],
  [
    "5/12 literal, never indexed: new name, Huffman",
    (p) => getWith(p, [0x10, ...HUFFMAN_AA, ...HUFFMAN_AA]),
    "answered",
  ],
  [
    "5/13 literal, never indexed: new name",
    (p) => getWith(p, [0x10, ...text("x-test"), ...text("v")]),
    "answered",
  ],
  [
    "5/14 a table size update",
    (p) => p.frame(FRAME_HEADERS, END, 1, [0x21, ...p.block(GET_FIELDS)]),
    "answered",
  ],
  [
    "5/15 two table size updates",
    (p) => p.frame(FRAME_HEADERS, END, 1, [0x20, 0x21, ...p.block(GET_FIELDS)]),
    "answered",
  ],
];

function priorityThenGet(peer: RawPeer, dependency: readonly number[], weight: number): void {
  peer.frame(FRAME_PRIORITY, 0, 1, [...dependency, weight]);
  peer.headers(1, GET_FIELDS);
}

const HPACK: readonly Case[] = [
  ["2.3.3/1 an index beyond the table", (p) => getWith(p, [0xff, 0x00]), connection(COMPRESSION_ERROR)],
  [
    "2.3.3/2 a literal whose name is beyond the table",
    (p) => getWith(p, [0x7f, 0x0f, ...text("v")]),
    connection(COMPRESSION_ERROR),
  ],
  [
    "4.2/1 a table size update at the end of a block",
    (p) => getWith(p, [0x21]),
    connection(COMPRESSION_ERROR),
  ],
  [
    "5.2/1 Huffman padding above seven bits",
    (p) => getWith(p, [0x0f, 0x2b, 0x83, 0x18, 0xff, 0xff]),
    connection(COMPRESSION_ERROR),
  ],
  [
    "5.2/2 Huffman padding of zeros",
    (p) => getWith(p, [0x0f, 0x2b, 0x82, 0b00011000, 0b11000000]),
    connection(COMPRESSION_ERROR),
  ],
  [
    "5.2/3 the end-of-string symbol",
    (p) => getWith(p, [0x0f, 0x2b, 0x84, 0xff, 0xff, 0xff, 0xff]),
    connection(COMPRESSION_ERROR),
  ],
  ["6.1/1 index 0", (p) => getWith(p, [0x80]), connection(COMPRESSION_ERROR)],
  [
    "6.3/1 a table size above the setting",
    (p) => p.frame(FRAME_HEADERS, END, 1, [0x3f, 0xe2, 0x1f, ...p.block(GET_FIELDS)]),
    connection(COMPRESSION_ERROR),
  ],
];

testCases("generic", GENERIC);
testCases("hpack", HPACK);

test("every generic and HPACK case of the list is here", () => {
  assert.deepEqual([GENERIC.length, HPACK.length], [44, 8]);
});
