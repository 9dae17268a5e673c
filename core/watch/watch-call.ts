// What watching needs of the modules around it: a streaming call, and the store's records by revision. Narrow, so that
// tests can stand in for both.

import type { ByteWriter } from "../base/byte-writer.ts";
import type { RecordRef, RecordView } from "../mvcc/record.ts";
import type { Status } from "../wire/status.ts";

/** A ServerCall of the method Watch. */
export interface WatchCall {
  /** For the hub: its WatchStream. */
  state: unknown;
  readonly cancelled: boolean;
  /** False while too many bytes wait; the hub is told through onWritable when that is over. */
  readonly writable: boolean;
  metadata(name: string): string | undefined;
  beginMessage(): ByteWriter;
  endMessage(): void;
  /** What was written so far leaves at once, not at the end of the turn. */
  flush(): void;
  finish(): void;
  fail(status: Status): void;
}

/** The Store, as watchers see it. */
export interface WatchSource {
  readonly revision: number;
  /** -1 before the first compaction. */
  readonly compactedRevision: number;
  /** Records that are old enough are read from disk; how often that was so, ever. */
  readonly coldReadCount: number;
  /** 0 when the revision has no record. */
  firstRecordOf(revision: number): RecordRef;
  /** The next record, of the same revision or a later one. */
  nextRecord(ref: RecordRef): RecordRef;
  load(ref: RecordRef, view: RecordView): void;
  /** The value that the record in `view` replaced, as it was before its revision. */
  previousVersion(view: RecordView, out: RecordView): boolean;
}
