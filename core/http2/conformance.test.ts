// What RFC 9113 and RFC 7541 ask of a server, case by case, in the order of the well-known conformance list (44
// generic, 95 of HTTP/2, 8 of HPACK), run against the machine itself.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FLOW_CONTROL_ERROR,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
  PREFACE,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  SETTING_ENABLE_PUSH,
  SETTING_FRAME_SIZE_MAX,
  SETTING_INITIAL_WINDOW_SIZE,
  STREAM_CLOSED,
} from "./frames.ts";
import { BODY, frameBytes, GET_FIELDS, latin1, POST_FIELDS, type RawFields, RawPeer } from "./raw-peer.ts";

type Case = readonly [title: string, run: (peer: RawPeer) => void, expected: Expected];
/** `answered`: stream 1 has its whole answer. `open`: a PING is answered. Otherwise the code of a fault. */
type Expected =
  | "answered"
  | "open"
  | { readonly connection: number | readonly number[] }
  | { readonly stream: number | readonly number[] };

const END = FLAG_END_HEADERS | FLAG_END_STREAM;
const PING_PAYLOAD = latin1("12345678");
const connection = (...codes: number[]): Expected => ({ connection: codes });
const stream = (...codes: number[]): Expected => ({ stream: codes });
const u32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
const u16 = (value: number): number[] => [value >>> 8, value & 255];
const withField = (name: string, value: string): RawFields => [...GET_FIELDS, [name, value]];
const without = (name: string): RawFields => GET_FIELDS.filter(([it]) => it !== name);
const text = (value: string, isHuffman = false): number[] => [
  (isHuffman ? 0x80 : 0) | value.length,
  ...latin1(value),
];
/** A literal of 10 Huffman bits and padding: "aa" is 00011 00011, then ones. */
const HUFFMAN_AA = [0x82, 0b00011000, 0b11111111];

/** Sends GET on stream 1 with raw bytes behind its fields. */
function getWith(peer: RawPeer, bytes: readonly number[]): void {
  peer.frame(FRAME_HEADERS, END, 1, [...peer.block(GET_FIELDS), ...bytes]);
}

/** Cuts a GET's block into HEADERS and `count` CONTINUATIONs. */
function getInPieces(peer: RawPeer, count: number): void {
  const block = peer.block(GET_FIELDS);
  const size = Math.ceil(block.length / (count + 1));
  peer.frame(FRAME_HEADERS, FLAG_END_STREAM, 1, block.slice(0, size));
  for (let i = 1; i <= count; i++) {
    const flags = i === count ? FLAG_END_HEADERS : 0;
    peer.frame(FRAME_CONTINUATION, flags, 1, block.slice(i * size, (i + 1) * size));
  }
}

const openPost = (peer: RawPeer, id = 1): void => peer.headers(id, POST_FIELDS, FLAG_END_HEADERS);
/** A request that is half closed and whose answer waits for a window. */
function halfClosed(peer: RawPeer): void {
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
  peer.headers(1, GET_FIELDS);
}

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

function afterReset(peer: RawPeer): void {
  openPost(peer);
  peer.frame(FRAME_RST_STREAM, 0, 1, u32(8));
}

function afterAnswer(peer: RawPeer): void {
  peer.headers(1, GET_FIELDS);
}

const HTTP2: readonly Case[] = [
  ["3.5/1 SETTINGS follow the preface", () => undefined, "open"],
  ["4.1/1 an unknown frame type is ignored", (p) => p.frame(0x16, 0, 0, PING_PAYLOAD), "open"],
  ["4.1/2 unknown flags are ignored", (p) => p.frame(FRAME_PING, 0x16, 0, PING_PAYLOAD), "open"],
  ["4.1/3 the reserved bit is ignored", (p) => p.frame(FRAME_PING, 0, 0x80000000, PING_PAYLOAD), "open"],
  [
    "4.2/1 a DATA frame of 2^14 bytes",
    (p) => {
      openPost(p);
      p.data(1, new Uint8Array(16384), true);
    },
    "answered",
  ],
  [
    "4.2/2 a DATA frame above the frame size",
    (p) => {
      openPost(p);
      p.data(1, new Uint8Array(16385), true);
    },
    stream(FRAME_SIZE_ERROR),
  ],
  [
    "4.2/3 a HEADERS frame above the frame size",
    (p) => p.frame(FRAME_HEADERS, END, 1, new Uint8Array(16385)),
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "4.3/1 an invalid header block",
    (p) => p.frame(FRAME_HEADERS, END, 1, [0x40]),
    connection(COMPRESSION_ERROR),
  ],
  [
    "4.3/2 PRIORITY inside of a header block",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.frame(FRAME_PRIORITY, 0, 1, [...u32(0), 255]);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "4.3/3 HEADERS of another stream inside of a header block",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.headers(3, GET_FIELDS);
    },
    connection(PROTOCOL_ERROR),
  ],
  ["5.1/1 idle: DATA", (p) => p.data(1, "test", true), connection(PROTOCOL_ERROR)],
  ["5.1/2 idle: RST_STREAM", (p) => p.frame(FRAME_RST_STREAM, 0, 1, u32(8)), connection(PROTOCOL_ERROR)],
  [
    "5.1/3 idle: WINDOW_UPDATE",
    (p) => p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(100)),
    connection(PROTOCOL_ERROR),
  ],
  [
    "5.1/4 idle: CONTINUATION",
    (p) => p.frame(FRAME_CONTINUATION, END, 1, p.block(GET_FIELDS)),
    connection(PROTOCOL_ERROR),
  ],
  [
    "5.1/5 half closed: DATA",
    (p) => {
      halfClosed(p);
      p.data(1, "test", true);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "5.1/6 half closed: HEADERS",
    (p) => {
      halfClosed(p);
      p.headers(1, GET_FIELDS);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "5.1/7 half closed: CONTINUATION",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, p.block(GET_FIELDS));
    },
    stream(STREAM_CLOSED, PROTOCOL_ERROR),
  ],
  [
    "5.1/8 reset: DATA",
    (p) => {
      afterReset(p);
      p.data(1, "test", true);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "5.1/9 reset: HEADERS",
    (p) => {
      afterReset(p);
      p.headers(1, GET_FIELDS);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "5.1/10 reset: CONTINUATION",
    (p) => {
      afterReset(p);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, p.block(GET_FIELDS));
    },
    stream(STREAM_CLOSED, PROTOCOL_ERROR),
  ],
  [
    "5.1/11 closed: DATA",
    (p) => {
      afterAnswer(p);
      p.data(1, "test", true);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "5.1/12 closed: HEADERS",
    (p) => {
      afterAnswer(p);
      p.headers(1, GET_FIELDS);
    },
    connection(STREAM_CLOSED),
  ],
  [
    "5.1/13 closed: CONTINUATION",
    (p) => {
      afterAnswer(p);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, p.block(GET_FIELDS));
    },
    connection(STREAM_CLOSED, PROTOCOL_ERROR),
  ],
  ["5.1.1/1 an even stream id", (p) => p.headers(2, GET_FIELDS), connection(PROTOCOL_ERROR)],
  [
    "5.1.1/2 a stream id below the last",
    (p) => {
      p.headers(5, GET_FIELDS);
      p.headers(3, GET_FIELDS);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "5.1.2/1 more streams than allowed",
    (p) => {
      for (let i = 0; i <= 100; i++) p.headers(1 + i * 2, POST_FIELDS, FLAG_END_HEADERS);
      assert.equal(p.resetCode(199), -1);
      assert.equal(p.resetCode(201), REFUSED_STREAM);
    },
    "open",
  ],
  [
    "5.3.1/1 HEADERS that depend on themselves",
    (p) => p.frame(FRAME_HEADERS, END | FLAG_PRIORITY, 1, [...u32(1), 255, ...p.block(GET_FIELDS)]),
    stream(PROTOCOL_ERROR),
  ],
  [
    "5.3.1/2 PRIORITY that depends on itself",
    (p) => p.frame(FRAME_PRIORITY, 0, 3, [...u32(3), 255]),
    stream(PROTOCOL_ERROR),
  ],
  [
    "5.4.1/1 a connection error closes the connection",
    (p) => {
      p.frame(FRAME_PING, 0, 0, [...PING_PAYLOAD, 0]);
      assert.ok(p.server.closed);
    },
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "5.4.1/2 a connection error sends GOAWAY",
    (p) => p.frame(FRAME_PING, 0, 0, [1]),
    connection(FRAME_SIZE_ERROR),
  ],
  ["5.5/1 an unknown extension frame is ignored", (p) => p.frame(0x16, 0, 0, PING_PAYLOAD), "open"],
  [
    "5.5/2 an unknown extension frame inside of a header block",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.frame(0x16, 0, 0, PING_PAYLOAD);
    },
    connection(PROTOCOL_ERROR),
  ],
  ["6.1/1 DATA on stream 0", (p) => p.data(0, "test", true), connection(PROTOCOL_ERROR)],
  [
    "6.1/2 DATA on a stream that is not open",
    (p) => {
      halfClosed(p);
      p.data(1, "test", true);
    },
    stream(STREAM_CLOSED),
  ],
  [
    "6.1/3 DATA with more padding than payload",
    (p) => {
      openPost(p);
      p.frame(FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, [6, ...latin1("test")]);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.2/1 HEADERS without END_HEADERS, then PRIORITY",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.frame(FRAME_PRIORITY, 0, 1, [...u32(0), 255]);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.2/2 HEADERS of another stream while a block is open",
    (p) => {
      p.headers(1, GET_FIELDS, 0);
      p.headers(3, GET_FIELDS);
    },
    connection(PROTOCOL_ERROR),
  ],
  ["6.2/3 HEADERS on stream 0", (p) => p.headers(0, GET_FIELDS), connection(PROTOCOL_ERROR)],
  [
    "6.2/4 HEADERS with more padding than payload",
    (p) => p.frame(FRAME_HEADERS, END | FLAG_PADDED, 1, [200, ...p.block(GET_FIELDS)]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.3/1 PRIORITY on stream 0",
    (p) => p.frame(FRAME_PRIORITY, 0, 0, [...u32(0), 255]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.3/2 PRIORITY that is not five bytes",
    (p) => p.frame(FRAME_PRIORITY, 0, 1, u32(0)),
    stream(FRAME_SIZE_ERROR),
  ],
  [
    "6.4/1 RST_STREAM on stream 0",
    (p) => p.frame(FRAME_RST_STREAM, 0, 0, u32(8)),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.4/2 RST_STREAM of an idle stream",
    (p) => p.frame(FRAME_RST_STREAM, 0, 1, u32(8)),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.4/3 RST_STREAM that is not four bytes",
    (p) => {
      openPost(p);
      p.frame(FRAME_RST_STREAM, 0, 1, [0, 0, 0]);
    },
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "6.5/1 an acknowledgement with payload",
    (p) => p.frame(FRAME_SETTINGS, FLAG_ACK, 0, [0]),
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "6.5/2 SETTINGS on a stream",
    (p) => p.frame(FRAME_SETTINGS, 0, 1, [...u16(3), ...u32(100)]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.5/3 SETTINGS not a multiple of six bytes",
    (p) => p.frame(FRAME_SETTINGS, 0, 0, [0, 3, 0]),
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "6.5.2/1 ENABLE_PUSH neither 0 nor 1",
    (p) => p.settings([[SETTING_ENABLE_PUSH, 2]]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.5.2/2 INITIAL_WINDOW_SIZE above 2^31-1",
    (p) => p.settings([[SETTING_INITIAL_WINDOW_SIZE, 0x80000000]]),
    connection(FLOW_CONTROL_ERROR),
  ],
  [
    "6.5.2/3 MAX_FRAME_SIZE below 2^14",
    (p) => p.settings([[SETTING_FRAME_SIZE_MAX, 16383]]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.5.2/4 MAX_FRAME_SIZE above 2^24-1",
    (p) => p.settings([[SETTING_FRAME_SIZE_MAX, 1 << 24]]),
    connection(PROTOCOL_ERROR),
  ],
  ["6.5.2/5 an unknown setting is ignored", (p) => p.settings([[0xff, 1]]), "open"],
  [
    "6.5.3/1 of several INITIAL_WINDOW_SIZE the last counts",
    (p) => {
      p.settings([
        [SETTING_INITIAL_WINDOW_SIZE, 100],
        [SETTING_INITIAL_WINDOW_SIZE, 1],
      ]);
      p.headers(1, GET_FIELDS);
      assert.equal(p.body(1), BODY.slice(0, 1));
    },
    "open",
  ],
  [
    "6.5.3/2 SETTINGS are acknowledged at once",
    (p) => {
      const count = (): number =>
        p.frames.filter((it) => it.type === FRAME_SETTINGS && it.flags === FLAG_ACK).length;
      const before = count();
      p.settings([]);
      assert.equal(count(), before + 1);
    },
    "open",
  ],
  [
    "6.7/1 PING is answered with its payload",
    (p) => {
      p.frame(FRAME_PING, 0, 0, latin1("abcdefgh"));
      assert.deepEqual(p.frames.at(-1), {
        type: FRAME_PING,
        flags: FLAG_ACK,
        id: 0,
        payload: latin1("abcdefgh"),
      });
    },
    "open",
  ],
  [
    "6.7/2 an acknowledgement is not answered",
    (p) => {
      const before = p.frames.length;
      p.frame(FRAME_PING, FLAG_ACK, 0, PING_PAYLOAD);
      assert.equal(p.frames.length, before);
    },
    "open",
  ],
  ["6.7/3 PING on a stream", (p) => p.frame(FRAME_PING, 0, 1, PING_PAYLOAD), connection(PROTOCOL_ERROR)],
  [
    "6.7/4 PING that is not eight bytes",
    (p) => p.frame(FRAME_PING, 0, 0, latin1("123456")),
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "6.8/1 GOAWAY on a stream",
    (p) => p.frame(FRAME_GOAWAY, 0, 1, [...u32(0), ...u32(0)]),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.9/1 WINDOW_UPDATE by 0 of the connection",
    (p) => p.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(0)),
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.9/2 WINDOW_UPDATE by 0 of a stream",
    (p) => {
      halfClosed(p);
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(0));
    },
    stream(PROTOCOL_ERROR),
  ],
  [
    "6.9/3 WINDOW_UPDATE that is not four bytes",
    (p) => p.frame(FRAME_WINDOW_UPDATE, 0, 0, [0, 0, 1]),
    connection(FRAME_SIZE_ERROR),
  ],
  [
    "6.9.1/1 no more DATA than the window",
    (p) => {
      p.settings([[SETTING_INITIAL_WINDOW_SIZE, 1]]);
      p.headers(1, GET_FIELDS);
      assert.equal(p.body(1), BODY.slice(0, 1));
    },
    "open",
  ],
  [
    "6.9.1/2 the connection's window above 2^31-1",
    (p) => {
      p.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(0x7fffffff));
      if (!p.server.closed) p.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(0x7fffffff));
    },
    connection(FLOW_CONTROL_ERROR),
  ],
  [
    "6.9.1/3 a stream's window above 2^31-1",
    (p) => {
      openPost(p);
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(0x7fffffff));
    },
    stream(FLOW_CONTROL_ERROR),
  ],
  [
    "6.9.2/1 INITIAL_WINDOW_SIZE changes open streams",
    (p) => {
      halfClosed(p);
      p.settings([[SETTING_INITIAL_WINDOW_SIZE, 1]]);
      assert.equal(p.body(1), BODY.slice(0, 1));
    },
    "open",
  ],
  [
    "6.9.2/2 a window may be negative",
    (p) => {
      p.settings([[SETTING_INITIAL_WINDOW_SIZE, 3]]);
      p.headers(1, GET_FIELDS);
      p.settings([[SETTING_INITIAL_WINDOW_SIZE, 2]]);
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(1));
      assert.equal(p.body(1), BODY.slice(0, 3));
      p.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(1));
      assert.equal(p.body(1), BODY.slice(0, 4));
    },
    "open",
  ],
  [
    "6.9.2/3 INITIAL_WINDOW_SIZE that overflows",
    (p) => p.settings([[SETTING_INITIAL_WINDOW_SIZE, 0xffffffff]]),
    connection(FLOW_CONTROL_ERROR),
  ],
  ["6.10/1 several CONTINUATION frames", (p) => getInPieces(p, 2), "answered"],
  [
    "6.10/2 CONTINUATION, then another frame",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.frame(FRAME_CONTINUATION, 0, 1, p.block([["x-a", "b"]]));
      p.data(1, "test", true);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.10/3 CONTINUATION on stream 0",
    (p) => {
      p.headers(1, GET_FIELDS, FLAG_END_STREAM);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 0, []);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.10/4 CONTINUATION behind HEADERS with END_HEADERS",
    (p) => {
      openPost(p);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, []);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.10/5 CONTINUATION behind CONTINUATION with END_HEADERS",
    (p) => {
      p.headers(1, POST_FIELDS, 0);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, []);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, []);
    },
    connection(PROTOCOL_ERROR),
  ],
  [
    "6.10/6 CONTINUATION behind DATA",
    (p) => {
      openPost(p);
      p.data(1, "test", false);
      p.frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, []);
    },
    connection(PROTOCOL_ERROR),
  ],
  ["7/1 GOAWAY with an unknown code", (p) => p.frame(FRAME_GOAWAY, 0, 0, [...u32(0), ...u32(0xff)]), "open"],
  [
    "7/2 RST_STREAM with an unknown code",
    (p) => {
      openPost(p);
      p.frame(FRAME_RST_STREAM, 0, 1, u32(0xff));
    },
    "open",
  ],
  [
    "8.1/1 a second HEADERS without END_STREAM",
    (p) => {
      openPost(p);
      p.headers(1, [["x-a", "b"]], FLAG_END_HEADERS);
    },
    stream(PROTOCOL_ERROR),
  ],
  ["8.1.2/1 an upper-case name", (p) => p.headers(1, withField("X-TEST", "ok")), stream(PROTOCOL_ERROR)],
  [
    "8.1.2.1/1 an unknown pseudo-header field",
    (p) => p.headers(1, [...GET_FIELDS, [":test", "ok"]]),
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.1/2 a response's pseudo-header field",
    (p) => p.headers(1, [...GET_FIELDS, [":status", "200"]]),
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.1/3 a pseudo-header field in trailers",
    (p) => {
      openPost(p);
      p.data(1, "test", false);
      p.headers(1, [[":method", "GET"]]);
    },
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.1/4 a pseudo-header field behind a regular one",
    (p) => p.headers(1, [["x-test", "ok"], ...GET_FIELDS]),
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.2/1 a connection-specific field",
    (p) => p.headers(1, withField("connection", "keep-alive")),
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.2/2 te that is not trailers",
    (p) => p.headers(1, withField("te", "trailers, deflate")),
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.3/1 an empty :path",
    (p) => p.headers(1, [...without(":path"), [":path", ""]]),
    stream(PROTOCOL_ERROR),
  ],
  ["8.1.2.3/2 no :method", (p) => p.headers(1, without(":method")), stream(PROTOCOL_ERROR)],
  ["8.1.2.3/3 no :scheme", (p) => p.headers(1, without(":scheme")), stream(PROTOCOL_ERROR)],
  ["8.1.2.3/4 no :path", (p) => p.headers(1, without(":path")), stream(PROTOCOL_ERROR)],
  ["8.1.2.3/5 two :method", (p) => p.headers(1, [...GET_FIELDS, [":method", "GET"]]), stream(PROTOCOL_ERROR)],
  [
    "8.1.2.3/6 two :scheme",
    (p) => p.headers(1, [...GET_FIELDS, [":scheme", "http"]]),
    stream(PROTOCOL_ERROR),
  ],
  ["8.1.2.3/7 two :path", (p) => p.headers(1, [...GET_FIELDS, [":path", "/"]]), stream(PROTOCOL_ERROR)],
  [
    "8.1.2.6/1 content-length that differs from the body",
    (p) => {
      p.headers(1, [...POST_FIELDS, ["content-length", "1"]], FLAG_END_HEADERS);
      p.data(1, "test", true);
    },
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.1.2.6/2 content-length that differs from several DATA frames",
    (p) => {
      p.headers(1, [...POST_FIELDS, ["content-length", "10"]], FLAG_END_HEADERS);
      p.data(1, "test", false);
      p.data(1, "test", true);
    },
    stream(PROTOCOL_ERROR),
  ],
  [
    "8.2/1 PUSH_PROMISE",
    (p) => p.frame(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, [...u32(2), ...p.block(GET_FIELDS)]),
    connection(PROTOCOL_ERROR),
  ],
];

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

function check(peer: RawPeer, expected: Expected): void {
  if (expected === "answered") {
    assert.equal(peer.goawayText(), "");
    assert.equal(peer.body(1), BODY);
    const last = peer.frames.filter((it) => it.id === 1).at(-1);
    assert.ok(last !== undefined && (last.flags & FLAG_END_STREAM) !== 0);
  } else if (expected === "open") {
    peer.frame(FRAME_PING, 0, 0, latin1("still ok"));
    assert.equal(peer.goawayText(), "");
    assert.deepEqual(peer.frames.at(-1)?.payload, latin1("still ok"));
  } else if ("connection" in expected) {
    assert.ok([expected.connection].flat().includes(peer.goawayCode()), `GOAWAY ${peer.goawayCode()}`);
    assert.ok(peer.server.closed);
  } else {
    // A fault of a stream may be answered by ending the connection: RFC 9113 5.4.2.
    const codes = [expected.stream].flat();
    const code = Math.max(peer.goawayCode(), peer.resetCode(1), peer.resetCode(3));
    assert.ok(codes.includes(code), `code ${code}`);
  }
}

for (const [group, cases] of [
  ["generic", GENERIC],
  ["http2", HTTP2],
  ["hpack", HPACK],
] as const) {
  for (const [title, run, expected] of cases) {
    test(`${group} ${title}`, () => {
      const peer = RawPeer.connected({ limits: { streamCountMax: 100 } });
      run(peer);
      check(peer, expected);
    });
  }
}

test("http2 3.5/2 an invalid preface ends the connection", () => {
  const peer = new RawPeer();
  peer.send(latin1("INVALID CONNECTION PREFACE\r\n\r\n"));
  assert.equal(peer.goawayCode(), PROTOCOL_ERROR);
});

test("the first frame behind the preface is SETTINGS (RFC 9113 3.4)", () => {
  const peer = new RawPeer();
  peer.send(PREFACE);
  peer.frame(FRAME_PING, 0, 0, PING_PAYLOAD);
  assert.equal(peer.goawayCode(), PROTOCOL_ERROR);
});

test("every case of the list is here", () => {
  assert.deepEqual([GENERIC.length, HTTP2.length + 1, HPACK.length], [44, 95, 8]);
});

test("a conversation has the same outcome however it is cut into chunks", () => {
  const all = [PREFACE, frameBytes(FRAME_SETTINGS, 0, 0, [])];
  const peer = new RawPeer();
  for (let id = 1; id < 20; id += 2) {
    all.push(frameBytes(FRAME_HEADERS, FLAG_END_HEADERS, id, peer.block(POST_FIELDS)));
    all.push(frameBytes(FRAME_DATA, FLAG_PADDED, id, [4, ...latin1("body"), 0, 0, 0, 0]));
    all.push(frameBytes(FRAME_DATA, FLAG_END_STREAM, id, latin1("end")));
  }
  const bytes = Uint8Array.from(all.flatMap((it) => [...it]));
  for (const size of [1, 2, 3, 7, 8, 9, 10, 64, bytes.length]) {
    const cut = new RawPeer();
    for (let at = 0; at < bytes.length; at += size) cut.send(bytes.slice(at, at + size));
    for (let id = 1; id < 20; id += 2) assert.equal(cut.body(id), BODY, `chunks of ${size}, stream ${id}`);
  }
});

test("a header list above the limit is refused, and the table stays in step", () => {
  const peer = RawPeer.connected({ transportLimits: { headerListSizeBytesMax: 1000 } });
  peer.headers(1, [...GET_FIELDS, ["x-long", "a".repeat(2000)]]);
  assert.equal(peer.resetCode(1), ENHANCE_YOUR_CALM);
  peer.headers(3, GET_FIELDS);
  assert.equal(peer.body(3), BODY);
});
