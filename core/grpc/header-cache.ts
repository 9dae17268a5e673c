// Encoded fields that many calls have in common, as bytes to be copied.
//
// They stay valid as long as the encoder's table does, that is after a connection's first few calls for good.

import type { ByteWriter } from "../base/byte-writer.ts";
import type { HpackEncoder } from "../http2/hpack-encode.ts";

export class HeaderCache {
  #bytes = new Uint8Array(0);
  #insertCount = -1;

  /** Copies the fields; false when they must be encoded: call `encoded` after that. */
  copyTo(writer: ByteWriter, encoder: HpackEncoder): boolean {
    if (this.#insertCount !== encoder.insertCount) return false;
    writer.raw(this.#bytes, 0, this.#bytes.length);
    return true;
  }

  /** The fields were encoded at writer[start, position), beginning when the table had `insertCountBefore` entries. */
  encoded(writer: ByteWriter, start: number, encoder: HpackEncoder, insertCountBefore: number): void {
    // Bytes that insert an entry are good for once.
    if (encoder.insertCount !== insertCountBefore) return;
    this.#insertCount = insertCountBefore;
    this.#bytes = writer.bytes.slice(start, writer.position);
  }

  forget(): void {
    this.#insertCount = -1;
  }
}
