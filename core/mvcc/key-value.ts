// mvccpb.KeyValue, in canonical form (fields in order, zero ones left out): what clients get and what HashKV hashes.
//
//   1 key bytes · 2 create_revision · 3 mod_revision · 4 version · 5 value bytes · 6 lease      tombstone: 1 key alone

import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import type { RecordView } from "./record.ts";

/** Bytes of the message's body. */
export function keyValueSizeBytes(view: RecordView, keysOnly: boolean): number {
  const keySize = view.keyEnd - view.keyStart;
  let size = 1 + varintSizeBytes(keySize) + keySize;
  if (view.isTombstone) return size;
  size +=
    3 +
    varintSizeBytes(view.createRevision) +
    varintSizeBytes(view.modRevision) +
    varintSizeBytes(view.version);
  const valueSize = view.valueEnd - view.valueStart;
  if (valueSize > 0 && !keysOnly) size += 1 + varintSizeBytes(valueSize) + valueSize;
  if ((view.leaseHi | view.leaseLo) !== 0) size += 1 + varint64SizeBytes(view.leaseHi, view.leaseLo);
  return size;
}

/** Writes the message's body, without its length. */
export function writeKeyValue(writer: ByteWriter, view: RecordView, keysOnly: boolean): void {
  const keySize = view.keyEnd - view.keyStart;
  writer.byte(0x0a);
  writer.varint(keySize);
  writer.raw(view.bytes, view.keyStart, view.keyEnd);
  if (view.isTombstone) return;
  writer.byte(0x10);
  writer.varint(view.createRevision);
  writer.byte(0x18);
  writer.varint(view.modRevision);
  writer.byte(0x20);
  writer.varint(view.version);
  const valueSize = view.valueEnd - view.valueStart;
  if (valueSize > 0 && !keysOnly) {
    writer.byte(0x2a);
    writer.varint(valueSize);
    writer.raw(view.bytes, view.valueStart, view.valueEnd);
  }
  if ((view.leaseHi | view.leaseLo) !== 0) {
    writer.byte(0x30);
    writer.varint64(view.leaseHi, view.leaseLo);
  }
}

/** Bytes of the message as a field with a one-byte tag: tag, length, body. */
export function keyValueFieldSizeBytes(view: RecordView, keysOnly: boolean): number {
  const size = keyValueSizeBytes(view, keysOnly);
  return 1 + varintSizeBytes(size) + size;
}

/** Writes the message as a field with this tag. */
export function writeKeyValueField(
  writer: ByteWriter,
  tag: number,
  view: RecordView,
  keysOnly: boolean,
): void {
  writer.byte(tag);
  writer.varint(keyValueSizeBytes(view, keysOnly));
  writeKeyValue(writer, view, keysOnly);
}
