// Writes a manifest as a stream: what is appended goes to the file in checksummed blocks, one write in flight. The
// caller stops appending while `isFull`, and goes on when the disk is done.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { Checksum, DiskError, DiskFile } from "../base/ports.ts";
import { BLOCK_HEAD_BYTES, BLOCK_LAST, BLOCK_MORE, BLOCK_SIZE_BYTES, blockSum } from "./checkpoint-format.ts";

export class ManifestWriter {
  readonly #file: DiskFile;
  readonly #checksum: Checksum;
  readonly #done: (error: DiskError | undefined) => void;
  /** What is appended, from BLOCK_HEAD_BYTES on. */
  #pending = new ByteWriter(2 * BLOCK_SIZE_BYTES);
  /** What is being written. */
  #written = new ByteWriter(2 * BLOCK_SIZE_BYTES);
  #blockNumber = 0;
  #offset = 0;
  #isWriting = false;
  #previous = 0;

  /** `done` is called after every block. */
  constructor(file: DiskFile, checksum: Checksum, done: (error: DiskError | undefined) => void) {
    this.#file = file;
    this.#checksum = checksum;
    this.#done = done;
    this.#pending.position = BLOCK_HEAD_BYTES;
  }

  get isWriting(): boolean {
    return this.#isWriting;
  }

  get isFull(): boolean {
    return this.#isWriting && this.#pending.position >= BLOCK_SIZE_BYTES;
  }

  varint(value: number): void {
    this.#pending.varint(value);
  }

  raw(bytes: Uint8Array): void {
    this.#pending.raw(bytes, 0, bytes.length);
  }

  /** Starts a list of numbers that are close to each other. */
  beginDifferences(): void {
    this.#previous = 0;
  }

  /** The next one of them, below 2^32. */
  difference(value: number): void {
    const difference = value - this.#previous;
    this.#previous = value;
    this.#pending.varint(difference < 0 ? -2 * difference - 1 : 2 * difference);
  }

  /** Starts to write what is appended when it makes a block, or in any case. */
  flush(isLast: boolean): void {
    if (!isLast && this.#pending.position < BLOCK_SIZE_BYTES) return;
    if (this.#isWriting) {
      assert(!isLast, "the last block is written when the one before it is durable");
      return;
    }
    const block = this.#pending;
    const kind = isLast ? BLOCK_LAST : BLOCK_MORE;
    const end = block.position;
    const head = new DataView(block.bytes.buffer, block.bytes.byteOffset, BLOCK_HEAD_BYTES);
    head.setUint32(0, kind, true);
    head.setUint32(4, end - BLOCK_HEAD_BYTES, true);
    const payload = block.bytes.subarray(BLOCK_HEAD_BYTES, end);
    head.setUint32(8, blockSum(this.#checksum, { kind, number: this.#blockNumber++ }, payload), true);
    this.#pending = this.#written;
    this.#pending.position = BLOCK_HEAD_BYTES;
    this.#written = block;
    this.#isWriting = true;
    this.#file.writeAndSync(block.bytes, 0, end, this.#offset, (error) => {
      this.#isWriting = false;
      this.#done(error);
    });
    this.#offset += end;
  }
}
