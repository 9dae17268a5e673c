// mvccpb.KeyValue, in canonical form (fields in order, zero ones left out): what clients get and what HashKV hashes.
//
//   1 key bytes · 2 create_revision · 3 mod_revision · 4 version · 5 value bytes · 6 lease      tombstone: 1 key alone

import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import type { RecordView } from "./record.ts";
import {
  FLAG_LEASE,
  FLAG_TOMBSTONE,
  WORD_KEY_SIZE,
  WORD_VALUE_SIZE,
  createRevisionAt,
  leaseWordAt,
  modRevisionAt,
  versionAt,
} from "./record.ts";

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

/** More than the tags, lengths and numbers of one message take. */
const FRAME_SIZE_BYTES_MAX = 80;
/** Up to this size bytes are copied one by one. */
const LOOP_SIZE_BYTES_MAX = 48;

/** Writes the message's body, without its length. */
export function writeKeyValue(writer: ByteWriter, view: RecordView, keysOnly: boolean): void {
  const { bytes, keyStart, keyEnd, valueStart, valueEnd } = view;
  // Room for all of it at once: the checks of a dozen small writes cost as much as the copies.
  writer.ensure(FRAME_SIZE_BYTES_MAX + valueEnd - keyStart);
  const target = writer.bytes;
  const keySize = keyEnd - keyStart;
  const valueSize = view.isTombstone || keysOnly ? 0 : valueEnd - valueStart;
  let at = writer.position;
  target[at++] = 0x0a;
  at = putVarint(target, at, keySize);
  // A long key is copied together with its value, which lies behind it in the record, to where the value belongs, and moved
  // back from there: one temporary view instead of two, which are a third of what a large list costs.
  const isJoint = keySize > LOOP_SIZE_BYTES_MAX && valueSize > 0 && valueStart === keyEnd;
  if (isJoint) {
    const valueAt = putNumbers(target, at + keySize, view, valueSize);
    target.set(bytes.subarray(keyStart, valueEnd), valueAt - keySize);
    target.copyWithin(at, valueAt - keySize, valueAt);
    at += keySize;
  } else at = putBytes(target, at, bytes, keyStart, keyEnd);
  if (!view.isTombstone) at = putNumbers(target, at, view, valueSize);
  if (isJoint) at += valueSize;
  else if (valueSize > 0) at = putBytes(target, at, bytes, valueStart, valueEnd);
  writer.position = at;
  if ((view.leaseHi | view.leaseLo) !== 0) {
    writer.byte(0x30);
    writer.varint64(view.leaseHi, view.leaseLo);
  }
}

/** What stands between key and value: the revisions, the version, and the value's size when there is a value. */
function putNumbers(target: Uint8Array, at: number, view: RecordView, valueSize: number): number {
  target[at++] = 0x10;
  at = putVarint(target, at, view.createRevision);
  target[at++] = 0x18;
  at = putVarint(target, at, view.modRevision);
  target[at++] = 0x20;
  at = putVarint(target, at, view.version);
  if (valueSize === 0) return at;
  target[at++] = 0x2a;
  return putVarint(target, at, valueSize);
}

function putVarint(target: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    if (value < 0x80000000) {
      target[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    } else {
      target[at++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
  }
  target[at++] = value;
  return at;
}

function putBytes(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  // A short loop beats the call and its temporary view.
  if (end - start <= LOOP_SIZE_BYTES_MAX) for (let i = start; i < end; i++) target[at++] = source[i]!;
  else {
    target.set(source.subarray(start, end), at);
    at += end - start;
  }
  return at;
}

/** Bytes of the message as a field with a one-byte tag: tag, length, body. */
export function keyValueFieldSizeBytes(view: RecordView, keysOnly: boolean): number {
  const size = keyValueSizeBytes(view, keysOnly);
  return 1 + varintSizeBytes(size) + size;
}

/** The same of a record's header: for long lists, where reading all of a view costs more than the sizes. */
export function keyValueFieldSizeBytesAt(words: Uint32Array, at: number, keysOnly: boolean): number {
  const keyWord = words[at + WORD_KEY_SIZE]!;
  const keySize = keyWord >>> 8;
  let size = 1 + varintSizeBytes(keySize) + keySize;
  if ((keyWord & FLAG_TOMBSTONE) === 0) {
    const valueSize = words[at + WORD_VALUE_SIZE]!;
    size += 3 + varintSizeBytes(modRevisionAt(words, at)) + varintSizeBytes(createRevisionAt(words, at));
    size += varintSizeBytes(versionAt(words, at));
    if (valueSize > 0 && !keysOnly) size += 1 + varintSizeBytes(valueSize) + valueSize;
    if ((keyWord & FLAG_LEASE) !== 0) {
      const lease = leaseWordAt(words, at);
      size += 1 + varint64SizeBytes(words[lease]!, words[lease + 1]!);
    }
  }
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
