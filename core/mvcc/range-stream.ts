// KV.RangeStream (etcd 3.7, facts §1.4): the answer of a Range in several messages. Each holds only kvs; header, more
// and count come with the last one. The revision is the first chunk's. Chunks start at 10 keys and grow while they stay
// well below the size of a request.

import type { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderSource } from "../wire/header.ts";
import { writeHeader } from "../wire/header.ts";
import { RangeFields, SORT_ASCEND, SORT_BY_KEY, SORT_NONE } from "../wire/hot.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import { writeKeyValueField } from "./key-value.ts";
import { PinnedRecords } from "./pinned-records.ts";
import type { RangeQuery } from "./range-query.ts";
import { TAG_KVS } from "./range-query.ts";
import { RecordView } from "./record.ts";
import type { Store } from "./store.ts";

const FIRST_CHUNK_KEY_COUNT = 10;
/** A chunk's keys are counted before their sizes are known, so the size aimed at stays below the largest one. */
const CHUNK_FILL = 0.5;
/** Reads from disk for one chunk, about 2 ms. */
const CHUNK_READ_COUNT_MAX = 100;

export interface RangeStreamOptions {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly header: HeaderSource;
  readonly chunkSizeBytesMax: number;
}

export class RangeStream {
  readonly #header: HeaderSource;
  readonly #revision: number;
  readonly #records: PinnedRecords;
  readonly #keysOnly: boolean;
  readonly #more: boolean;
  readonly #count: number;
  readonly #chunkSizeBytes: number;
  readonly #view = new RecordView();
  #position = 0;
  #chunkKeyCount = FIRST_CHUNK_KEY_COUNT;

  private constructor(store: Store, query: RangeQuery, options: RangeStreamOptions) {
    this.#header = options.header;
    this.#revision = store.revision;
    this.#more = query.more;
    this.#count = query.count;
    this.#keysOnly = query.keysOnly;
    this.#records = new PinnedRecords(store.slabs, query.takeRefs());
    this.#chunkSizeBytes = options.chunkSizeBytesMax * CHUNK_FILL;
  }

  static open(store: Store, query: RangeQuery, options: RangeStreamOptions): RangeStream | Status {
    const fields = new RangeFields();
    fields.parse(options.bytes, options.start, options.end);
    const isKeyOrder = fields.sortOrder === SORT_NONE || fields.sortOrder === SORT_ASCEND;
    if (fields.sortTarget !== SORT_BY_KEY || !isKeyOrder) return STATUS.rangeStreamSortOrders;
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = fields;
    if (minModRevision || maxModRevision || minCreateRevision || maxCreateRevision)
      return STATUS.rangeStreamRevisionFilters;
    fields.sortOrder = SORT_NONE; // the same order, and the limit is known before fetching
    return query.execute(options.bytes, fields, store.revision) ?? new RangeStream(store, query, options);
  }

  /** Lets go of what it holds, when nobody wants the rest. */
  abandon(): void {
    this.#records.release();
  }

  /** Writes the next message; true when it was the last. */
  next(reply: ByteWriter): boolean {
    const records = this.#records;
    const start = reply.position;
    const { readCount } = records;
    const to = Math.min(records.length, this.#position + this.#chunkKeyCount);
    const isLast = to === records.length;
    // The last message carries the header, which comes first.
    if (isLast) writeHeader(reply, this.#header, this.#revision);
    for (; this.#position < to; this.#position++) {
      records.load(this.#position, this.#view);
      writeKeyValueField(reply, TAG_KVS, this.#view, this.#keysOnly);
    }
    const size = reply.position - start;
    const isSlow = records.readCount - readCount > CHUNK_READ_COUNT_MAX;
    if ((size > this.#chunkSizeBytes || isSlow) && this.#chunkKeyCount > 1) this.#chunkKeyCount >>>= 1;
    else if (size * 2 <= this.#chunkSizeBytes && !isSlow) this.#chunkKeyCount *= 2;
    if (!isLast) return false;
    records.release();
    if (this.#more) {
      reply.byte(0x18);
      reply.byte(1);
    }
    if (this.#count > 0) {
      reply.byte(0x20);
      reply.varint(this.#count);
    }
    return true;
  }
}
