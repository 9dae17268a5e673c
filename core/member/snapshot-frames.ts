// The stream of a snapshot: a checkpoint's files, one after the other, in pieces, as fast as the receiver takes them. The manifest
// comes first, so that the receiver can read the checkpoint while it arrives; it takes the files in any order.
//
//   FRAME_SNAPSHOT      0 kind u8, 1 transfer u32, then
//     offer   u32 count of files; of each: u16 size of the name, name, u64 size        (the manifest is the last);
//             u32 CRC-32C of the manifest, which names and checks all the others: the same one, the same checkpoint
//     piece   u32 file, u64 offset, bytes
//     end     the encoded Raft message
//     end state   nothing: it was asked for by a member whose log is right and whose state is wrong
//   FRAME_SNAPSHOT_ACK  0 kind u8, 1 transfer u32, then
//     have    of each file: u64 bytes that the receiver has already (a stream that broke is resumed); then u8 1 from whoever
//             takes pieces in frames that leave their bytes to the checkpoint's own checksums (FRAME_BARE_PIECE)
//     taken   u64 bytes taken in all
//     done    u8 1 when the snapshot is installed, 0 when it was refused, or a piece is missing: offer it again

import type { ByteWriter } from "../base/byte-writer.ts";
import { decodeUtf8 } from "../base/utf8.ts";

export const SNAPSHOT_OFFER = 1;
export const SNAPSHOT_PIECE = 2;
export const SNAPSHOT_END = 3;
export const SNAPSHOT_END_STATE = 4;
export const ACK_HAVE = 1;
export const ACK_TAKEN = 2;
export const ACK_DONE = 3;

export const PIECE_SIZE_BYTES = 256 * 1024;
/** Bytes on their way to one receiver. */
export const WINDOW_BYTES = 8 * 1024 * 1024;

export interface OfferedFile {
  readonly name: string;
  readonly sizeBytes: number;
}

export function writeUint64(writer: ByteWriter, value: number): void {
  writer.uint32Be(Math.floor(value / 4294967296));
  writer.uint32Be(value % 4294967296);
}

/** Reads what the frames hold; the frame's checksum was verified, so what is cut off is a bug of the sender. */
export class FrameFields {
  readonly #bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.position = start;
    this.end = end;
  }

  uint8(): number {
    return this.position < this.end ? this.#bytes[this.position++]! : 0;
  }

  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }

  uint32(): number {
    return this.uint16() * 65536 + this.uint16();
  }

  uint64(): number {
    return this.uint32() * 4294967296 + this.uint32();
  }

  text(size: number): string {
    const start = this.position;
    this.position = Math.min(this.end, start + size);
    return decodeUtf8(this.#bytes, start, this.position);
  }
}

export function writeOffer(writer: ByteWriter, files: readonly OfferedFile[], checksum: number): void {
  writer.uint32Be(files.length);
  for (const file of files) {
    writer.byte(file.name.length >> 8);
    writer.byte(file.name.length & 0xff);
    writer.utf8(file.name);
    writeUint64(writer, file.sizeBytes);
  }
  writer.uint32Be(checksum);
}

export interface Offer {
  readonly files: readonly OfferedFile[];
  readonly checksum: number;
}

/** The files of an offer; undefined when a name is not one of a checkpoint's. */
export function readOffer(fields: FrameFields): Offer | undefined {
  const files: OfferedFile[] = [];
  for (let left = fields.uint32(); left > 0 && fields.position < fields.end; left--) {
    const name = fields.text(fields.uint16());
    if (!/^([0-9a-f]{16}\.seg|manifest)$/.test(name)) return undefined;
    files.push({ name, sizeBytes: fields.uint64() });
  }
  return { files, checksum: fields.uint32() };
}

export function isSameOffer(a: Offer, b: Offer): boolean {
  if (a.checksum !== b.checksum || a.files.length !== b.files.length) return false;
  return a.files.every(
    (file, i) => file.name === b.files[i]!.name && file.sizeBytes === b.files[i]!.sizeBytes,
  );
}
