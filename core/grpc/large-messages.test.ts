// Large answers, which are pulled into frames, and messages that share a frame.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { ByteWriter } from "../base/byte-writer.ts";
import {
  FLAG_END_HEADERS,
  FRAME_DATA,
  FRAME_PAYLOAD_SIZE_BYTES_MAX,
  FRAME_WINDOW_UPDATE,
} from "../http2/frames.ts";
import { METHOD } from "../wire/service.ts";
import type { ClientCall } from "./client-call.ts";
import { Pair, type PairOptions } from "./pair.ts";
import { grpcFields, RawPeer } from "./raw-peer.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

const nothing = (): void => undefined;

/** Keeps the calls; tests answer by hand. */
class Calls implements ServerHandler {
  readonly calls: ServerCall[] = [];
  onUnary(call: ServerCall): void {
    this.calls.push(call);
  }
  onStreamOpen(call: ServerCall): void {
    this.calls.push(call);
  }
  onStreamMessage: ServerHandler["onStreamMessage"] = nothing;
  onStreamHalfClose: ServerHandler["onStreamHalfClose"] = nothing;
  onCancel = nothing;
  onWritable = nothing;
}

/** Bytes that tell where they are. */
function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8)) & 0xff;
  return bytes;
}

/** Writes whole records of the sizes given, in turns, as a list of keys is written. */
class RecordProducer {
  largestRoomBytes = 0;
  readonly #bytes: Uint8Array;
  readonly #sizes: readonly number[];
  #position = 0;
  #record = 0;

  constructor(bytes: Uint8Array, sizes: readonly number[]) {
    this.#bytes = bytes;
    this.#sizes = sizes;
  }

  pull(writer: ByteWriter, roomBytes: number): boolean {
    this.largestRoomBytes = Math.max(this.largestRoomBytes, roomBytes);
    const end = writer.position + roomBytes;
    do {
      const size = this.#sizes[this.#record++ % this.#sizes.length]!;
      const next = Math.min(this.#bytes.length, this.#position + size);
      writer.raw(this.#bytes, this.#position, next);
      this.#position = next;
    } while (this.#position < this.#bytes.length && writer.position < end);
    return this.#position === this.#bytes.length;
  }

  abandon(): void {
    assert.fail("nobody went away");
  }
}

/** What a client gets for one call that is answered by the producer. */
function received(producer: RecordProducer, sizeBytes: number, options: Partial<PairOptions>): Uint8Array {
  const handler = new Calls();
  const pair = new Pair({ handler, ...options });
  pair.run();
  let message = new Uint8Array(0);
  let endCode = -1;
  const call = pair.client.call(METHOD.range, {
    onMessage: (_call, bytes, start, end) => (message = bytes.slice(start, end)),
    onEnd: (_call, code) => (endCode = code),
  });
  call.send(Uint8Array.of(1), 0, 1);
  call.halfClose();
  pair.run();
  handler.calls[0]!.sendLarge(sizeBytes, producer);
  handler.calls[0]!.finish();
  pair.run();
  assert.equal(endCode, 0);
  return message;
}

test("a large answer arrives whole, whatever the sizes of its records, the windows and the chunks", () => {
  const size = 700_000;
  const bytes = pattern(size);
  const full = FRAME_PAYLOAD_SIZE_BYTES_MAX;
  for (const sizes of [[1], [340], [full - 5, full, full + 1], [5, 300_000, 1, 17_000]]) {
    for (const streamWindowBytes of [1, 1000, 65_535, 1 << 20]) {
      // Byte by byte takes long: one shape of records is enough.
      const part = streamWindowBytes === 1 ? bytes.subarray(0, 3000) : bytes;
      const producer = new RecordProducer(part, sizes);
      const got = received(producer, part.length, {
        clientLimits: { streamWindowBytes, connectionWindowBytes: 1 << 20, idleFrameBurst: 1e6 },
        serverLimits: { windowUpdateBurst: 1e6, idleFrameBurst: 1e6 },
      });
      assert.ok(
        Buffer.from(got).equals(part),
        `records of ${sizes.join()} in a window of ${streamWindowBytes}`,
      );
      assert.ok(producer.largestRoomBytes <= full, "a producer is asked for what its frame takes");
    }
  }
});

test("frames of a large answer are full but for the first, its length, and the last", () => {
  const handler = new Calls();
  const peer = RawPeer.connected({ handler });
  peer.frame(FRAME_WINDOW_UPDATE, 0, 0, [0, 16, 0, 0]);
  peer.headers(1, grpcFields("/etcdserverpb.KV/Range"), FLAG_END_HEADERS);
  peer.data(1, Uint8Array.of(0, 0, 0, 0, 0), true);
  peer.frame(FRAME_WINDOW_UPDATE, 0, 1, [0, 16, 0, 0]);
  const bytes = pattern(100_000);
  handler.calls[0]!.sendLarge(bytes.length, new RecordProducer(bytes, [340]));
  handler.calls[0]!.finish();
  peer.read();
  const sizes = peer.frames.filter((it) => it.type === FRAME_DATA).map((it) => it.payload.length);
  const full = FRAME_PAYLOAD_SIZE_BYTES_MAX;
  assert.deepEqual(sizes, [5, full, full, full, full, full, full, bytes.length - 6 * full]);
});

/** A watch call of a raw peer, open. */
function watching(handler: Calls): RawPeer {
  const peer = RawPeer.connected({ handler });
  peer.headers(1, grpcFields("/etcdserverpb.Watch/Watch"), FLAG_END_HEADERS);
  return peer;
}

function write(call: ServerCall, size: number): void {
  call.beginMessage().raw(pattern(size), 0, size);
  call.endMessage();
}

test("messages of one stream that follow each other share a frame while it has room", () => {
  const handler = new Calls();
  const peer = watching(handler);
  const [call] = handler.calls;
  for (const size of [100, 0, 16_000, 264, 300, 16_384 - 5]) write(call!, size);
  peer.read();
  write(call!, 10);
  write(call!, 20);
  call!.finish();
  peer.read();
  const frames = peer.frames.filter((it) => it.type === FRAME_DATA);
  assert.deepEqual(
    frames.map((it) => it.payload.length),
    [5 + 100 + 5 + 5 + 16_000 + 5 + 264, 5 + 300, 16_384, 5 + 10 + 5 + 20],
  );
  const body = Buffer.concat(frames.map((it) => it.payload));
  let at = 0;
  for (const size of [100, 0, 16_000, 264, 300, 16_384 - 5, 10, 20]) {
    assert.equal(body.readUInt32BE(at + 1), size);
    assert.ok(body.subarray(at + 5, at + 5 + size).equals(pattern(size)));
    at += 5 + size;
  }
  assert.equal(peer.blocks().at(-1)?.fields["grpc-status"], "0");
});

test("messages of several streams in turns keep their frames apart", () => {
  const handler = new Calls();
  const peer = watching(handler);
  peer.headers(3, grpcFields("/etcdserverpb.Watch/Watch"), FLAG_END_HEADERS);
  const [first, second] = handler.calls;
  for (const call of [first!, first!, second!, first!, second!, second!]) write(call, 10);
  peer.read();
  assert.deepEqual(
    peer.frames.filter((it) => it.type === FRAME_DATA).map((it) => [it.id, it.payload.length]),
    [
      [1, 30],
      [3, 15],
      [1, 15],
      [3, 30],
    ],
  );
});

test("a message that does not fit the window any more waits, and those before it in the frame are complete", () => {
  const handler = new Calls();
  const peer = watching(handler);
  const [call] = handler.calls;
  // The window is 65,535 bytes.
  for (let i = 0; i < 4; i++) write(call!, 16_000);
  for (let i = 0; i < 3; i++) write(call!, 700);
  peer.read();
  const arrived = (): number =>
    peer.frames.filter((it) => it.type === FRAME_DATA).reduce((sum, it) => sum + it.payload.length, 0);
  assert.equal(arrived(), 65_535);
  peer.frame(FRAME_WINDOW_UPDATE, 0, 0, [0, 1, 0, 0]);
  peer.frame(FRAME_WINDOW_UPDATE, 0, 1, [0, 1, 0, 0]);
  assert.equal(arrived(), 4 * 16_005 + 3 * 705);
});

test("a client's last message ends its stream also when it shares a frame", () => {
  const handler = new Calls();
  const notes: string[] = [];
  handler.onStreamMessage = (_call, _bytes, start, end) => void notes.push(`message ${end - start}`);
  handler.onStreamHalfClose = () => void notes.push("half close");
  const pair = new Pair({ handler });
  pair.run();
  const call = pair.client.call(METHOD.watch, { onMessage: nothing, onEnd: nothing });
  for (const size of [10, 20]) call.send(pattern(size), 0, size);
  call.halfClose();
  pair.run();
  assert.deepEqual(notes, ["message 10", "message 20", "half close"]);
});

/** The arrays that two large answers in a row were collected in. */
function arraysOf(messageKeptBytesMax: number | undefined): Uint8Array[] {
  const handler = new Calls();
  const pair = new Pair({ handler, ...(messageKeptBytesMax === undefined ? {} : { messageKeptBytesMax }) });
  pair.run();
  const arrays: Uint8Array[] = [];
  for (let i = 0; i < 2; i++) {
    const call: ClientCall = pair.client.call(METHOD.range, {
      onMessage: (_call, bytes) => arrays.push(bytes),
      onEnd: nothing,
    });
    call.send(Uint8Array.of(1), 0, 1);
    call.halfClose();
    pair.run();
    handler.calls[i]!.sendLarge(100_000, new RecordProducer(pattern(100_000), [340]));
    handler.calls[i]!.finish();
    pair.run();
  }
  return arrays;
}

test("a client uses the memory of a large answer again when it is told to, and lets it go otherwise", () => {
  const [first, second] = arraysOf(1 << 20);
  assert.equal(first, second);
  const [third, fourth] = arraysOf(undefined);
  assert.notEqual(third, fourth);
});

test("a client is told of a large answer's parts as they come, each with all before it", () => {
  const handler = new Calls();
  const pair = new Pair({ handler });
  pair.run();
  const sizes: number[] = [];
  const all = pattern(100_000);
  const call = pair.client.call(METHOD.range, {
    onPart: (_call, bytes, start, end) => {
      assert.ok(Buffer.from(bytes.subarray(start, end)).equals(all.subarray(0, end - start)));
      sizes.push(end - start);
    },
    onMessage: (_call, _bytes, start, end) => sizes.push(end - start),
    onEnd: nothing,
  });
  call.send(Uint8Array.of(1), 0, 1);
  call.halfClose();
  pair.run();
  handler.calls[0]!.sendLarge(all.length, new RecordProducer(all, [340]));
  handler.calls[0]!.finish();
  pair.run();
  const full = FRAME_PAYLOAD_SIZE_BYTES_MAX;
  const parts = [2, 3, 4, 5, 6].map((frames) => frames * full);
  assert.deepEqual(sizes.slice(-6), [...parts, all.length]);
});
