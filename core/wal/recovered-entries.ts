// The entries that recovery found, in Raft's log, copied while the file that they were read from is in the cache. Filled in
// the order of the log, where an entry takes the place of what stood at its index and drops everything behind it (as
// etcd's ReadAll).
//
// Entries that do not continue Raft's log are counted, not kept: behind a received snapshot, those that it replaced (terms
// never fall in a log), and behind a gap, which recover.ts refuses.

import { assert } from "../base/assert.ts";
import type { RaftLog } from "../raft/log.ts";

export class RecoveredEntries {
  readonly log: RaftLog;
  /** The index before the first entry. */
  base: number;
  /** The index of the last entry, `base` when there is none. */
  lastIndex: number;

  /** `log` has nothing behind its compacted index. */
  constructor(log: RaftLog) {
    assert(log.lastIndex === log.compactedIndex, "entries are recovered into a log that has none");
    this.log = log;
    this.base = this.lastIndex = log.lastIndex;
  }

  get count(): number {
    return this.lastIndex - this.base;
  }

  /** Notes `source[start, end)`. Parameters, not an object: this runs once per entry of the log. */
  // oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
  put(index: number, type: number, term: number, source: Uint8Array, start: number, end: number): void {
    assert(index > this.base, "an entry lies above the base");
    assert(index <= this.lastIndex + 1, "an entry follows the one before");
    const { log } = this;
    if (index <= this.lastIndex) this.truncate(index);
    this.lastIndex = index;
    if (log.lastIndex === index - 1 && term >= log.lastTerm) log.append(type, term, source, start, end);
  }

  /** Drops the entries from this index on. */
  truncate(index: number): void {
    const last = Math.max(this.base, index - 1);
    if (last >= this.lastIndex) return;
    this.lastIndex = last;
    this.log.truncateAfter(Math.max(this.log.compactedIndex, Math.min(this.log.lastIndex, last)));
  }

  /** Starts over after a snapshot: nothing before `base` is wanted any more. */
  reset(base: number): void {
    this.log.truncateAfter(this.log.compactedIndex);
    this.base = this.lastIndex = base;
  }
}
