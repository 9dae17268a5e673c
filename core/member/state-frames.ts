// What members tell each other about their state, on the control lane; a handful of bytes, a few times a second.
//
//   FRAME_STATE   0 kind u8, then
//     format   u32  the newest format of entries that the sender knows; with the first frames of a connection
//     hash     u8 version of the hash, u64 applied index, u32 hash of effects there
//     want     u64 applied index: the sender's state is wrong, it wants another one, not older than this
//     life     u32 boot counter, u32 number drawn at the start: which life the sender is in (past-lives.ts); the first frame
//     past     the sender's own life as above, u32 number of the life that is told, then what it promised in others: u32 boot counter, u64 term, u64 term and
//              u64 index of the last acknowledgement
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
const STATE_LIFE = 5;
const STATE_PAST = 6;

/** One run of a member's process. */
export interface Life {
  readonly boot: number;
  readonly nonce: number;
}

/** What a member promised to others, as one of them heard it: the highest term, and up to where in the latest one. */
export interface Promises {
  /** The latest life it was heard in; 0 when in none. */
  readonly boot: number;
  readonly term: number;
  readonly ackTerm: number;
  readonly ackIndex: number;
}

export type StateFrame =
  | { readonly kind: "format"; readonly version: number }
  | { readonly kind: "hash"; readonly index: number; readonly hash: number }
  | { readonly kind: "want"; readonly index: number }
  | { readonly kind: "address"; readonly urls: readonly string[] }
  | { readonly kind: "life"; readonly life: Life }
  | { readonly kind: "past"; readonly life: Life; readonly past: Past }
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

/** What a member promised in other lives than that with this number. */
export interface Past {
  readonly nonce: number;
  readonly promised: Promises;
}

export function sendLife(peers: PeerLinks, peer: Id64, life: Life): void {
  send(peers, peer, STATE_LIFE, (writer) => writeLife(writer, life));
}

/** `life` is the sender's own. */
export function sendPast(peers: PeerLinks, peer: Id64, life: Life, { nonce, promised }: Past): void {
  send(peers, peer, STATE_PAST, (writer) => {
    writeLife(writer, life);
    writer.uint32Be(nonce);
    writer.uint32Be(promised.boot);
    writeUint64(writer, promised.term);
    writeUint64(writer, promised.ackTerm);
    writeUint64(writer, promised.ackIndex);
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
    case STATE_LIFE:
      return { kind: "life", life: readLife(fields) };
    case STATE_PAST: {
      const life = readLife(fields);
      const nonce = fields.uint32();
      const boot = fields.uint32();
      const term = fields.uint64();
      const ackTerm = fields.uint64();
      const promised = { boot, term, ackTerm, ackIndex: fields.uint64() };
      return { kind: "past", life, past: { nonce, promised } };
    }
    default:
      return { kind: "unknown" };
  }
}

function writeLife(writer: ByteWriter, { boot, nonce }: Life): void {
  writer.uint32Be(boot);
  writer.uint32Be(nonce);
}

function readLife(fields: FrameFields): Life {
  const boot = fields.uint32();
  return { boot, nonce: fields.uint32() };
}

function send(peers: PeerLinks, peer: Id64, kind: number, write: (writer: ByteWriter) => void): void {
  const writer = peers.writer(peer, LANE_CONTROL);
  if (writer === undefined) return;
  const frame = beginFrame(writer, FRAME_STATE);
  writer.byte(kind);
  write(writer);
  endFrame(writer, frame);
}
