// HashKV (facts §7.6), in slices: CRC-32C over "key", the name of etcd's bucket, and then over every row's key and value
// as etcd stores them, for the rows that are not above the revision asked for.
//
//   row key    8 bytes main revision, "_", 8 bytes sub revision, all most significant byte first; tombstones: + "t"
//   row value  mvccpb.KeyValue in canonical form; tombstones: the key alone
//
// Left out: rows at or below the compacted revision that are not their key's newest at the revision asked for (unless
// no key existed at all then), and tombstones exactly at the compacted revision. So members agree whether or not they
// have carried a compaction out already.

import { ByteWriter } from "../base/byte-writer.ts";
import { crc32c } from "../base/crc32c.ts";
import { COLD_READ_UNITS } from "./cold-reader.ts";
import { writeKeyValue } from "./key-value.ts";
import type { RecordRef } from "./record.ts";
import { RecordView } from "./record.ts";
import type { Store } from "./store.ts";

const BUCKET_NAME = Uint8Array.of(0x6b, 0x65, 0x79);
const UNDERSCORE = 0x5f;
const TOMBSTONE_MARK = 0x74;
const TWO_32 = 4294967296;
/** Rows are gathered up to this size, because the checksum is fastest over long runs. */
const RUN_SIZE_BYTES = 32 * 1024;
/** A row is written out and summed: some 3 us. */
const ROW_UNITS = 2;
/** So many bytes (4 KiB) that are hashed take as long as looking at a record. */
const BYTES_PER_UNIT_SHIFT = 12;

export class HashJob {
  readonly #store: Store;
  readonly revision: number;
  readonly compactedRevision: number;
  hash: number = crc32c(BUCKET_NAME, 0, BUCKET_NAME.length);
  readonly #view = new RecordView();
  readonly #rows = new ByteWriter(2 * RUN_SIZE_BYTES);
  /** Whether any key existed at the revision; -1 while that is not known. */
  #hasKeys = -1;
  #keyId = 0;
  /** The next survivor, then the next record. */
  #survivorIndex = 0;
  #ref: RecordRef = 0;
  #isInSurvivors = true;

  /** `revision` is not above the store's and, unless negative, not below the compacted one. */
  constructor(store: Store, revision: number) {
    this.#store = store;
    this.revision = revision;
    this.compactedRevision = store.compactedRevision;
    if (revision === store.revision) this.#hasKeys = store.keyCount > 0 ? 1 : 0;
  }

  /** Looks at about so many records; true while there is more to do. No compaction may be carried out until the end. */
  slice(recordCount: number): boolean {
    let left = recordCount;
    if (this.#hasKeys < 0) left = this.#lookForKeys(left);
    if (this.#hasKeys < 0) return true;
    for (let readCount = this.#store.coldReadCount; left > 0; readCount = this.#store.coldReadCount) {
      const ref = this.#nextRow();
      if (ref === 0) {
        this.#flush();
        return false;
      }
      this.#store.load(ref, this.#view);
      left -= ROW_UNITS + ((this.#view.valueEnd - this.#view.keyStart) >>> BYTES_PER_UNIT_SHIFT);
      left -= (this.#store.coldReadCount - readCount) * COLD_READ_UNITS;
      if (this.#isIncluded(ref)) this.#writeRow();
    }
    return true;
  }

  #lookForKeys(budget: number): number {
    const store = this.#store;
    let left = budget;
    while (this.#keyId < store.keys.idCount && left-- > 0) {
      if (store.versionAt(this.#keyId++, this.revision) === 0) continue;
      this.#hasKeys = 1;
      return left;
    }
    if (this.#keyId >= store.keys.idCount) this.#hasKeys = 0;
    return left;
  }

  /** The next row not above the revision, 0 at the end. */
  #nextRow(): RecordRef {
    const store = this.#store;
    const { survivors, base } = store.revisions;
    if (this.#isInSurvivors) {
      while (this.#survivorIndex < survivors.length) {
        const ref = survivors.get(this.#survivorIndex++);
        if (!store.isDead(ref)) return store.modRevisionOf(ref) <= this.revision ? ref : 0;
      }
      this.#isInSurvivors = false;
      for (let from = base; this.#ref === 0 && from <= this.revision; from++)
        this.#ref = store.revisions.first(from);
      if (this.#ref !== 0 && store.isDead(this.#ref)) this.#ref = store.nextRecord(this.#ref);
    } else if (this.#ref !== 0) this.#ref = store.nextRecord(this.#ref);
    if (this.#ref !== 0 && store.modRevisionOf(this.#ref) > this.revision) this.#ref = 0;
    return this.#ref;
  }

  #isIncluded(ref: RecordRef): boolean {
    const view = this.#view;
    if (view.modRevision > this.compactedRevision) return true;
    if (view.modRevision === this.compactedRevision && view.isTombstone) return false;
    return this.#hasKeys === 0 || this.#isNewestThen(view.keyId, ref);
  }

  #isNewestThen(keyId: number, ref: RecordRef): boolean {
    const store = this.#store;
    return store.originalOf(store.versionAt(keyId, this.revision)) === ref;
  }

  #writeRow(): void {
    const rows = this.#rows;
    const view = this.#view;
    rows.uint32Be(Math.floor(view.modRevision / TWO_32));
    rows.uint32Be(view.modRevision % TWO_32);
    rows.byte(UNDERSCORE);
    rows.uint32Be(0);
    rows.uint32Be(view.subRevision);
    if (view.isTombstone) rows.byte(TOMBSTONE_MARK);
    writeKeyValue(rows, view, false);
    if (rows.position >= RUN_SIZE_BYTES) this.#flush();
  }

  #flush(): void {
    this.hash = crc32c(this.#rows.bytes, 0, this.#rows.position, this.hash);
    this.#rows.reset();
  }
}
