import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { crc32c } from "../base/crc32c.ts";
import { id64 } from "../base/ids.ts";
import { Prng } from "../base/prng.ts";
import {
  FRAME_BARE_PIECE,
  FRAME_REFUSAL,
  FrameReader,
  PEER_PROTOCOL_VERSION,
  PeerError,
  REFUSAL_REMOVED,
  beginFrame,
  endFrame,
  isRemovedRefusal,
  parseGreeting,
  refusalOf,
  writeGreeting,
} from "./peer-frames.ts";

const GREETING = { lane: 1, clusterId: id64(1, 2), from: id64(3, 4), to: id64(5, 6) };

test("a greeting is read as it was written", () => {
  const writer = new ByteWriter();
  writeGreeting(writer, GREETING);
  assert.deepEqual(parseGreeting(writer.bytes, 0), GREETING);
});

test("a greeting with any bit flipped is refused", () => {
  const writer = new ByteWriter();
  writeGreeting(writer, GREETING);
  for (let bit = 0; bit < 36 * 8; bit++) {
    const damaged = writer.copy();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => parseGreeting(damaged, 0), PeerError, `bit ${bit}`);
  }
});

function ofVersion(version: number): Uint8Array {
  const writer = new ByteWriter();
  writeGreeting(writer, GREETING);
  writer.bytes[6] = version;
  const crc = crc32c(writer.bytes, 0, 32, 0);
  writer.position = 32;
  writer.uint32Be(crc);
  return writer.copy();
}

test("a greeting of a newer protocol is refused by name, one of an older protocol is read", () => {
  const newer = ofVersion(PEER_PROTOCOL_VERSION + 1);
  assert.throws(() => parseGreeting(newer, 0), {
    name: "PeerError",
    message: /protocol version 2, this member up to 1: update this member/,
  });
  assert.deepEqual(parseGreeting(ofVersion(PEER_PROTOCOL_VERSION - 1), 0), GREETING);
});

test("a peer of another cluster, or one that looks for another member, is refused by name", () => {
  const own = { clusterId: GREETING.clusterId, memberId: GREETING.to };
  assert.equal(refusalOf(GREETING, own), undefined);
  assert.match(refusalOf(GREETING, { ...own, clusterId: id64(9, 9) })!, /cluster ID mismatch/);
  assert.match(refusalOf(GREETING, { ...own, memberId: id64(9, 9) })!, /member ID mismatch/);
});

test("a member that was removed is refused in words that it knows", () => {
  const own = { clusterId: GREETING.clusterId, memberId: GREETING.to, isRemoved: () => true };
  assert.equal(refusalOf(GREETING, own), REFUSAL_REMOVED);
  // Another cluster has no say in it.
  assert.match(refusalOf(GREETING, { ...own, clusterId: id64(9, 9) })!, /cluster ID mismatch/);
  const answer = (text: string, kind: number): Uint8Array => {
    const writer = new ByteWriter();
    const start = beginFrame(writer, kind);
    writer.utf8(text);
    endFrame(writer, start);
    return writer.copy();
  };
  assert.ok(isRemovedRefusal(answer(REFUSAL_REMOVED, FRAME_REFUSAL)));
  assert.ok(!isRemovedRefusal(answer(REFUSAL_REMOVED, FRAME_REFUSAL + 1)));
  assert.ok(!isRemovedRefusal(answer("unknown lane 9", FRAME_REFUSAL)));
  const cut = answer(REFUSAL_REMOVED, FRAME_REFUSAL).subarray(0, -1);
  for (let size = 0; size <= cut.length; size++) assert.ok(!isRemovedRefusal(cut.subarray(0, size)));
});

function frames(payloads: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  payloads.forEach((payload, kind) => {
    const start = beginFrame(writer, kind);
    writer.raw(payload, 0, payload.length);
    endFrame(writer, start);
  });
  return writer.copy();
}

test("frames arrive whole and in order however the stream is cut", () => {
  const payloads = [0, 1, 5, 300, 7000].map((size, i) => new Uint8Array(size).fill(i));
  const stream = frames(payloads);
  for (let seed = 0; seed < 50; seed++) {
    const prng = new Prng(seed);
    const reader = new FrameReader(10_000);
    const seen: Uint8Array[] = [];
    for (let at = 0; at < stream.length;) {
      const end = Math.min(stream.length, at + prng.between(1, prng.pick([3, 40, 9000])));
      reader.receive(stream, at, end, (kind, bytes, start, stop) => {
        assert.equal(kind, seen.length);
        seen.push(bytes.slice(start, stop));
      });
      at = end;
    }
    assert.deepEqual(seen, payloads, `seed ${seed}`);
  }
});

/** How many frames reach the handler when this byte is damaged. */
function seenWhenDamaged(stream: Uint8Array, at: number): number {
  stream[at]! ^= 0x10;
  let seen = 0;
  try {
    new FrameReader(1000).receive(stream, 0, stream.length, () => seen++);
  } catch (error) {
    assert.ok(error instanceof PeerError);
  }
  return seen;
}

test("of a bare piece only what says which piece it is must be whole; its bytes have checksums of their own", () => {
  const writer = new ByteWriter();
  const frame = beginFrame(writer, FRAME_BARE_PIECE);
  writer.utf8("which piece it is"); // 17 bytes
  writer.utf8("its bytes");
  endFrame(writer, frame);
  for (let at = 0; at < writer.position; at++) {
    assert.equal(seenWhenDamaged(writer.copy(), at), Number(at >= 9 + 17), `byte ${at}`);
  }
});

test("a frame with any byte damaged never reaches the handler", () => {
  const stream = frames([Uint8Array.of(1, 2, 3, 4, 5)]);
  for (let at = 0; at < stream.length; at++) {
    assert.equal(seenWhenDamaged(stream.slice(), at), 0, `byte ${at}`);
  }
});

test("a frame above the limit is refused before it is held", () => {
  const stream = frames([new Uint8Array(2000)]);
  assert.throws(() => new FrameReader(1000).receive(stream, 0, 9, () => {}), /above the limit/);
});
