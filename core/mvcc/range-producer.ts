// A large answer of Range, encoded while the peer takes it. It holds the locations of its records (4 bytes each) and
// the segments they lie in, so that neither later writes nor compaction nor cleaning can change it.

import type { ByteWriter } from "../base/byte-writer.ts";
import type { NumberList } from "./column.ts";
import { TAG_KVS } from "./range-query.ts";
import { writeKeyValueField } from "./key-value.ts";
import { RecordView } from "./record.ts";
import type { Slabs } from "./slabs.ts";

/** Parts of the answer around the records, as bytes. */
export interface RangeEdges {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

export class RangeProducer {
  readonly #refs: NumberList;
  readonly #edges: RangeEdges;
  readonly #keysOnly: boolean;
  // The slots as they are now: a slot may get another segment later.
  readonly #bytes: readonly Uint8Array[];
  readonly #words: readonly Uint32Array[];
  readonly #unitShift: number;
  readonly #unitMask: number;
  readonly #view = new RecordView();
  /** Records written; -1 before the head. */
  #position = -1;

  constructor(slabs: Slabs, refs: NumberList, edges: RangeEdges, keysOnly: boolean) {
    this.#refs = refs;
    this.#edges = edges;
    this.#keysOnly = keysOnly;
    this.#bytes = slabs.bytes.slice();
    this.#words = slabs.words.slice();
    this.#unitShift = slabs.unitShift;
    this.#unitMask = slabs.unitMask;
  }

  /** Writes about `roomBytes`: whole records, at least one. True when all is written. */
  pull(writer: ByteWriter, roomBytes: number): boolean {
    const end = writer.position + roomBytes;
    const refs = this.#refs;
    const view = this.#view;
    if (this.#position < 0) {
      writer.raw(this.#edges.head, 0, this.#edges.head.length);
      this.#position = 0;
    }
    while (this.#position < refs.length) {
      const ref = refs.get(this.#position++);
      const slot = ref >>> this.#unitShift;
      view.read(this.#bytes[slot]!, this.#words[slot]!, (ref & this.#unitMask) << 1);
      writeKeyValueField(writer, TAG_KVS, view, this.#keysOnly);
      if (writer.position >= end && this.#position < refs.length) return false;
    }
    writer.raw(this.#edges.tail, 0, this.#edges.tail.length);
    return true;
  }

  /** Nobody wants the rest. */
  abandon(): void {
    this.#refs.clear();
    this.#position = 0;
  }
}
