// Remembers decoded header blocks by their bytes.
//
// Once a client's table has settled, every call of a method sends the same few bytes. A block whose bytes are known,
// while the decoder's table is the one it was decoded with, means the same again: no decoding, no parsing, no garbage.
// Blocks that change the table are never kept.

import type { HeaderBlock } from "./header-block.ts";

const SLOT_COUNT = 16;
const BLOCK_SIZE_BYTES_MAX = 256;

export class HeaderMemo {
  readonly #blocks: (HeaderBlock | undefined)[] = new Array<HeaderBlock | undefined>(SLOT_COUNT).fill(
    undefined,
  );
  readonly #versions = new Int32Array(SLOT_COUNT);
  readonly #lengths = new Int32Array(SLOT_COUNT);
  #bytes = new Uint8Array(0);

  find(bytes: Uint8Array, start: number, end: number, version: number): HeaderBlock | undefined {
    const length = end - start;
    const slot = slotOf(bytes, start, end);
    if (this.#lengths[slot] !== length || this.#versions[slot] !== version) return undefined;
    const known = this.#bytes;
    const offset = slot * BLOCK_SIZE_BYTES_MAX;
    for (let i = 0; i < length; i++) if (known[offset + i] !== bytes[start + i]) return undefined;
    return this.#blocks[slot];
  }

  /** Keeps a block that was decoded at `version` and left the table as it was. */
  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  keep(bytes: Uint8Array, start: number, end: number, version: number, block: HeaderBlock): void {
    if (end - start > BLOCK_SIZE_BYTES_MAX) return;
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(SLOT_COUNT * BLOCK_SIZE_BYTES_MAX);
    const slot = slotOf(bytes, start, end);
    this.#bytes.set(bytes.subarray(start, end), slot * BLOCK_SIZE_BYTES_MAX);
    this.#lengths[slot] = end - start;
    this.#versions[slot] = version;
    this.#blocks[slot] = block;
  }
}

// Methods differ in one index of the block or in the last letters of the path.
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  let hash = length;
  for (let i = 0; i < length && i < 8; i++) hash = Math.imul(hash ^ bytes[start + i]!, 0x01000193);
  hash ^= Math.imul(bytes[start + (length >> 2)]!, 31);
  return (hash ^ (hash >>> 8)) & (SLOT_COUNT - 1);
}
