// One RangeRequest against the store: which records, in which order, and the answer's bytes.
//
// Order of work is etcd's: with an order or a filter, everything is fetched, filtered, sorted and then cut to the limit;
// without, limit + 1 keys are fetched, sorted if the target is not the key, and cut. `count` is the whole range's.

import type { ByteWriter } from "../base/byte-writer.ts";
import { varintSizeBytes } from "../base/byte-writer.ts";
import { compareBytes } from "../base/bytes.ts";
import type { RangeFields } from "../wire/hot.ts";
import {
  SORT_ASCEND,
  SORT_BY_CREATE,
  SORT_BY_KEY,
  SORT_BY_MOD,
  SORT_BY_VALUE,
  SORT_DESCEND,
  SORT_NONE,
} from "../wire/hot.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import { NumberList } from "./column.ts";
import { KeyRange, collectAt, collectLive, countAt, countLive } from "./key-range.ts";
import { keyValueFieldSizeBytes, keyValueFieldSizeBytesAt, writeKeyValueField } from "./key-value.ts";
import { RecordView } from "./record.ts";
import { stableOrder } from "../base/stable-order.ts";
import type { Store } from "./store.ts";

export const TAG_KVS = 0x12;

/** Reused; its results are valid until the next `execute`. */
export class RangeQuery {
  readonly #store: Store;
  /** The records of the answer, in its order. */
  readonly refs: NumberList = new NumberList();
  count = 0;
  more = false;
  keysOnly = false;
  readonly #range = new KeyRange();
  readonly #view = new RecordView();
  readonly #other = new RecordView();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Finds what `fields`, parsed from `bytes`, asks for. `current`: the revision that 0 stands for. */
  execute(bytes: Uint8Array, fields: RangeFields, current: number): Status | undefined {
    const store = this.#store;
    this.refs.clear();
    this.count = 0;
    this.more = false;
    this.keysOnly = fields.keysOnly;
    if (fields.revision > current) return STATUS.futureRevision;
    const isCurrent = fields.revision <= 0 || fields.revision === current;
    if (!isCurrent && fields.revision < store.compactedRevision) return STATUS.compacted;
    this.#range.set(bytes, fields.keyStart, fields.keyEnd, fields.rangeEndStart, fields.rangeEndEnd);
    const hasLimit = fields.limit > 0;
    const isFilteredOrSorted = fields.sortOrder !== SORT_NONE || hasFilters(fields);
    let countMax = hasLimit && !isFilteredOrSorted ? fields.limit + 1 : Number.MAX_SAFE_INTEGER;
    if (fields.countOnly) countMax = 0;
    if (isCurrent) {
      if (countMax > 0) collectLive(store, this.#range, countMax, this.refs);
      const isComplete = countMax > 0 && this.refs.length < countMax;
      this.count = isComplete ? this.refs.length : countLive(store, this.#range);
    } else {
      collectAt(store, this.#range, fields.revision, { countMax, refs: this.refs });
      const isComplete = countMax > 0 && this.refs.length < countMax;
      this.count = isComplete ? this.refs.length : countAt(store, this.#range, fields.revision);
    }
    if (fields.countOnly) return undefined;
    if (hasFilters(fields)) this.#filter(fields);
    this.#sort(fields);
    if (hasLimit && this.refs.length > fields.limit) {
      this.refs.truncate(fields.limit);
      this.more = true;
    }
    return undefined;
  }

  /** Bytes of the answer without its header. */
  bodySizeBytes(): number {
    let size = this.tailSizeBytes();
    const { refs, keysOnly } = this;
    const { slabs } = this.#store;
    for (let i = 0; i < refs.length; i++) {
      const ref = refs.get(i);
      const words = slabs.words[ref >>> slabs.unitShift]!;
      if (words.length === 0) return this.#bodySizeBytesByView();
      size += keyValueFieldSizeBytesAt(words, slabs.wordOf(ref), keysOnly);
    }
    return size;
  }

  /** The same where some records are on disk only. */
  #bodySizeBytesByView(): number {
    let size = this.tailSizeBytes();
    this.#store.visitAll(this.refs, this.#view, () => {
      size += keyValueFieldSizeBytes(this.#view, this.keysOnly);
    });
    return size;
  }

  /** Writes the answer without its header. */
  writeBody(writer: ByteWriter): void {
    const { refs } = this;
    const view = this.#view;
    for (let i = 0; i < refs.length; i++) {
      this.#store.load(refs.get(i), view);
      writeKeyValueField(writer, TAG_KVS, view, this.keysOnly);
    }
    this.writeTail(writer);
  }

  /** Fields 3 more and 4 count. */
  writeTail(writer: ByteWriter): void {
    if (this.more) {
      writer.byte(0x18);
      writer.byte(1);
    }
    if (this.count > 0) {
      writer.byte(0x20);
      writer.varint(this.count);
    }
  }

  tailSizeBytes(): number {
    return (this.more ? 2 : 0) + (this.count > 0 ? 1 + varintSizeBytes(this.count) : 0);
  }

  /** The records, for somebody who keeps them over turns. */
  takeRefs(): Uint32Array {
    const { refs } = this;
    const taken = new Uint32Array(refs.length);
    for (let i = 0; i < taken.length; i++) taken[i] = refs.get(i);
    refs.clear();
    return taken;
  }

  #filter(fields: RangeFields): void {
    const { refs } = this;
    const view = this.#view;
    this.#store.visitAll(refs, view, (index) => {
      const isKept =
        (fields.minModRevision === 0 || view.modRevision >= fields.minModRevision) &&
        (fields.maxModRevision === 0 || view.modRevision <= fields.maxModRevision) &&
        (fields.minCreateRevision === 0 || view.createRevision >= fields.minCreateRevision) &&
        (fields.maxCreateRevision === 0 || view.createRevision <= fields.maxCreateRevision);
      if (!isKept) refs.set(index, 0);
    });
    let kept = 0;
    for (let i = 0; i < refs.length; i++) if (refs.get(i) !== 0) refs.set(kept++, refs.get(i));
    refs.truncate(kept);
  }

  #sort(fields: RangeFields): void {
    const { refs } = this;
    const target = fields.sortTarget;
    const order = target !== SORT_BY_KEY && fields.sortOrder === SORT_NONE ? SORT_ASCEND : fields.sortOrder;
    if (order === SORT_NONE || refs.length < 2) return;
    const isDescending = order === SORT_DESCEND;
    if (target === SORT_BY_KEY) {
      if (isDescending) reverse(refs);
      return;
    }
    const indexes =
      target === SORT_BY_VALUE
        ? this.#orderOfValues(isDescending)
        : this.#orderOfNumbers(target, isDescending);
    const sorted = new Uint32Array(indexes.length);
    for (let i = 0; i < indexes.length; i++) sorted[i] = refs.get(indexes[i]!);
    for (let i = 0; i < sorted.length; i++) refs.set(i, sorted[i]!);
  }

  #orderOfValues(isDescending: boolean): number[] {
    const indexes = Array.from({ length: this.refs.length }, (_, i) => i);
    const sign = isDescending ? -1 : 1;
    const views = this.#viewsOfCold();
    return indexes.sort((a, b) => sign * this.#compareValues(a, b, views));
  }

  #orderOfNumbers(target: number, isDescending: boolean): Uint32Array {
    const numbers = this.#sortNumbers(target);
    // Also in descending order equal ones stay as they are.
    if (isDescending)
      for (let i = 0; i < numbers.length; i++) numbers[i] = Number.MAX_SAFE_INTEGER - numbers[i]!;
    return stableOrder(numbers);
  }

  /** What to sort by, per record: read once, not per comparison. */
  #sortNumbers(target: number): Float64Array {
    const { refs } = this;
    const view = this.#view;
    const numbers = new Float64Array(refs.length);
    this.#store.visitAll(refs, view, (index) => {
      if (target === SORT_BY_CREATE) numbers[index] = view.createRevision;
      else if (target === SORT_BY_MOD) numbers[index] = view.modRevision;
      else numbers[index] = view.version;
    });
    return numbers;
  }

  /** By index, the records of the answer that are on disk only: read once, not per comparison. */
  #viewsOfCold(): (RecordView | undefined)[] {
    const store = this.#store;
    const { refs } = this;
    const views: (RecordView | undefined)[] = [];
    store.visitAll(refs, this.#view, (index) => {
      if (store.coldOf(refs.get(index)) !== undefined)
        views[index] = Object.assign(new RecordView(), this.#view);
    });
    return views;
  }

  #compareValues(a: number, b: number, views: readonly (RecordView | undefined)[]): number {
    const view = views[a] ?? this.#view;
    const other = views[b] ?? this.#other;
    if (views[a] === undefined) this.#store.load(this.refs.get(a), view);
    if (views[b] === undefined) this.#store.load(this.refs.get(b), other);
    return compareBytes(
      view.bytes,
      view.valueStart,
      view.valueEnd,
      other.bytes,
      other.valueStart,
      other.valueEnd,
    );
  }
}

function hasFilters(fields: RangeFields): boolean {
  return (
    fields.minModRevision !== 0 ||
    fields.maxModRevision !== 0 ||
    fields.minCreateRevision !== 0 ||
    fields.maxCreateRevision !== 0
  );
}

function reverse(refs: NumberList): void {
  for (let i = 0, j = refs.length - 1; i < j; i++, j--) {
    const left = refs.get(i);
    refs.set(i, refs.get(j));
    refs.set(j, left);
  }
}
