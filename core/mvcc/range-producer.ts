// A large answer of Range, encoded while the peer takes it; it holds its records, see pinned-records.ts.

import type { ByteWriter } from "../base/byte-writer.ts";
import { writeKeyValueField } from "./key-value.ts";
import type { PinnedRecords } from "./pinned-records.ts";
import { TAG_KVS } from "./range-query.ts";
import { RecordView } from "./record.ts";

/** Parts of the answer around the records, as bytes. */
export interface RangeEdges {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

export class RangeProducer {
  readonly #records: PinnedRecords;
  readonly #edges: RangeEdges;
  readonly #keysOnly: boolean;
  readonly #view = new RecordView();
  /** Records written; -1 before the head. */
  #position = -1;

  constructor(records: PinnedRecords, edges: RangeEdges, keysOnly: boolean) {
    this.#records = records;
    this.#edges = edges;
    this.#keysOnly = keysOnly;
  }

  /** Writes about `roomBytes`: whole records, at least one. True when all is written. */
  pull(writer: ByteWriter, roomBytes: number): boolean {
    const end = writer.position + roomBytes;
    const records = this.#records;
    const view = this.#view;
    if (this.#position < 0) {
      writer.raw(this.#edges.head, 0, this.#edges.head.length);
      this.#position = 0;
    }
    while (this.#position < records.length) {
      records.load(this.#position++, view);
      writeKeyValueField(writer, TAG_KVS, view, this.#keysOnly);
      if (writer.position >= end && this.#position < records.length) return false;
    }
    writer.raw(this.#edges.tail, 0, this.#edges.tail.length);
    records.release();
    return true;
  }

  /** Nobody wants the rest. */
  abandon(): void {
    this.#records.release();
    this.#position = 0;
  }
}
