// Our client against servers that misbehave: the negative interoperability cases of gRPC, and what proxies do.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ByteWriter } from "../base/byte-writer.ts";
import {
  ENHANCE_YOUR_CALM,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  NO_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
  readUint31,
  readUint32,
  REFUSED_STREAM,
  SETTING_STREAM_COUNT_MAX,
} from "../http2/frames.ts";
import { HpackEncoder } from "../http2/hpack-encode.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../http2/limits.ts";
import { METHOD } from "../wire/service.ts";
import type { ClientCall } from "./client-call.ts";
import { ClientConnection } from "./client.ts";
import { frameBytes, grpcMessage, type RawFields, type RawFrame } from "./raw-peer.ts";

const OK_HEAD: RawFields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];
const END = FLAG_END_HEADERS | FLAG_END_STREAM;
const nothing = (): void => undefined;
const u32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];

/** A server that says what the test says, and the client it talks to. */
class RawServer {
  nowMs = 0;
  spentReason = "";
  readonly notes: string[] = [];
  readonly frames: RawFrame[] = [];
  readonly client: ClientConnection;
  readonly #encoder = new HpackEncoder();

  constructor(keepaliveIntervalMs = Infinity) {
    this.client = new ClientConnection({
      clock: { now: () => this.nowMs, unixSeconds: () => 0 },
      transportLimits: { ...DEFAULT_TRANSPORT_LIMITS, keepaliveIntervalMs },
      scheme: "http",
      authority: "test",
      userAgent: "test",
      messageSizeBytesMax: 1_000_000,
      waitingCountMax: 5,
      pingsWithoutCalls: false,
      onOutput: nothing,
      onReady: nothing,
      onSpent: (_, reason) => (this.spentReason = reason),
    });
    this.read();
    this.frame(FRAME_SETTINGS, 0, 0, []);
  }

  /** A unary call that is on its way. */
  put(): ClientCall {
    const call = this.client.call(METHOD.put, {
      onMessage: (_call, _bytes, start, end) => this.notes.push(`message ${end - start}`),
      onEnd: (ended, code, text) =>
        this.notes.push(`end ${code} ${text}${ended.isRefused ? " (refused)" : ""}`),
    });
    call.send(new Uint8Array(3), 0, 3);
    call.halfClose();
    this.read();
    return call;
  }

  read(): void {
    for (let out = this.client.takeOutput(); out.length > 0; out = this.client.takeOutput()) {
      for (let at = out[0] === PREFACE[0] ? PREFACE.length : 0; at < out.length;) {
        const length = (out[at]! << 16) | (out[at + 1]! << 8) | out[at + 2]!;
        const payload = out.slice(at + 9, at + 9 + length);
        this.frames.push({ type: out[at + 3]!, flags: out[at + 4]!, id: readUint31(out, at + 5), payload });
        at += 9 + length;
      }
    }
  }

  frame(type: number, flags: number, id: number, payload: Uint8Array | readonly number[]): void {
    const bytes = frameBytes(type, flags, id, payload);
    this.client.receive(bytes, 0, bytes.length);
    this.read();
  }

  headers(id: number, fields: RawFields, flags = FLAG_END_HEADERS): void {
    const writer = new ByteWriter();
    for (const [name, value] of fields) this.#encoder.once(writer, name, value);
    this.frame(FRAME_HEADERS, flags, id, writer.copy());
  }

  goawayCode(): number {
    const frame = this.frames.find((it) => it.type === FRAME_GOAWAY);
    return frame === undefined ? -1 : readUint32(frame.payload, 4);
  }

  opened(): number[] {
    return this.frames.filter((it) => it.type === FRAME_HEADERS).map((it) => it.id);
  }
}

test("goaway: calls above the last id are refused, those below go on, no new ones", () => {
  const server = new RawServer();
  server.put();
  server.put();
  server.frame(FRAME_GOAWAY, 0, 0, [...u32(1), ...u32(NO_ERROR)]);
  assert.deepEqual(server.notes, ["end 14 stream terminated by RST_STREAM with error code: 7 (refused)"]);
  server.put();
  assert.match(server.notes[1]!, /^end 14 .*\(refused\)$/);
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, 0, 1, grpcMessage("ab"));
  server.headers(1, [["grpc-status", "0"]], END);
  assert.deepEqual(server.notes.slice(2), ["message 2", "end 0 "]);
  assert.ok(server.client.closed);
});

test("goaway with too_many_pings names the reason", () => {
  const server = new RawServer();
  const text = Array.from("too_many_pings", (character) => character.charCodeAt(0));
  server.frame(FRAME_GOAWAY, 0, 0, [...u32(0), ...u32(ENHANCE_YOUR_CALM), ...text]);
  assert.equal(server.spentReason, "the server sent GOAWAY with code 11: too_many_pings");
});

test("rst_after_header: the call ends without a message", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, OK_HEAD);
  server.frame(FRAME_RST_STREAM, 0, 1, u32(2));
  assert.deepEqual(server.notes, ["end 13 stream terminated by RST_STREAM with error code: 2"]);
});

test("rst_during_data: half a message is no message", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, 0, 1, grpcMessage("abcdef").slice(0, 7));
  server.frame(FRAME_RST_STREAM, 0, 1, u32(8));
  assert.deepEqual(server.notes, ["end 1 stream terminated by RST_STREAM with error code: 8"]);
});

test("rst_after_data: the message arrives, the call fails all the same", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, 0, 1, grpcMessage("abc"));
  server.frame(FRAME_RST_STREAM, 0, 1, u32(11));
  assert.deepEqual(server.notes, ["message 3", "end 8 stream terminated by RST_STREAM with error code: 11"]);
});

test("a refused stream says so, for a retry", () => {
  const server = new RawServer();
  server.put();
  server.frame(FRAME_RST_STREAM, 0, 1, u32(REFUSED_STREAM));
  assert.match(server.notes[0]!, /^end 14 .*\(refused\)$/);
});

test("ping: every ping is answered", () => {
  const server = new RawServer();
  for (let i = 0; i < 50; i++) server.frame(FRAME_PING, 0, 0, new Uint8Array(8));
  const answers = server.frames.filter((it) => it.type === FRAME_PING && it.flags === FLAG_ACK);
  assert.equal(answers.length, 50);
});

test("max_streams: calls wait for a stream, and above the bound fail", () => {
  const server = new RawServer();
  server.frame(FRAME_SETTINGS, 0, 0, [0, SETTING_STREAM_COUNT_MAX, ...u32(1)]);
  for (let i = 0; i < 7; i++) server.put();
  assert.deepEqual(server.opened(), [1]);
  assert.deepEqual(server.notes, ["end 8 too many calls wait for the connection (refused)"]);
  for (let id = 1; id <= 11; id += 2) {
    server.headers(id, OK_HEAD);
    server.frame(FRAME_DATA, 0, id, grpcMessage("ab"));
    server.headers(id, [["grpc-status", "0"]], END);
  }
  assert.deepEqual(server.opened(), [1, 3, 5, 7, 9, 11]);
  assert.equal(server.notes.filter((it) => it === "end 0 ").length, 6);
});

test("data_frame_padding: padding counts against the windows and is given back", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, OK_HEAD);
  const message = grpcMessage(new Uint8Array(300_000));
  for (let at = 0; at < message.length; at += 5) {
    const piece = message.slice(at, at + 5);
    server.frame(FRAME_DATA, FLAG_PADDED, 1, [255, ...piece, ...new Uint8Array(255)]);
  }
  server.headers(1, [["grpc-status", "0"]], END);
  assert.deepEqual(server.notes, ["message 300000", "end 0 "]);
  const granted = server.frames
    .filter((it) => it.type === FRAME_WINDOW_UPDATE && it.id === 1)
    .reduce((sum, it) => sum + readUint32(it.payload, 0), 0);
  assert.ok(granted > 14_000_000, `${granted}`);
});

test("a server that ends without a status, or within a message, fails the call", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, FLAG_END_STREAM, 1, grpcMessage("ab"));
  server.put();
  server.headers(3, OK_HEAD);
  server.frame(FRAME_DATA, 0, 3, [0, 0, 0]);
  server.headers(3, [["grpc-status", "0"]], END);
  server.put();
  server.headers(5, [...OK_HEAD, ["grpc-status", "0"]], END);
  assert.deepEqual(server.notes, [
    "message 2",
    "end 13 the server ended the call without a status",
    "end 13 the server ended within a message",
    "end 13 the server sent no message",
  ]);
});

test("a proxy's answer becomes a status", () => {
  const server = new RawServer();
  const statuses = ["503", "404", "401", "500"];
  for (const [i, status] of statuses.entries()) {
    server.put();
    server.headers(i * 2 + 1, [
      [":status", status],
      ["content-type", "text/html"],
    ]);
  }
  assert.deepEqual(
    server.notes.map((it) => it.split(" ")[1]),
    ["14", "12", "16", "2"],
  );
});

test("interim responses mean nothing, and a message above the limit fails the call", () => {
  const server = new RawServer();
  server.put();
  server.headers(1, [[":status", "103"]]);
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, 0, 1, [0, ...u32(1_000_001), 1]);
  assert.deepEqual(server.notes, ["end 8 grpc: received message larger than max (1000001 vs. 1000000)"]);
});

test("a server that pushes or answers what was not asked breaks the protocol", () => {
  const push = new RawServer();
  push.put();
  push.frame(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, u32(2));
  assert.equal(push.goawayCode(), PROTOCOL_ERROR);
  assert.match(push.notes[0]!, /^end 14/);
  const unasked = new RawServer();
  unasked.headers(7, OK_HEAD);
  assert.equal(unasked.goawayCode(), PROTOCOL_ERROR);
});

test("late frames of cancelled calls are ignored", () => {
  const server = new RawServer();
  for (let i = 0; i < 600; i++) server.put().cancel();
  server.headers(1, OK_HEAD);
  server.frame(FRAME_DATA, 0, 1, grpcMessage("late"));
  server.headers(1, [["grpc-status", "0"]], END);
  assert.equal(server.goawayCode(), -1);
  assert.equal(server.notes.length, 600);
});

test("keepalive: a silent server is pinged while calls run, and given up in time", () => {
  const server = new RawServer(10_000);
  assert.equal(server.client.nextDeadlineMs(), Infinity);
  server.put();
  assert.equal(server.client.nextDeadlineMs(), 10_000);
  server.nowMs = 10_000;
  server.client.onDeadline(10_000);
  server.read();
  assert.equal(server.frames.at(-1)?.type, FRAME_PING);
  assert.equal(server.client.nextDeadlineMs(), 30_000);
  server.client.onDeadline(30_000);
  assert.deepEqual(server.notes, ["end 14 a ping was not answered in time"]);
});

test("handlers may start and end calls from within any callback", () => {
  const server = new RawServer();
  const ends: number[] = [];
  const again = (): void => {
    const call = server.client.call(METHOD.watch, {
      onMessage: (it) => {
        it.cancel();
        if (ends.length < 5) again();
      },
      onEnd: (_it, code) => ends.push(code),
    });
    call.send(new Uint8Array(1), 0, 1);
  };
  again();
  server.read();
  for (let id = 1; id <= 9; id += 2) {
    server.headers(id, OK_HEAD);
    const two = grpcMessage("a");
    server.frame(FRAME_DATA, 0, id, [...two, ...two]);
  }
  assert.deepEqual(ends, [1, 1, 1, 1, 1]);
});
