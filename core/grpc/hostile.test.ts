// Clients that mean harm, each test named after the attack. What must hold: the budget ends the attack, honest limits
// stay in force, and nothing is left behind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import {
  ENHANCE_YOUR_CALM,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLOW_CONTROL_ERROR,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_RST_STREAM,
  FRAME_WINDOW_UPDATE,
  PREFACE,
  REFUSED_STREAM,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTINGS_TIMEOUT,
} from "../http2/frames.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../http2/limits.ts";
import { METHOD } from "../wire/service.ts";
import {
  BODY,
  GET_FIELDS,
  grpcFields,
  grpcMessage,
  POST_FIELDS,
  RawPeer,
  type RawPeerOptions,
} from "./raw-peer.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

const PUT = grpcFields(METHOD.put.path);
const WATCH = grpcFields(METHOD.watch.path);
const u32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
const nothing = (): void => undefined;
/** An attack is done so often again while memory is watched. */
const REPEAT_COUNT = 10;
/** Less than as many connections hold. */
const GROWN_BYTES_MAX = 96 * 1024;
/** What stays grows in every round; compiled code and the collector's own do not. */
const ROUND_COUNT_MAX = 12;

/** Holds every call until `finishAll`, also cancelled ones: work that cannot be stopped. */
class HoldingHandler implements ServerHandler {
  readonly held: ServerCall[] = [];
  cancelCount = 0;
  onUnary(call: ServerCall): void {
    this.held.push(call);
  }
  onStreamOpen(call: ServerCall): void {
    this.held.push(call);
  }
  onStreamMessage = nothing;
  onStreamHalfClose = nothing;
  onCancel(): void {
    this.cancelCount++;
  }
  onWritable = nothing;
  finishAll(): void {
    for (const call of this.held.splice(0)) call.finish();
  }
}

/** Repeats until the connection is closed; fails when that takes more than `countMax` rounds. */
function floodUntilClosed(peer: RawPeer, countMax: number, round: (i: number) => void): number {
  for (let i = 0; i < countMax; i++) {
    if (peer.server.closed) return i;
    round(i);
  }
  assert.ok(peer.server.closed, `still open after ${countMax} rounds`);
  return countMax;
}

/** A call with a complete request. */
function put(peer: RawPeer, id: number, body: Uint8Array | string = "x"): void {
  peer.headers(id, PUT, FLAG_END_HEADERS);
  peer.data(id, grpcMessage(body), true);
}

interface Attack {
  readonly title: string;
  readonly options?: () => RawPeerOptions;
  readonly code: number;
  /** Rounds after which the connection must be closed. */
  readonly roundCountMax: number;
  readonly round: (peer: RawPeer, i: number) => void;
}

const ATTACKS: readonly Attack[] = [
  {
    title: "CVE-2019-9511: windows granted byte by byte",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 25_000,
    options: () => ({ onHttp: (_request, respond) => respond(200, {}, "a".repeat(100_000)) }),
    round: (peer, i) => {
      if (i === 0) peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
      if (i === 0) peer.headers(1, GET_FIELDS);
      peer.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(1));
    },
  },
  {
    title: "CVE-2019-9512: pings",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 10,
    round: (peer) => peer.frame(FRAME_PING, 0, 0, new Uint8Array(8)),
  },
  {
    title: "CVE-2019-9513: priorities shuffled",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 2_000,
    round: (peer, i) => peer.frame(FRAME_PRIORITY, 0, i * 2 + 1, [...u32(i * 2 + 3), 1]),
  },
  {
    title: "CVE-2019-9514: requests that must be refused",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => peer.headers(i * 2 + 1, [...GET_FIELDS, ["Bad", "name"]]),
  },
  {
    title: "CVE-2019-9515: SETTINGS",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 2_000,
    round: (peer) => peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 1000]]),
  },
  {
    title: "CVE-2019-9518: empty DATA frames",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 2_000,
    round: (peer, i) => {
      if (i === 0) peer.headers(1, POST_FIELDS, FLAG_END_HEADERS);
      peer.frame(FRAME_DATA, 0, 1, []);
    },
  },
  {
    title: "CVE-2019-9518, CVE-2023-45288, CVE-2024-28182: empty CONTINUATION frames",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 12,
    round: (peer, i) => {
      if (i === 0) peer.headers(1, GET_FIELDS, FLAG_END_STREAM);
      else peer.frame(FRAME_CONTINUATION, 0, 1, []);
    },
  },
  {
    title: "CVE-2023-45288, CVE-2024-27983, CVE-2024-28182, CVE-2023-33953: a header block without end",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 4,
    round: (peer, i) => {
      const block = peer.block([["x-fill", "a".repeat(8000)]]);
      if (i === 0) peer.frame(FRAME_HEADERS, FLAG_END_STREAM, 1, block);
      else peer.frame(FRAME_CONTINUATION, 0, 1, block);
    },
  },
  {
    title: "CVE-2023-33953: integers padded with zeros",
    code: 9,
    roundCountMax: 1,
    round: (peer) => peer.frame(FRAME_HEADERS, 5, 1, [0x0f, ...new Array<number>(5000).fill(0x80)]),
  },
  {
    title: "CVE-2023-44487: streams opened and reset",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 3_000,
    round: (peer, i) => {
      put(peer, i * 2 + 1);
      peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
    },
  },
  {
    title: "CVE-2025-8671: streams we are made to reset, by a window update of nothing",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => {
      put(peer, i * 2 + 1);
      peer.frame(FRAME_WINDOW_UPDATE, 0, i * 2 + 1, u32(0));
    },
  },
  {
    title: "CVE-2025-8671: by a window update that overflows",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => {
      put(peer, i * 2 + 1);
      peer.frame(FRAME_WINDOW_UPDATE, 0, i * 2 + 1, u32(0x7fffffff));
    },
  },
  {
    title: "CVE-2025-8671: by data behind the end",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => {
      put(peer, i * 2 + 1);
      peer.data(i * 2 + 1, "more", false);
    },
  },
  {
    title: "CVE-2025-8671: by headers behind the end",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => {
      put(peer, i * 2 + 1);
      peer.headers(i * 2 + 1, [["x-a", "b"]]);
    },
  },
  {
    title: "CVE-2025-8671: by a body that belies its content-length",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 1_000,
    round: (peer, i) => {
      peer.headers(i * 2 + 1, [...PUT, ["content-length", "3"]], FLAG_END_HEADERS);
      peer.data(i * 2 + 1, "more", false);
    },
  },
  {
    title: "CVE-2025-8671: by priorities that depend on themselves",
    code: 1,
    roundCountMax: 1,
    round: (peer) => {
      put(peer, 1);
      peer.frame(FRAME_PRIORITY, 0, 1, [...u32(1), 1]);
    },
  },
  {
    title: "CVE-2026-21714: the connection's window overflows",
    code: FLOW_CONTROL_ERROR,
    roundCountMax: 2,
    round: (peer) => {
      put(peer, 1);
      peer.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(0x7fffffff));
    },
  },
  {
    title: "unknown frames",
    code: ENHANCE_YOUR_CALM,
    roundCountMax: 2_000,
    round: (peer) => peer.frame(0x77, 0, 0, []),
  },
];

function attack({ options, roundCountMax, round }: Attack): { peer: RawPeer; handler: HoldingHandler } {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler, ...options?.() });
  floodUntilClosed(peer, roundCountMax, (i) => round(peer, i));
  handler.finishAll();
  return { peer, handler };
}

/** All attacks, to be done again when memory is measured. */
const hostile: { readonly title: string; readonly act: () => void }[] = [];

function testHostile(title: string, act: () => void): void {
  test(title, act);
  hostile.push({ title, act });
}

for (const it of ATTACKS) {
  testHostile(it.title, () => {
    const { peer } = attack(it);
    assert.equal(peer.goawayCode(), it.code);
    assert.equal(peer.server.callCount, 0);
    assert.equal(peer.server.takeOutput().length, 0);
  });
}

testHostile("CVE-2023-44487: a reset stream keeps its slot until its handler has finished", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler, limits: { streamCountMax: 10 } });
  for (let i = 0; i < 10; i++) {
    put(peer, i * 2 + 1);
    peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
  }
  assert.deepEqual([handler.held.length, handler.cancelCount, peer.server.callCount], [10, 10, 10]);
  put(peer, 21);
  assert.equal(peer.resetCode(21), REFUSED_STREAM);
  handler.finishAll();
  put(peer, 23);
  assert.deepEqual([handler.held.length, peer.server.callCount], [1, 1]);
});

test("a client that gives up on calls while their answers are on the way keeps its connection", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  for (let i = 0; i < 20_000; i++) put(peer, i * 2 + 1);
  handler.finishAll();
  assert.equal(peer.server.callCount, 0);
  for (let i = 0; i < 20_000; i++) peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
  assert.equal(peer.server.closed, false);
  // Each of them once: after that they are frames that ask for nothing.
  for (let i = 0; i < 3_000 && !peer.server.closed; i++) peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
  assert.equal(peer.goawayCode(), ENHANCE_YOUR_CALM);
});

test("a client that gives up on all its calls when their time is over keeps its connection", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  for (let i = 0; i < 20_000; i++) put(peer, i * 2 + 1);
  peer.nowMs = DEFAULT_TRANSPORT_LIMITS.resetFreeMs;
  for (let i = 0; i < 20_000; i++) peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
  assert.equal(peer.server.closed, false);
  assert.equal(handler.cancelCount, 20_000);
  handler.finishAll();
  assert.equal(peer.server.callCount, 0);
});

test("a client that has little patience, and half of its calls answered, keeps its connection", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  for (let i = 0; i < 20_000; i++) {
    put(peer, i * 2 + 1);
    if (i % 2 === 0) peer.frame(FRAME_RST_STREAM, 0, i * 2 + 1, u32(8));
    handler.finishAll();
  }
  assert.equal(peer.server.closed, false);
  assert.equal(handler.cancelCount, 10_000);
});

testHostile("CVE-2019-9516: fields without a name are malformed, and each counts for its overhead", () => {
  const peer = RawPeer.connected();
  peer.frame(FRAME_HEADERS, 5, 1, [...peer.block(GET_FIELDS), ...new Array<number>(6000).fill(0)]);
  assert.equal(peer.resetCode(1), ENHANCE_YOUR_CALM);
  peer.frame(FRAME_HEADERS, 5, 3, [...peer.block(GET_FIELDS), 0, 0, 0]);
  assert.equal(peer.resetCode(3), 1);
});

testHostile("CVE-2016-6581: a block of references to a long entry is not kept", () => {
  const peer = RawPeer.connected();
  const long = [0x40, 0x01, 0x61, 0x7f, 0xa1, 0x1e, ...new Array<number>(4000).fill(0x62)];
  peer.frame(FRAME_HEADERS, 5, 1, [...peer.block(GET_FIELDS), ...long]);
  assert.equal(peer.body(1), BODY);
  peer.frame(FRAME_HEADERS, 5, 3, [...peer.block(GET_FIELDS), ...new Array<number>(10_000).fill(0xbe)]);
  assert.equal(peer.resetCode(3), ENHANCE_YOUR_CALM);
});

testHostile("CVE-2019-9517: when the socket takes nothing, nothing more is read", () => {
  let respondCount = 0;
  const peer = RawPeer.connected({
    onHttp: (_request, respond) => {
      respondCount++;
      respond(200, {}, "a".repeat(60_000));
    },
  });
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0x7fffffff]]);
  peer.frame(FRAME_WINDOW_UPDATE, 0, 0, u32(0x7fff0000 - 65535));
  peer.read = nothing; // the socket is full
  for (let i = 0; !peer.server.isReadPaused; i++) {
    assert.ok(i < 200, "reading goes on");
    peer.headers(i * 2 + 1, GET_FIELDS);
  }
  assert.ok(respondCount > 50);
});

testHostile("CVE-2019-9517: output that nobody grants a window for ends the connection", () => {
  const peer = RawPeer.connected({
    transportLimits: { outputBytesKill: 1_000_000 },
    onHttp: (_request, respond) => respond(200, {}, "a".repeat(60_000)),
  });
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
  floodUntilClosed(peer, 30, (i) => peer.headers(i * 2 + 1, GET_FIELDS));
  assert.equal(peer.goawayCode(), ENHANCE_YOUR_CALM);
});

testHostile("slow reader: output above the limit that makes no progress ends the connection in time", () => {
  const peer = RawPeer.connected({
    limits: { connectionOutputBytesMax: 50_000, stalledReaderMs: 1000 },
    onHttp: (_request, respond) => respond(200, {}, "a".repeat(60_000)),
  });
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
  peer.headers(1, GET_FIELDS);
  peer.read();
  assert.equal(peer.server.nextDeadlineMs(), 1000);
  peer.nowMs = 500;
  peer.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(7000));
  peer.read();
  peer.nowMs = 1001;
  peer.server.onDeadline(peer.nowMs);
  peer.read();
  assert.equal(peer.goawayCode(), -1);
  peer.nowMs = 5000;
  peer.server.onDeadline(peer.nowMs);
  peer.read();
  assert.equal(peer.goawayCode(), ENHANCE_YOUR_CALM);
});

testHostile("slow reader: a byte now and then is no progress", () => {
  const peer = RawPeer.connected({
    limits: { connectionOutputBytesMax: 50_000, stalledReaderMs: 1000 },
    onHttp: (_request, respond) => respond(200, {}, "a".repeat(60_000)),
  });
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
  peer.headers(1, GET_FIELDS);
  for (; peer.nowMs <= 1000; peer.nowMs += 100) {
    assert.equal(peer.goawayCode(), -1);
    peer.frame(FRAME_WINDOW_UPDATE, 0, 1, u32(1));
    peer.server.onDeadline(peer.nowMs);
    peer.read();
  }
  assert.equal(peer.goawayCode(), ENHANCE_YOUR_CALM);
});

testHostile("slow loris: a preface, a frame and a header block each have their time", () => {
  const silent = new RawPeer();
  silent.send(PREFACE);
  assert.equal(silent.server.nextDeadlineMs(), 5_000);
  silent.server.onDeadline(5_000);
  silent.read();
  assert.equal(silent.goawayCode(), SETTINGS_TIMEOUT);
  const cut = RawPeer.connected();
  cut.send(Uint8Array.from([0, 0, 8, 6, 0, 0]));
  assert.equal(cut.server.nextDeadlineMs(), 30_000);
  const open = RawPeer.connected();
  open.headers(1, GET_FIELDS, FLAG_END_STREAM);
  assert.equal(open.server.nextDeadlineMs(), 30_000);
  open.server.onDeadline(30_000);
  open.read();
  assert.equal(open.goawayCode(), ENHANCE_YOUR_CALM);
});

testHostile("CVE-2023-32732: a binary field that is not base64 harms nobody", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, [...PUT, ["x-bin", "%%%"]], FLAG_END_HEADERS);
  peer.data(1, grpcMessage("x"), true);
  assert.equal(handler.held[0]?.metadata("x-bin"), "%%%");
});

testHostile("CVE-2023-1428: a field above the limit costs its request, not the connection", () => {
  const peer = RawPeer.connected();
  const block = peer.block([...GET_FIELDS, ["x-odd", "a".repeat(16_250)]]);
  peer.frame(FRAME_HEADERS, 1, 1, block.slice(0, 9000));
  peer.frame(FRAME_CONTINUATION, 4, 1, block.slice(9000));
  assert.equal(peer.resetCode(1), ENHANCE_YOUR_CALM);
  peer.headers(3, GET_FIELDS);
  assert.equal(peer.body(3), BODY);
});

testHostile("CVE-2026-33186: a path without its first slash is no method", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, grpcFields(METHOD.put.path.slice(1)), FLAG_END_HEADERS);
  peer.data(1, grpcMessage("x"), true);
  assert.equal(handler.held.length, 0);
  assert.deepEqual(peer.blocks()[0]?.fields, {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-status": "12",
    "grpc-message": 'malformed method name: "etcdserverpb.KV/Put"',
  });
});

testHostile("a message that announces 4 GiB is refused before anything is kept", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, PUT, FLAG_END_HEADERS);
  peer.data(1, Uint8Array.from([0, 255, 255, 255, 255, 1, 2]), false);
  assert.equal(
    peer.blocks()[0]?.fields["grpc-message"],
    "grpc: received message larger than max (4294967295 vs. 2097152)",
  );
  assert.equal(peer.server.callCount, 0);
});

testHostile("incomplete messages of one connection share a bound", () => {
  const peer = RawPeer.connected({ transportLimits: { assemblyBytesMax: 50_000 } });
  for (let i = 0; i < 4; i++) {
    peer.headers(i * 2 + 1, WATCH, FLAG_END_HEADERS);
    peer.data(i * 2 + 1, grpcMessage(new Uint8Array(100_000)).slice(0, 16_000), false);
  }
  const refused = peer.blocks();
  assert.deepEqual(
    refused.map(({ id, fields }) => [id, fields["grpc-status"]]),
    [[7, "8"]],
  );
  // What the others kept is free again once they are gone.
  for (const id of [1, 3, 5]) peer.frame(FRAME_RST_STREAM, 0, id, u32(8));
  peer.headers(9, WATCH, FLAG_END_HEADERS);
  peer.data(9, grpcMessage(new Uint8Array(100_000)).slice(0, 16_000), false);
  assert.deepEqual([peer.server.callCount, peer.resetCode(9)], [1, -1]);
});

test("too_many_pings: as etcd, three pings within five seconds while nothing is sent", () => {
  const handler = new HoldingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, WATCH, FLAG_END_HEADERS);
  const ping = (atMs: number): void => {
    peer.nowMs = atMs;
    peer.frame(FRAME_PING, 0, 0, new Uint8Array(8));
  };
  for (let i = 1; i <= 20; i++) ping(i * 5_000); // honest
  assert.equal(peer.goawayCode(), -1);
  for (let i = 1; i <= 20; i++) {
    ping(100_000 + i); // each after something was sent: Go measures its bandwidth so
    handler.held[0]!.beginMessage().byte(1);
    handler.held[0]!.endMessage();
    peer.read();
  }
  assert.equal(peer.goawayCode(), -1);
  for (let i = 1; i <= 4; i++) ping(200_000 + i);
  assert.equal(peer.goawayText(), "too_many_pings");
  assert.equal(peer.goawayCode(), ENHANCE_YOUR_CALM);
});

test("a ping for each answer is no abuse: Go measures its bandwidth with one a round trip", () => {
  const peer = RawPeer.connected();
  for (let i = 0; i < 3_000; i++) {
    peer.headers(i * 2 + 1, GET_FIELDS);
    peer.frame(FRAME_PING, 0, 0, new Uint8Array(8));
  }
  assert.equal(peer.goawayText(), "");
});

test("too_many_pings: without a stream none are permitted for two hours", () => {
  const peer = RawPeer.connected();
  for (let i = 1; i <= 5 && !peer.server.closed; i++) {
    peer.nowMs = i * 60_000;
    peer.frame(FRAME_PING, 0, 0, new Uint8Array(8));
  }
  assert.equal(peer.goawayText(), "too_many_pings");
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Twice, and in a turn of its own: buffers are given back behind the collection that found them. */
async function usedBytes(): Promise<number> {
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

for (const { title, act } of hostile) {
  test(`memory is back at its start after: ${title}`, async () => {
    act(); // what is made once is there from now on
    let grown = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUND_COUNT_MAX && grown >= GROWN_BYTES_MAX; round++) {
      const before = await usedBytes();
      for (let i = 0; i < REPEAT_COUNT; i++) act();
      grown = (await usedBytes()) - before;
    }
    assert.ok(grown < GROWN_BYTES_MAX, `grown by ${grown} bytes in every round`);
  });
}
