// A group that no longer fits into its segment moves to the next: the same records, chained to the new segment's head.

import { assert } from "../base/assert.ts";
import type { Group } from "./group.ts";
import type { EntryLocator } from "./locator.ts";
import { decodeEntry, decodeState, EntryFields, StateFields } from "./payload.ts";
import { RECORD_ENTRY, RECORD_STATE, RecordReader } from "./record.ts";

export function moveGroup(
  from: Group,
  to: Group,
  target: { segmentSequence: number; locator: EntryLocator },
): void {
  const reader = new RecordReader();
  const stamp = new StateFields();
  const entry = new EntryFields();
  let lastIndex = from.lastIndexBefore;
  let sampled = false;
  for (let at = from.start; at < from.end; at = reader.next) {
    const kind = reader.read(from.bytes, at, from.end);
    assert(kind === "record", "a group holds the records that were written into it");
    if (reader.type === RECORD_STATE) {
      assert(
        decodeState(from.bytes, reader.dataStart, reader.dataEnd, stamp),
        "a group's states can be read",
      );
      stamp.segmentSequence = target.segmentSequence;
      stamp.batchOffset = to.base + to.start;
      to.state(stamp);
      continue;
    }
    if (reader.type === RECORD_ENTRY) {
      assert(
        decodeEntry(from.bytes, reader.dataStart, reader.dataEnd, entry),
        "a group's entries can be read",
      );
      // Samples of the old place are dropped with the first entry of the new one.
      const follows = sampled && entry.index === lastIndex + 1;
      if (follows) target.locator.note(entry.index, target.segmentSequence, to.endOffset, to.crc);
      else target.locator.rewind(entry.index, target.segmentSequence, to.endOffset, to.crc);
      sampled = true;
      lastIndex = entry.index;
    }
    to.data(
      reader.type,
      from.bytes.subarray(reader.dataStart, reader.dataEnd),
      reader.dataEnd - reader.dataStart,
    );
  }
  to.lastIndex = from.lastIndex;
}
