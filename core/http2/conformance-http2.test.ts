// What RFC 9113 asks of a server, in the order of the well-known conformance list: the 95 cases of HTTP/2.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  type Case,
  END,
  PING_PAYLOAD,
  connection,
  stream,
  u32,
  u16,
  withField,
  without,
  getInPieces,
  openPost,
  halfClosed,
  testCases,
} from "./conformance-cases.test.ts";
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
import { BODY, GET_FIELDS, POST_FIELDS, RawPeer, frameBytes, latin1 } from "../grpc/raw-peer.ts";

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

testCases("http2", HTTP2);

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

test("every HTTP/2 case of the list is here", () => {
  assert.equal(HTTP2.length + 1, 95); // 3.5/2 stands apart
});
