// What members say to each other, as bytes: a greeting, then frames. Pure; `io/net/peers.ts` moves the bytes.
//
//   greeting   0  "HFPEER"  6 bytes of magic
//              6  version   u8   format version of the protocol; newer is refused by name (design D10)
//              7  lane      u8   0 control, 1 bulk: no append or snapshot delays a heartbeat
//              8  cluster   u64  big-endian; members of another cluster are refused
//             16  from      u64  the member that opened the connection
//             24  to        u64  the member it believes to talk to
//             32  crc       u32  CRC-32C of the 32 bytes before
//   answer     the same 36 bytes with `from` and `to` exchanged, or a refusal frame and the end of the connection
//
//   frame      0  length    u32  bytes of the payload
//              4  crc       u32  CRC-32C of kind and payload: a byte damaged on the way must not reach the log;
//                                of a bare piece (kind 6) kind and the first 17 bytes only
//              8  kind      u8
//              9  payload

import { ByteWriter } from "../base/byte-writer.ts";
import { crc32c } from "../base/crc32c.ts";
import { type Id64, id64, id64Equal, id64Hex } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { assert } from "../base/assert.ts";

export const PEER_PROTOCOL_VERSION = 1;
export const GREETING_SIZE_BYTES = 36;
export const FRAME_HEADER_SIZE_BYTES = 9;
/** The first bytes of a greeting: how a listener tells a peer from an HTTP request. */
export const GREETING_MAGIC: Uint8Array = Uint8Array.of(0x48, 0x46, 0x50, 0x45, 0x45, 0x52);

export const LANE_CONTROL = 0;
export const LANE_BULK = 1;

export const FRAME_REFUSAL = 0;
export const FRAME_RAFT = 1;
/** A piece of a snapshot: see snapshot-transfer.ts. */
export const FRAME_SNAPSHOT = 2;
export const FRAME_SNAPSHOT_ACK = 3;
/** Calls between members that are no Raft messages: keep-alives and hashes, see peer-calls.ts. */
export const FRAME_CALL = 4;
/** Formats, hashes of effects and the wish for another state: see state-frames.ts. Unknown kinds are ignored. */
export const FRAME_STATE = 5;
/**
 * A piece of a snapshot whose file is under checksums of its own, which the receiver verifies before it believes anything: to sum it
 * twice more would cost both sides a fifth of their time. Only for peers that have said that they know it (snapshot-frames.ts).
 */
export const FRAME_BARE_PIECE = 6;
/** Nothing but that the last words arrived, for who has nothing else to say. The transport's own; a member ignores it. */
export const FRAME_HEARD = 7;
/** Which piece of what it is. */
const BARE_SUMMED_BYTES = 17;

export interface Greeting {
  readonly lane: number;
  readonly clusterId: Id64;
  readonly from: Id64;
  readonly to: Id64;
}

/** The other side broke the protocol, or is not who it should be; the connection ends. */
export class PeerError extends Error {
  override readonly name = "PeerError";
}

export function writeGreeting(writer: ByteWriter, greeting: Greeting): void {
  const start = writer.position;
  writer.raw(GREETING_MAGIC, 0, GREETING_MAGIC.length);
  writer.byte(PEER_PROTOCOL_VERSION);
  writer.byte(greeting.lane);
  for (const id of [greeting.clusterId, greeting.from, greeting.to]) {
    writer.uint32Be(id.hi);
    writer.uint32Be(id.lo);
  }
  writer.uint32Be(crc32c(writer.bytes, start, writer.position, 0));
}

/** Reads the greeting that starts at `start`; there are GREETING_SIZE_BYTES of it. Throws PeerError. */
export function parseGreeting(bytes: Uint8Array, start: number): Greeting {
  for (let i = 0; i < GREETING_MAGIC.length; i++) {
    if (bytes[start + i] !== GREETING_MAGIC[i])
      throw new PeerError("Not a peer: the greeting's magic is missing");
  }
  const version = bytes[start + 6]!;
  if (version > PEER_PROTOCOL_VERSION) {
    throw new PeerError(
      `The peer speaks protocol version ${version}, this member up to ${PEER_PROTOCOL_VERSION}: update this member`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, GREETING_SIZE_BYTES);
  if (view.getUint32(32) !== crc32c(bytes, start, start + 32, 0))
    throw new PeerError("The greeting is damaged");
  const idAt = (offset: number): Id64 => id64(view.getUint32(offset), view.getUint32(offset + 4));
  return { lane: bytes[start + 7]!, clusterId: idAt(8), from: idAt(16), to: idAt(24) };
}

/** Why this greeting must be refused; undefined when it is fine. */
export function refusalOf(
  greeting: Greeting,
  own: {
    readonly clusterId: Id64;
    readonly memberId: Id64;
    readonly isRemoved?: (id: Id64) => boolean;
  },
): string | undefined {
  if (!id64Equal(greeting.clusterId, own.clusterId)) {
    return `cluster ID mismatch: the peer has ${id64Hex(greeting.clusterId)}, this member ${id64Hex(own.clusterId)}`;
  }
  if (!id64Equal(greeting.to, own.memberId)) {
    return `member ID mismatch: the peer looks for ${id64Hex(greeting.to)}, this is ${id64Hex(own.memberId)}`;
  }
  if (own.isRemoved?.(greeting.from) === true) return REFUSAL_REMOVED;
  if (greeting.lane > LANE_BULK) return `unknown lane ${greeting.lane}`;
  return undefined;
}

/** Why a member that was removed is refused, in etcd's words. Whoever reads this of itself stops: removal.ts. */
export const REFUSAL_REMOVED = "the member has been permanently removed from the cluster";

/** Whether the answer to a greeting, a refusal frame, says that the one who greeted was removed. */
export function isRemovedRefusal(answer: Uint8Array): boolean {
  if (answer.length < FRAME_HEADER_SIZE_BYTES || answer[8] !== FRAME_REFUSAL) return false;
  return decodeUtf8(answer, FRAME_HEADER_SIZE_BYTES, answer.length) === REFUSAL_REMOVED;
}

/** Opens a frame; write the payload, then `endFrame` with what comes back. */
export function beginFrame(writer: ByteWriter, kind: number): number {
  const start = writer.position;
  writer.uint32Be(0);
  writer.uint32Be(0);
  writer.byte(kind);
  return start;
}

export function endFrame(writer: ByteWriter, frameStart: number): void {
  const end = writer.position;
  assert(end >= frameStart + FRAME_HEADER_SIZE_BYTES, "a frame ends behind its header");
  const crc = frameCrc(writer.bytes, frameStart, end);
  writer.position = frameStart;
  writer.uint32Be(end - frameStart - FRAME_HEADER_SIZE_BYTES);
  writer.uint32Be(crc);
  writer.position = end;
}

export type FrameHandler = (kind: number, bytes: Uint8Array, start: number, end: number) => void;

/** Cuts a stream of bytes into frames. Keeps at most one incomplete frame. */
export class FrameReader {
  readonly #sizeBytesMax: number;
  #rest = new ByteWriter(4096);

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** Hands every complete frame to `onFrame`. Throws PeerError on damage and on frames above the limit. */
  receive(chunk: Uint8Array, start: number, end: number, onFrame: FrameHandler): void {
    if (this.#rest.position === 0) {
      const used = this.#frames(chunk, start, end, onFrame);
      this.#rest.raw(chunk, used, end);
      return;
    }
    this.#rest.raw(chunk, start, end);
    const held = this.#rest;
    // The handler may cause more input to arrive only in a later turn, so the buffer is ours until we return.
    const used = this.#frames(held.bytes, 0, held.position, onFrame);
    if (used > 0) {
      held.bytes.copyWithin(0, used, held.position);
      held.position -= used;
    }
  }

  #frames(bytes: Uint8Array, start: number, end: number, onFrame: FrameHandler): number {
    let at = start;
    while (end - at >= FRAME_HEADER_SIZE_BYTES) {
      const size = readUint32(bytes, at);
      if (size > this.#sizeBytesMax)
        throw new PeerError(`A frame of ${size} bytes is above the limit of ${this.#sizeBytesMax}`);
      const frameEnd = at + FRAME_HEADER_SIZE_BYTES + size;
      if (frameEnd > end) break;
      if (readUint32(bytes, at + 4) !== frameCrc(bytes, at, frameEnd))
        throw new PeerError("A frame is damaged");
      onFrame(bytes[at + 8]!, bytes, at + FRAME_HEADER_SIZE_BYTES, frameEnd);
      at = frameEnd;
    }
    return at;
  }
}

function frameCrc(bytes: Uint8Array, start: number, end: number): number {
  const isBare = bytes[start + 8] === FRAME_BARE_PIECE;
  const summedEnd = isBare ? Math.min(end, start + FRAME_HEADER_SIZE_BYTES + BARE_SUMMED_BYTES) : end;
  return crc32c(bytes, start + 8, summedEnd, 0);
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
