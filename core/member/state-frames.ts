// What members tell each other about their state, on the control lane; a handful of bytes, a few times a second.
//
//   FRAME_STATE   0 kind u8, then
//     format   u32  the newest format of entries that the sender knows; the first frame of a connection
//     hash     u8 version of the hash, u64 applied index, u32 hash of effects there
//     want     u64 applied index: the sender's state is wrong, it wants another one, not older than this
//     address  u8 number of URLs, of each u16 size and UTF-8: where the sender is; with the first frames of a connection

import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64 } from "../base/ids.ts";
import type { PeerLinks } from "../base/ports.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { EFFECT_HASH_VERSION } from "./effect-hash.ts";
import { beginFrame, endFrame, FRAME_STATE, LANE_CONTROL } from "./peer-frames.ts";
import { FrameFields, writeUint64 } from "./snapshot-frames.ts";

const STATE_FORMAT = 1;
const STATE_HASH = 2;
const STATE_WANT = 3;
const STATE_ADDRESS = 4;

export type StateFrame =
  | { readonly kind: "format"; readonly version: number }
  | { readonly kind: "hash"; readonly index: number; readonly hash: number }
  | { readonly kind: "want"; readonly index: number }
  | { readonly kind: "address"; readonly urls: readonly string[] }
  /** Of a newer member, or hashed in another way. */
  | { readonly kind: "unknown" };

export function sendFormat(peers: PeerLinks, peer: Id64, version: number): void {
  send(peers, peer, STATE_FORMAT, (writer) => writer.uint32Be(version));
}

export function sendHash(peers: PeerLinks, peer: Id64, sample: { index: number; hash: number }): void {
  send(peers, peer, STATE_HASH, (writer) => {
    writer.byte(EFFECT_HASH_VERSION);
    writeUint64(writer, sample.index);
    writer.uint32Be(sample.hash);
  });
}

export function sendWant(peers: PeerLinks, peer: Id64, index: number): void {
  send(peers, peer, STATE_WANT, (writer) => writeUint64(writer, index));
}

export function sendAddress(peers: PeerLinks, peer: Id64, urls: readonly string[]): void {
  send(peers, peer, STATE_ADDRESS, (writer) => {
    writer.byte(urls.length);
    for (const url of urls) {
      const bytes = encodeUtf8(url);
      writer.byte(bytes.length >> 8);
      writer.byte(bytes.length & 0xff);
      writer.raw(bytes, 0, bytes.length);
    }
  });
}

export function readStateFrame(bytes: Uint8Array, start: number, end: number): StateFrame {
  const fields = new FrameFields(bytes, start, end);
  switch (fields.uint8()) {
    case STATE_FORMAT:
      return { kind: "format", version: fields.uint32() };
    case STATE_HASH: {
      const isOurs = fields.uint8() === EFFECT_HASH_VERSION;
      const index = fields.uint64();
      return isOurs && index > 0 ? { kind: "hash", index, hash: fields.uint32() } : { kind: "unknown" };
    }
    case STATE_WANT:
      return { kind: "want", index: fields.uint64() };
    case STATE_ADDRESS: {
      const urls: string[] = [];
      for (let left = fields.uint8(); left > 0; left--) urls.push(fields.text(fields.uint16()));
      return { kind: "address", urls };
    }
    default:
      return { kind: "unknown" };
  }
}

function send(peers: PeerLinks, peer: Id64, kind: number, write: (writer: ByteWriter) => void): void {
  const writer = peers.writer(peer, LANE_CONTROL);
  if (writer === undefined) return;
  const frame = beginFrame(writer, FRAME_STATE);
  writer.byte(kind);
  write(writer);
  endFrame(writer, frame);
}
