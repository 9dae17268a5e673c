// Both machines on bytes and frames of any kind: they may end the connection, they may not throw, hang on to calls, or
// depend on how the bytes were cut.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { Prng } from "../base/prng.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { PREFACE } from "../http2/frames.ts";
import { METHOD } from "../wire/service.ts";
import type { ClientCall } from "./client-call.ts";
import { Pair } from "./pair.ts";
import { decodePercent, encodePercent } from "./percent.ts";
import { frameBytes, GET_FIELDS, grpcFields, grpcMessage, POST_FIELDS, RawPeer } from "./raw-peer.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";
import { formatTimeout, parseTimeoutMs } from "./timeout.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);

/** Does something different with every call: answers, holds, fails, streams, sends large. */
class MoodyHandler implements ServerHandler {
  readonly open = new Set<ServerCall>();
  readonly #prng: Prng;
  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    this.open.add(call);
    if (this.#prng.chance(0.6)) this.#reply(call, bytes, start, end);
    if (this.#prng.chance(0.6)) this.#end(call);
  }
  onStreamOpen(call: ServerCall): void {
    this.open.add(call);
    if (this.#prng.chance(0.1)) this.#end(call);
  }
  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    assert.ok(this.open.has(call));
    if (this.#prng.chance(0.7) && call.writable) this.#reply(call, bytes, start, end);
    if (this.#prng.chance(0.1)) this.#end(call);
  }
  onStreamHalfClose(call: ServerCall): void {
    assert.ok(this.open.has(call));
    if (this.#prng.chance(0.8)) this.#end(call);
  }
  onCancel(call: ServerCall): void {
    assert.ok(this.open.has(call) && call.cancelled);
    if (this.#prng.chance(0.7)) this.#end(call);
  }
  onWritable(call: ServerCall): void {
    assert.ok(this.open.has(call));
  }
  finishAll(): void {
    for (const call of this.open) this.#end(call);
  }
  #reply(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const size = this.#prng.chance(0.1) ? 70_000 : 10;
    if (this.#prng.chance(0.2) && call.method.kind === "unary") return this.#large(call, size);
    const writer = call.beginMessage();
    writer.raw(bytes, start, end);
    for (let i = 0; i < size; i++) writer.byte(i);
    call.endMessage();
  }
  #large(call: ServerCall, size: number): void {
    let left = size;
    call.sendLarge(size, {
      pull: (writer, roomBytes) => {
        const count = Math.min(left, roomBytes);
        for (let i = 0; i < count; i++) writer.byte(i);
        left -= count;
        return left === 0;
      },
      abandon: () => (left = 0),
    });
  }
  #end(call: ServerCall): void {
    this.open.delete(call);
    if (this.#prng.chance(0.7)) call.finish();
    else call.failWith(13, "fäil");
  }
}

const encoder = new RawPeer();
const FIELDS = [
  GET_FIELDS,
  POST_FIELDS,
  grpcFields(METHOD.put.path),
  grpcFields(METHOD.watch.path),
  grpcFields("/x/y"),
];
const BLOCKS: readonly Uint8Array[] = FIELDS.map((it) => encoder.block(it));

const id = fc.oneof(
  { weight: 6, arbitrary: fc.nat(20).map((it) => it * 2 + 1) },
  { weight: 1, arbitrary: fc.nat(4) },
  { weight: 1, arbitrary: fc.nat(0x7fffffff) },
);
const message = fc.oneof(
  fc.uint8Array({ maxLength: 20 }).map((it) => grpcMessage(it)),
  fc.uint8Array({ maxLength: 12 }),
  fc.constant(grpcMessage(new Uint8Array(3000)).slice(0, 1500)),
);
const word = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
const increment = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.nat(0xffffffff)).map(word);
const setting = fc
  .tuple(fc.nat(7), fc.oneof(fc.nat(70_000), fc.nat(0xffffffff)))
  .map(([key, value]) => [0, key, ...word(value)]);

/** Frames as a client would send them, and not quite. */
const clientFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(id, fc.constantFrom(...BLOCKS), fc.constantFrom(4, 5, 4, 5, 0, 0x2c))
      .map(([it, block, flags]) => frameBytes(1, flags, it, block)),
  },
  {
    weight: 8,
    arbitrary: fc
      .tuple(id, message, fc.constantFrom(0, 1, 1, 8))
      .map(([it, body, flags]) => frameBytes(0, flags, it, body)),
  },
  { weight: 2, arbitrary: fc.tuple(id, increment).map(([it, by]) => frameBytes(8, 0, it, by)) },
  { weight: 2, arbitrary: fc.tuple(id, increment).map(([it, code]) => frameBytes(3, 0, it, code)) },
  { weight: 1, arbitrary: fc.array(setting, { maxLength: 4 }).map((it) => frameBytes(4, 0, 0, it.flat())) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      frameBytes(6, 0, 0, new Uint8Array(8)),
      frameBytes(4, 1, 0, []),
      frameBytes(2, 0, 9, [0, 0, 0, 0, 1]),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(11), fc.nat(255), id, fc.uint8Array({ maxLength: 20 }))
      .map(([type, flags, it, body]) => frameBytes(type, flags, it, body)),
  },
);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((it) => [...it]));
}

/** Feeds a server in chunks; returns all that it says. */
function serve(bytes: Uint8Array, cut: { seed: number; chunkSizeBytesMax: number }): string {
  const handler = new MoodyHandler(SEED);
  const peer = new RawPeer({
    handler,
    limits: { streamCountMax: 8 },
    transportLimits: { streamOutputBytesMax: 20_000 },
  });
  const prng = new Prng(cut.seed);
  peer.send(PREFACE);
  peer.settings([]);
  const read = peer.read.bind(peer);
  // Output is looked at only at the end, so that the cut cannot show in it.
  peer.read = () => undefined;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + prng.between(1, cut.chunkSizeBytesMax));
    peer.send(bytes.slice(at, end));
    at = end;
  }
  read();
  const said = peer.frames.map((it) => `${it.type} ${it.flags} ${it.id} ${it.payload.length}`).join("\n");
  peer.server.close("gone");
  handler.finishAll();
  assert.equal(peer.server.callCount, 0);
  return said;
}

test("frames of any kind: the server never throws, keeps no call, and does not care for chunks", () => {
  const property = fc.property(fc.array(clientFrame, { maxLength: 60 }), fc.nat(), (frames, seed) => {
    const bytes = joined(frames);
    const whole = serve(bytes, { seed, chunkSizeBytesMax: 1 << 20 });
    const cut = serve(bytes, { seed, chunkSizeBytesMax: 40 });
    assert.equal(cut, whole);
  });
  fc.assert(property, { seed: SEED, numRuns: 700 });
});

test("bytes of any kind: the server never throws", () => {
  const property = fc.property(
    fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }),
    fc.boolean(),
    (chunks, hasPreface) => {
      const peer = new RawPeer({ handler: new MoodyHandler(SEED) });
      if (hasPreface) peer.send(PREFACE);
      for (const chunk of chunks) peer.send(chunk);
      peer.server.close("gone");
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 2_000 });
});

test("frames of any kind: the client never throws, and every call ends once", () => {
  const responses: readonly Uint8Array[] = [
    [
      [":status", "200"],
      ["content-type", "application/grpc"],
    ] as const,
    [["grpc-status", "0"]] as const,
    [
      ["grpc-status", "5"],
      ["grpc-message", "%C3%A4%"],
    ] as const,
    [[":status", "503"]] as const,
    [[":status", "100"]] as const,
  ].map((it) => encoder.block(it));
  const serverFrame = fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(id, fc.constantFrom(...responses), fc.constantFrom(4, 5))
        .map(([it, block, flags]) => frameBytes(1, flags, it, block)),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(id, increment).map(([it, code]) => frameBytes(7, 0, 0, [...word(it), ...code])),
    },
    { weight: 12, arbitrary: clientFrame },
  );
  const property = fc.property(fc.array(serverFrame, { maxLength: 50 }), fc.nat(200), (frames, seed) => {
    const prng = new Prng(seed);
    const pair = new Pair({ handler: new MoodyHandler(seed), clientLimits: { poolCountMax: 3 } });
    pair.client.takeOutput();
    const ended = new Map<number, number>();
    let started = 0;
    const start = (): void => {
      const number = started++;
      const call: ClientCall = pair.client.call(prng.pick([METHOD.put, METHOD.watch]), {
        onMessage: (it) => {
          if (prng.chance(0.1)) it.cancel();
          if (prng.chance(0.1) && started < 60) start();
        },
        onEnd: () => {
          ended.set(number, (ended.get(number) ?? 0) + 1);
          if (prng.chance(0.1) && started < 60) start();
        },
      });
      if (ended.has(number)) return;
      call.send(new Uint8Array(5), 0, 5);
      if (prng.chance(0.7)) call.halfClose();
    };
    for (const bytes of [frameBytes(4, 0, 0, []), ...frames]) {
      if (prng.chance(0.4)) start();
      pair.client.receive(bytes, 0, bytes.length);
      if (prng.chance(0.5)) pair.client.takeOutput();
    }
    pair.client.close("gone");
    while (pair.client.callCount > 0) pair.client.endDoomedCalls();
    for (let number = 0; number < started; number++) assert.equal(ended.get(number), 1, `call ${number}`);
  });
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
});

test("two of our machines with tiny windows, slices and chunks lose nothing and never stall", () => {
  const property = fc.property(
    fc.nat(),
    fc.integer({ min: 1, max: 3000 }),
    fc.integer({ min: 1, max: 500 }),
    (seed, windowBytes, chunk) => {
      const prng = new Prng(seed);
      const sizes = Array.from({ length: prng.between(1, 12) }, () =>
        prng.below(prng.chance(0.2) ? 9_000 : 300),
      );
      const echoed: number[] = [];
      const echo: ServerHandler = {
        onUnary: () => assert.fail("only a stream"),
        onStreamOpen: () => undefined,
        onStreamMessage: (call, bytes, start, end) => {
          call.beginMessage().raw(bytes, start, end);
          call.endMessage();
        },
        onStreamHalfClose: (call) => call.finish(),
        onCancel: () => assert.fail("nobody cancels"),
        onWritable: () => undefined,
      };
      const small = {
        streamWindowBytes: windowBytes,
        outputSliceBytes: prng.between(1, 2000),
        windowUpdateBurst: 1e9,
      };
      const pair = new Pair({ handler: echo, clientLimits: small, serverLimits: small });
      pair.chunkSizeBytes = chunk;
      let code = -1;
      const call = pair.client.call(METHOD.watch, {
        onMessage: (_call, _bytes, start, end) => echoed.push(end - start),
        onEnd: (_call, endCode) => (code = endCode),
      });
      for (const size of sizes) call.send(new Uint8Array(size), 0, size);
      call.halfClose();
      pair.run();
      assert.deepEqual([code, echoed, pair.spentReason], [0, sizes, ""]);
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 300 });
});

test("every text survives grpc-message, and every field value decodes", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 30 });
  fc.assert(
    fc.property(text, (it) => assert.equal(decodePercent(encodePercent(it)), it)),
    { seed: SEED, numRuns: 2_000 },
  );
  const value = fc.uint8Array({ maxLength: 20 }).map((it) => String.fromCharCode(...it));
  fc.assert(
    fc.property(value, (it) => {
      decodePercent(it);
      decodePercent(`%${it}`);
    }),
    { seed: SEED, numRuns: 2_000 },
  );
  assert.equal(encodePercent("a%ä\n"), "a%25%C3%A4%0A");
  assert.ok(encodeUtf8("ä").length === 2);
});

test("timeouts are formatted in eight digits, never early", () => {
  const property = fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (timeoutMs) => {
    const text = formatTimeout(timeoutMs);
    assert.match(text, /^\d{1,8}[umSMHn]$/);
    const parsed = parseTimeoutMs(text)!;
    assert.ok(parsed >= Math.min(timeoutMs, 99_999_999_000) * (1 - 1e-12), `${timeoutMs} ${text}`);
  });
  fc.assert(property, { seed: SEED, numRuns: 2_000 });
  for (const bad of ["", "5", "S", "-1S", "1.5S", "123456789S", "1 S"])
    assert.equal(parseTimeoutMs(bad), undefined, bad);
});
