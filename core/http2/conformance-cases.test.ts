// Cases of protocol conformance as data: what a peer sends, and how the server must answer.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_CONTINUATION,
  FRAME_HEADERS,
  FRAME_PING,
  SETTING_INITIAL_WINDOW_SIZE,
} from "./frames.ts";
import { BODY, GET_FIELDS, latin1, POST_FIELDS, type RawFields, RawPeer } from "../grpc/raw-peer.ts";

export type Case = readonly [title: string, run: (peer: RawPeer) => void, expected: Expected];
/** `answered`: stream 1 has its whole answer. `open`: a PING is answered. Otherwise the code of a fault. */
export type Expected =
  | "answered"
  | "open"
  | { readonly connection: number | readonly number[] }
  | { readonly stream: number | readonly number[] };

export const END = FLAG_END_HEADERS | FLAG_END_STREAM;
export const PING_PAYLOAD = latin1("12345678");
export const connection = (...codes: number[]): Expected => ({ connection: codes });
export const stream = (...codes: number[]): Expected => ({ stream: codes });
export const u32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
export const u16 = (value: number): number[] => [value >>> 8, value & 255];
export const withField = (name: string, value: string): RawFields => [...GET_FIELDS, [name, value]];
export const without = (name: string): RawFields => GET_FIELDS.filter(([it]) => it !== name);
export const text = (value: string, isHuffman = false): number[] => [
  (isHuffman ? 0x80 : 0) | value.length,
  ...latin1(value),
];
/** A literal of 10 Huffman bits and padding: "aa" is 00011 00011, then ones. */
export const HUFFMAN_AA = [0x82, 0b00011000, 0b11111111];

/** Sends GET on stream 1 with raw bytes behind its fields. */
export function getWith(peer: RawPeer, bytes: readonly number[]): void {
  peer.frame(FRAME_HEADERS, END, 1, [...peer.block(GET_FIELDS), ...bytes]);
}

/** Cuts a GET's block into HEADERS and `count` CONTINUATIONs. */
export function getInPieces(peer: RawPeer, count: number): void {
  const block = peer.block(GET_FIELDS);
  const size = Math.ceil(block.length / (count + 1));
  peer.frame(FRAME_HEADERS, FLAG_END_STREAM, 1, block.slice(0, size));
  for (let i = 1; i <= count; i++) {
    const flags = i === count ? FLAG_END_HEADERS : 0;
    peer.frame(FRAME_CONTINUATION, flags, 1, block.slice(i * size, (i + 1) * size));
  }
}

export const openPost = (peer: RawPeer, id = 1): void => peer.headers(id, POST_FIELDS, FLAG_END_HEADERS);
/** A request that is half closed and whose answer waits for a window. */
export function halfClosed(peer: RawPeer): void {
  peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
  peer.headers(1, GET_FIELDS);
}

/** Asserts the outcome of a case. */
export function check(peer: RawPeer, expected: Expected): void {
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

/** Makes a test of each case. */
export function testCases(group: string, cases: readonly Case[]): void {
  for (const [title, run, expected] of cases) {
    test(`${group} ${title}`, () => {
      const peer = RawPeer.connected({ limits: { streamCountMax: 100 } });
      run(peer);
      check(peer, expected);
    });
  }
}
