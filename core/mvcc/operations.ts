// Put, DeleteRange and their answers' bodies, as requests of their own and as operations of a transaction.

import type { ByteWriter } from "../base/byte-writer.ts";
import { varintSizeBytes } from "../base/byte-writer.ts";
import { DeleteFields, PutFields } from "../wire/hot.ts";
import { NumberList } from "./column.ts";
import { KeyRange, collectLive } from "./key-range.ts";
import type { KvCounts } from "./kv-counts.ts";
import { keyValueFieldSizeBytes, writeKeyValueField } from "./key-value.ts";
import { RangeQuery } from "./range-query.ts";
import { RecordView } from "./record.ts";
import type { Store } from "./store.ts";

const TAG_PREV_KV = 0x12;
const TAG_PREV_KVS = 0x1a;

export class Operations {
  readonly #store: Store;
  readonly counts: KvCounts;
  readonly query: RangeQuery;
  /** Of the last parsePut. */
  readonly fields: PutFields = new PutFields();
  readonly #deleteFields = new DeleteFields();
  readonly #range = new KeyRange();
  /** The version that a put replaces, when anything asks for it. */
  readonly #previous = new RecordView();
  #hasPrevious = false;
  /** The versions that a deletion removes, when its answer has them. */
  readonly #deletedRefs = new NumberList();
  #deletedCount = 0;
  readonly #view = new RecordView();

  constructor(store: Store, counts: KvCounts) {
    this.#store = store;
    this.counts = counts;
    this.query = new RangeQuery(store);
  }

  /** Parses a PutRequest and finds the previous version when its options need it; false when they do and there is none. */
  parsePut(bytes: Uint8Array, start: number, end: number): boolean {
    const fields = this.fields;
    fields.parse(bytes, start, end);
    this.#hasPrevious = false;
    if (!fields.prevKv && !fields.ignoreValue && !fields.ignoreLease) return true;
    const ref = this.#store.findLive(bytes, fields.keyStart, fields.keyEnd);
    if (ref === 0) return !fields.ignoreValue && !fields.ignoreLease;
    this.#store.load(ref, this.#previous);
    this.#hasPrevious = true;
    return true;
  }

  /**
   * Carries the parsed put out, in an open revision. Where an option asks for a previous version that an earlier
   * operation of the same transaction has deleted (etcd panics), value and lease are empty.
   */
  put(bytes: Uint8Array): void {
    const fields = this.fields;
    let valueBytes = bytes;
    let { valueStart, valueEnd, leaseHi, leaseLo } = fields;
    if (this.#hasPrevious) {
      const previous = this.#previous;
      if (fields.ignoreValue) ({ bytes: valueBytes, valueStart, valueEnd } = previous);
      if (fields.ignoreLease) ({ leaseHi, leaseLo } = previous);
    }
    this.counts.puts++;
    this.counts.putBytes += fields.keyEnd - fields.keyStart + valueEnd - valueStart;
    this.#store.put(
      bytes,
      fields.keyStart,
      fields.keyEnd,
      valueBytes,
      valueStart,
      valueEnd,
      leaseHi,
      leaseLo,
    );
  }

  putBodySizeBytes(): number {
    return this.fields.prevKv && this.#hasPrevious ? keyValueFieldSizeBytes(this.#previous, false) : 0;
  }

  writePutBody(reply: ByteWriter): void {
    if (this.fields.prevKv && this.#hasPrevious)
      writeKeyValueField(reply, TAG_PREV_KV, this.#previous, false);
  }

  parseDelete(bytes: Uint8Array, start: number, end: number): void {
    this.#deleteFields.parse(bytes, start, end);
  }

  /** Carries the parsed DeleteRangeRequest out, in an open revision. */
  deleteRange(bytes: Uint8Array, wantsReply: boolean): void {
    const store = this.#store;
    const fields = this.#deleteFields;
    const range = this.#range;
    this.counts.deletes++;
    range.set(bytes, fields.keyStart, fields.keyEnd, fields.rangeEndStart, fields.rangeEndEnd);
    this.#deletedRefs.clear();
    if (wantsReply && fields.prevKv) collectLive(store, range, Number.MAX_SAFE_INTEGER, this.#deletedRefs);
    if (range.isSingle) {
      const id = store.findKey(bytes, fields.keyStart, fields.keyEnd);
      const exists = id >= 0 && !store.isTombstone(store.keys.newest.get(id));
      if (exists) store.deleteKey(id);
      this.#deletedCount = exists ? 1 : 0;
      return;
    }
    this.#deletedCount = store.deleteRange(
      bytes,
      fields.keyStart,
      fields.keyEnd,
      range.hasNoEnd ? undefined : bytes,
      fields.rangeEndStart,
      fields.rangeEndEnd,
    );
  }

  deleteBodySizeBytes(): number {
    let size = this.#deletedCount > 0 ? 1 + varintSizeBytes(this.#deletedCount) : 0;
    const refs = this.#deletedRefs;
    for (let i = 0; i < refs.length; i++) {
      this.#store.load(refs.get(i), this.#view);
      size += keyValueFieldSizeBytes(this.#view, false);
    }
    return size;
  }

  writeDeleteBody(reply: ByteWriter): void {
    if (this.#deletedCount > 0) {
      reply.byte(0x10);
      reply.varint(this.#deletedCount);
    }
    const refs = this.#deletedRefs;
    for (let i = 0; i < refs.length; i++) {
      this.#store.load(refs.get(i), this.#view);
      writeKeyValueField(reply, TAG_PREV_KVS, this.#view, false);
    }
  }
}
