// The requests of the load, written by hand into a reused writer: an encoder by tables costs more than the store's own
// work for a put. Field numbers are those of etcd's rpc.proto.

import { type ByteWriter, varintSizeBytes } from "../../core/base/byte-writer.ts";
import { assert } from "../../core/base/assert.ts";
import { ProtoReader, WIRE_BYTES } from "../../core/wire/reader.ts";

/** A key and a value inside larger arrays. */
export interface Slice {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A slice that is pointed elsewhere for each request: an object per request is garbage per request. */
export class Cursor implements Slice {
  bytes = NO_BYTES;
  start = 0;
  end = 0;

  set(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    return this;
  }
}

function field(writer: ByteWriter, tag: number, slice: Slice): void {
  writer.byte(tag);
  writer.varint(slice.end - slice.start);
  writer.raw(slice.bytes, slice.start, slice.end);
}

function fieldSize(slice: Slice): number {
  const size = slice.end - slice.start;
  return 1 + varintSizeBytes(size) + size;
}

/** PutRequest: 1 key, 2 value, 3 lease. */
export function writePut(writer: ByteWriter, key: Slice, value: Slice, lease: bigint): void {
  field(writer, 0x0a, key);
  field(writer, 0x12, value);
  if (lease !== 0n) writeLease(writer, lease);
}

function writeLease(writer: ByteWriter, lease: bigint): void {
  writer.byte(0x18);
  writer.varint64(Number((lease >> 32n) & 0xffffffffn), Number(lease & 0xffffffffn));
}

export interface RangeShape {
  readonly limit: number;
  readonly serializable: boolean;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
}

/** RangeRequest: 1 key, 2 range_end, 3 limit, 7 serializable, 8 keys_only, 9 count_only. */
export function writeRange(
  writer: ByteWriter,
  key: Slice,
  rangeEnd: Slice | undefined,
  shape: RangeShape,
): void {
  field(writer, 0x0a, key);
  if (rangeEnd) field(writer, 0x12, rangeEnd);
  if (shape.limit > 0) {
    writer.byte(0x18);
    writer.varint(shape.limit);
  }
  if (shape.serializable) flag(writer, 0x38);
  if (shape.keysOnly) flag(writer, 0x40);
  if (shape.countOnly) flag(writer, 0x48);
}

function flag(writer: ByteWriter, tag: number): void {
  writer.byte(tag);
  writer.byte(1);
}

/** TxnRequest.success (2) with a RequestOp of a put (2). */
export function writeTxnPut(writer: ByteWriter, key: Slice, value: Slice): void {
  const put = fieldSize(key) + fieldSize(value);
  writer.byte(0x12);
  writer.varint(1 + varintSizeBytes(put) + put);
  writer.byte(0x12);
  writer.varint(put);
  writePut(writer, key, value, 0n);
}

/** TxnRequest.failure (3) with a RequestOp of a range (1): what Kubernetes asks for when an update met another. */
export function writeTxnGetOnFailure(writer: ByteWriter, key: Slice): void {
  const range = fieldSize(key);
  writer.byte(0x1a);
  writer.varint(1 + varintSizeBytes(range) + range);
  writer.byte(0x0a);
  writer.varint(range);
  field(writer, 0x0a, key);
}

/** TxnRequest.compare (1): mod_revision (2) EQUAL (0) `revision`; 0 means that the key is not there. */
export function writeCompareModRevision(writer: ByteWriter, key: Slice, revision: number): void {
  const size = 2 + fieldSize(key) + 1 + varintSizeBytes(revision);
  writer.byte(0x0a);
  writer.varint(size);
  writer.byte(0x10);
  writer.byte(2);
  field(writer, 0x1a, key);
  writer.byte(0x30);
  writer.varint(revision);
}

const reader = new ProtoReader();
const inner = new ProtoReader();

/** ResponseHeader.revision (1.3), which every KV answer opens with; 0 without one. */
export function headerRevision(bytes: Uint8Array, start: number, end: number): number {
  reader.reset(bytes, start, end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number !== 1) {
      reader.skip();
      continue;
    }
    reader.chunk();
    inner.reset(bytes, reader.chunkStart, reader.chunkEnd);
    for (let field = inner.next(); field !== 0; field = inner.next()) {
      if (field === 3) return inner.int64();
      inner.skip();
    }
    return 0;
  }
  return 0;
}

/** LeaseKeepAliveResponse.TTL (3): 0, which is left out, says that the lease is gone. */
export function keepAliveTtlSeconds(bytes: Uint8Array, start: number, end: number): number {
  reader.reset(bytes, start, end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === 3) return reader.int64();
    reader.skip();
  }
  return 0;
}

/** TxnResponse.succeeded (2). */
export function txnSucceeded(bytes: Uint8Array, start: number, end: number): boolean {
  reader.reset(bytes, start, end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === 2) return reader.bool();
    reader.skip();
  }
  return false;
}

/**
 * What a RangeResponse holds: keys (field 2), the first one's mod_revision (KeyValue 3), and the count (4). It is read at once, or
 * while it arrives: bytes that just came are in the cache, those of a large list as a whole are not.
 */
export class RangeAnswer {
  keys = 0;
  count = 0;
  firstModRevision = 0;
  /** Bytes of the message that were read: whole fields. */
  #readBytes = 0;

  /** Another message begins. */
  reset(): void {
    this.keys = 0;
    this.count = 0;
    this.firstModRevision = 0;
    this.#readBytes = 0;
  }

  /** A whole message. */
  parse(bytes: Uint8Array, start: number, end: number): void {
    this.reset();
    this.finish(bytes, start, end);
  }

  /** What is left of a message that is there as a whole. */
  finish(bytes: Uint8Array, start: number, end: number): void {
    this.take(bytes, start, end);
    assert(this.#readBytes === end - start, "a RangeResponse ends with a whole field");
  }

  /** The next fields of a message, as far as they are complete; so far it is `bytes[start, end)`. */
  take(bytes: Uint8Array, start: number, end: number): void {
    reader.reset(bytes, start + this.#readBytes, end);
    while (isFieldComplete(bytes, reader.position, end)) {
      const number = reader.next();
      if (number === 4) this.count = reader.int64();
      else if (number !== 2) reader.skip();
      else {
        reader.chunk();
        if (this.keys === 0) this.firstModRevision = modRevisionOf(bytes, reader.chunkStart, reader.chunkEnd);
        this.keys++;
      }
    }
    this.#readBytes = reader.position - start;
  }
}

/** Whether the field that begins at `at` is there to its end; those of a RangeResponse have tags of one byte. */
function isFieldComplete(bytes: Uint8Array, at: number, end: number): boolean {
  const isChunk = at < end && (bytes[at]! & 7) === WIRE_BYTES;
  let value = 0;
  for (let scale = 1, next = at + 1; next < end; scale *= 128) {
    const byte = bytes[next++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return !isChunk || value <= end - next;
  }
  return false;
}

function modRevisionOf(bytes: Uint8Array, start: number, end: number): number {
  inner.reset(bytes, start, end);
  for (let field = inner.next(); field !== 0; field = inner.next()) {
    if (field === 3) return inner.int64();
    inner.skip();
  }
  return 0;
}

const event = new ProtoReader();
const keyValue = new ProtoReader();

/** Calls with the value of each event of a WatchResponse (11 events, 2 kv, 5 value); true if the watch was created by it. */
export function readWatchResponse(
  bytes: Uint8Array,
  start: number,
  end: number,
  onValue: (bytes: Uint8Array, start: number, end: number) => void,
): { created: boolean; canceled: boolean } {
  let created = false;
  let canceled = false;
  reader.reset(bytes, start, end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === 3) created = reader.bool();
    else if (number === 4) canceled = reader.bool();
    else if (number !== 11) reader.skip();
    else {
      reader.chunk();
      readEvent(bytes, reader.chunkStart, reader.chunkEnd, onValue);
    }
  }
  return created || canceled ? { created, canceled } : NOTHING_SPECIAL;
}

const NOTHING_SPECIAL = { created: false, canceled: false };

function readEvent(
  bytes: Uint8Array,
  start: number,
  end: number,
  onValue: (b: Uint8Array, s: number, e: number) => void,
): void {
  event.reset(bytes, start, end);
  for (let number = event.next(); number !== 0; number = event.next()) {
    if (number !== 2) {
      event.skip();
      continue;
    }
    event.chunk();
    keyValue.reset(bytes, event.chunkStart, event.chunkEnd);
    for (let field = keyValue.next(); field !== 0; field = keyValue.next()) {
      if (field !== 5) {
        keyValue.skip();
        continue;
      }
      keyValue.chunk();
      onValue(bytes, keyValue.chunkStart, keyValue.chunkEnd);
      return;
    }
  }
}
