// Messages as tables: a schema says which field has which number, name and kind, and decode() and encode() follow it.
// One table serves the client, the CLI, the JSON gateway and rare requests; the hot path has hand-written readers
// (hot.ts). TypeScript derives the message's type from the table, so the two cannot differ.
//
//   const LeaseStatus = message("etcdserverpb.LeaseStatus", { ID: id(1) });
//   type LeaseStatus = MessageOf<typeof LeaseStatus>;             // { ID: bigint }
//   decode(LeaseStatus, bytes, 0, bytes.length).ID; encode(LeaseStatus, { ID: 7n }, writer);
//
// Numbers: revisions, counts and sizes are `number`, saturated at 2^53 - 1; ids are `bigint`.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import { copyBytes, EMPTY_BYTES } from "../base/bytes.ts";
import { id64FromBigInt } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { fail, ProtoReader, WIRE_BYTES, WIRE_VARINT } from "./reader.ts";

/** Values by name. A value without a name stays a number everywhere. */
export interface EnumTable {
  readonly name: string;
  readonly values: Readonly<Record<string, number>>;
}

/** int64, uint64, uint32, int32: `number`; id (int64) and unsignedId (uint64): `bigint`. */
export type Kind =
  | "bytes"
  | "string"
  | "bool"
  | "int64"
  | "uint64"
  | "uint32"
  | "int32"
  | "id"
  | "unsignedId"
  | "enum"
  | "message";

/** `one` is proto3's implicit presence, `required` proto2's (written even when zero), `oneof` undefined when absent. */
export type Presence = "one" | "required" | "oneof" | "repeated";

export interface Field<Value = unknown, K extends Kind = Kind, P extends Presence = Presence> {
  readonly number: number;
  readonly kind: K;
  readonly presence: P;
  /** Repeated numbers go in one run of bytes (proto3's default); proto2's go one by one. Both are read. */
  readonly packed: boolean;
  readonly enumTable: EnumTable | undefined;
  /** A function, because messages refer to each other. */
  readonly schema: (() => Schema<unknown>) | undefined;
  /** Only a type. */
  readonly value?: Value;
}

export interface NamedField extends Field {
  readonly name: string;
  readonly tag: number;
}

export interface Schema<T> {
  /** With its package: `etcdserverpb.RangeRequest`. */
  readonly name: string;
  /** Ascending numbers. */
  readonly fields: readonly NamedField[];
  readonly byNumber: ReadonlyMap<number, NamedField>;
  readonly byName: ReadonlyMap<string, NamedField>;
  /** The fields of a message with nothing in it; what stands for a list is replaced, since each message needs its own. */
  readonly zero: Readonly<Record<string, unknown>>;
  readonly lists: readonly NamedField[];
  /** Only a type. */
  readonly type?: T;
}

type FieldValue<F> =
  F extends Field<infer V, infer K, infer P>
    ? P extends "repeated"
      ? V[]
      : P extends "oneof"
        ? V | undefined
        : K extends "message"
          ? V | undefined
          : V
    : never;

/** What decode() returns: every field is there, absent ones as zero values, absent messages as undefined. */
export type MessageOf<S> = S extends Schema<infer T> ? T : never;

/** What encode() takes: any fields may be left out. */
export type Input<T> = T extends Uint8Array | bigint | string | number | boolean | undefined
  ? T
  : T extends readonly (infer E)[]
    ? readonly Input<E>[]
    : { readonly [K in keyof T]?: Input<T[K]> | undefined };

/** Nesting of messages: 32 levels of transactions are 64 of messages, and a few around them. */
export const MESSAGE_DEPTH_MAX = 80;

// Builders of fields.

function field<V, K extends Kind>(number: number, kind: K): Field<V, K, "one"> {
  return { number, kind, presence: "one", packed: true, enumTable: undefined, schema: undefined };
}

export const bytes = (number: number): Field<Uint8Array, "bytes", "one"> => field(number, "bytes");
export const string = (number: number): Field<string, "string", "one"> => field(number, "string");
export const bool = (number: number): Field<boolean, "bool", "one"> => field(number, "bool");
export const int64 = (number: number): Field<number, "int64", "one"> => field(number, "int64");
export const uint64 = (number: number): Field<number, "uint64", "one"> => field(number, "uint64");
export const uint32 = (number: number): Field<number, "uint32", "one"> => field(number, "uint32");
export const int32 = (number: number): Field<number, "int32", "one"> => field(number, "int32");
/** An int64 that is a name, not a quantity: exact, as a signed bigint. */
export const id = (number: number): Field<bigint, "id", "one"> => field(number, "id");
/** The same of a uint64. */
export const unsignedId = (number: number): Field<bigint, "unsignedId", "one"> => field(number, "unsignedId");

export function enumeration(number: number, enumTable: EnumTable): Field<number, "enum", "one"> {
  return { ...field<number, "enum">(number, "enum"), enumTable };
}

export function nested<T>(number: number, schema: () => Schema<T>): Field<T, "message", "one"> {
  return { ...field<T, "message">(number, "message"), schema };
}

export function repeated<V, K extends Kind>(element: Field<V, K, "one">): Field<V, K, "repeated"> {
  return { ...element, presence: "repeated" };
}

/** Repeated numbers of a proto2 message. */
export function repeatedUnpacked<V, K extends Kind>(element: Field<V, K, "one">): Field<V, K, "repeated"> {
  return { ...element, presence: "repeated", packed: false };
}

/** A member of a oneof: written also when it is zero, undefined when absent. */
export function oneof<V, K extends Kind>(element: Field<V, K, "one">): Field<V, K, "oneof"> {
  return { ...element, presence: "oneof" };
}

/** A field of proto2 without a pointer in Go: always written. */
export function required<V, K extends Kind>(element: Field<V, K, "one">): Field<V, K, "required"> {
  return { ...element, presence: "required" };
}

export function message<const F extends Readonly<Record<string, Field>>>(
  name: string,
  fields: F,
): Schema<{ -readonly [K in keyof F]: FieldValue<F[K]> }> {
  const named = Object.entries(fields)
    .map(([fieldName, it]): NamedField => ({ ...it, name: fieldName, tag: it.number * 8 + wireTypeOf(it) }))
    .sort((a, b) => a.number - b.number);
  const byNumber = new Map(named.map((it) => [it.number, it]));
  assert(byNumber.size === named.length, "no two fields of a message have the same number");
  return {
    name,
    fields: named,
    byNumber,
    byName: new Map(named.map((it) => [it.name, it])),
    zero: Object.fromEntries(named.map((it) => [it.name, zeroValue(it)])),
    lists: named.filter((it) => it.presence === "repeated"),
  };
}

function wireTypeOf(it: Field): number {
  if (it.kind === "bytes" || it.kind === "string" || it.kind === "message") return WIRE_BYTES;
  return it.presence === "repeated" && it.packed ? WIRE_BYTES : WIRE_VARINT;
}

/** Any decoded message, by field name. */
type Values = Record<string, unknown>;

/**
 * Reads a message. Unknown fields are passed over; of a field that occurs twice the last one counts, and of two members
 * of a oneof too. Bytes are copied, so that the message does not keep its buffer. Throws WireError.
 */
export function decode<T>(schema: Schema<T>, source: Uint8Array, start: number, end: number): T {
  const reader = new ProtoReader();
  reader.reset(source, start, end);
  return decodeFields(schema, reader, 0) as T;
}

/** List elements of a request that is read by its table: such requests name some addresses. */
export const REQUEST_ELEMENT_COUNT_MAX = 10_000;

/** Of the request that is being read. */
let elementCountLeft = Number.POSITIVE_INFINITY;

/** As decode(), for what anybody may send: two bytes make an element, which takes many times as much in memory. */
export function decodeRequest<T>(schema: Schema<T>, source: Uint8Array, start: number, end: number): T {
  elementCountLeft = REQUEST_ELEMENT_COUNT_MAX;
  try {
    return decode(schema, source, start, end);
  } finally {
    elementCountLeft = Number.POSITIVE_INFINITY;
  }
}

function countElement(): void {
  if (elementCountLeft-- <= 0) fail("too many elements");
}

/** Reads up to the reader's end. */
function decodeFields(schema: Schema<unknown>, reader: ProtoReader, depth: number): Values {
  if (depth > MESSAGE_DEPTH_MAX) fail("messages nested too deeply");
  // A copy of a ready object is several times cheaper than one made field by field.
  const values: Values = { ...schema.zero };
  for (const it of schema.lists) values[it.name] = [];
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    const it = schema.byNumber.get(number);
    if (it === undefined) reader.skip();
    else if (it.presence === "repeated") decodeElements(reader, it, { values, depth });
    else {
      if (it.presence === "oneof") clearOneof(schema, values);
      values[it.name] = decodeValue(reader, it, depth);
    }
  }
  return values;
}

/** A nested message, with the same reader: its end is moved, and put back. */
function decodeNested(reader: ProtoReader, schema: Schema<unknown>, depth: number): Values {
  const end = reader.end;
  reader.chunk();
  const next = reader.position;
  reader.position = reader.chunkStart;
  reader.end = next;
  const values = decodeFields(schema, reader, depth);
  reader.position = next;
  reader.end = end;
  return values;
}

function zeroValue(it: NamedField): unknown {
  if (it.presence === "oneof") return undefined;
  switch (it.kind) {
    case "bytes":
      return EMPTY_BYTES;
    case "string":
      return "";
    case "bool":
      return false;
    case "id":
    case "unsignedId":
      return 0n;
    case "message":
      return undefined;
    case "int64":
    case "uint64":
    case "uint32":
    case "int32":
    case "enum":
      return 0;
  }
}

/** A message of etcd has at most one oneof, so that all its oneof fields belong together. */
function clearOneof(schema: Schema<unknown>, values: Values): void {
  for (const it of schema.fields) if (it.presence === "oneof") values[it.name] = undefined;
}

function decodeElements(reader: ProtoReader, it: NamedField, into: { values: Values; depth: number }): void {
  const list = into.values[it.name] as unknown[];
  const isNumber = it.kind !== "bytes" && it.kind !== "string" && it.kind !== "message";
  if (!isNumber || reader.wireType !== WIRE_BYTES) {
    countElement();
    list.push(decodeValue(reader, it, into.depth));
    return;
  }
  reader.chunk();
  const packed = new ProtoReader();
  packed.reset(reader.bytes, reader.chunkStart, reader.chunkEnd);
  packed.wireType = WIRE_VARINT;
  while (packed.position < packed.end) {
    countElement();
    list.push(decodeValue(packed, it, into.depth));
  }
}

function decodeValue(reader: ProtoReader, it: NamedField, depth: number): unknown {
  switch (it.kind) {
    case "bytes":
      reader.chunk();
      return pooledCopy(reader.bytes, reader.chunkStart, reader.chunkEnd);
    case "string":
      reader.chunk();
      return decodeUtf8(reader.bytes, reader.chunkStart, reader.chunkEnd);
    case "message":
      return decodeNested(reader, it.schema!(), depth + 1);
    case "bool":
      return reader.bool();
    case "int64":
      return reader.int64();
    case "uint64":
      return reader.uint64();
    case "uint32":
      return reader.uint32();
    case "int32":
    case "enum":
      return reader.int32();
    case "id":
      reader.varint64();
      return (BigInt(reader.hi | 0) << 32n) | BigInt(reader.lo);
    case "unsignedId":
      reader.varint64();
      return (BigInt(reader.hi) << 32n) | BigInt(reader.lo);
  }
}

/** Copies of middling size share an array: one each would cost more than all the rest of decoding. */
const POOL_SIZE_BYTES = 32 * 1024;
/** Up to here the engine keeps an array's bytes within the object, which is as cheap. */
const POOLED_SIZE_BYTES_MIN = 65;
/** A piece that somebody keeps holds the whole pool; larger ones are worth an array of their own. */
const POOLED_SIZE_BYTES_MAX = 4 * 1024;

let pool = new ArrayBuffer(0);
let poolPosition = 0;

function pooledCopy(source: Uint8Array, start: number, end: number): Uint8Array {
  const size = end - start;
  if (size === 0) return EMPTY_BYTES;
  if (size < POOLED_SIZE_BYTES_MIN || size > POOLED_SIZE_BYTES_MAX) return copyBytes(source, start, end);
  if (poolPosition + size > pool.byteLength) {
    pool = new ArrayBuffer(POOL_SIZE_BYTES);
    poolPosition = 0;
  }
  const copy = new Uint8Array(pool, poolPosition, size);
  poolPosition += size;
  for (let i = 0; i < size; i++) copy[i] = source[start + i]!;
  return copy;
}

/** Writes a message in canonical form: ascending field numbers, zero values left out. */
export function encode<T>(schema: Schema<T>, value: Input<T>, writer: ByteWriter): void {
  writeFields(schema, value as Values, writer);
}

/** Bytes that encode() writes. */
export function encodedSizeBytes<T>(schema: Schema<T>, value: Input<T>): number {
  return sizeOfFields(schema, value as Values);
}

function writeFields(schema: Schema<unknown>, values: Values, writer: ByteWriter): void {
  for (const it of schema.fields) {
    const value = values[it.name];
    if (it.presence === "repeated") writeElements(it, (value ?? []) as readonly unknown[], writer);
    else if (isWritten(it, value)) {
      writer.varint(it.tag);
      writeValue(it, value ?? zeroValue(it), writer);
    }
  }
}

function isWritten(it: NamedField, value: unknown): boolean {
  if (it.presence === "required") return true;
  if (value === undefined || value === null) return false;
  if (it.presence === "oneof" || it.kind === "message") return true;
  if (it.kind === "bytes") return (value as Uint8Array).length > 0;
  return value !== 0 && value !== "" && value !== false && value !== 0n;
}

function writeElements(it: NamedField, list: readonly unknown[], writer: ByteWriter): void {
  if (list.length === 0) return;
  if (wireTypeOf(it) === WIRE_BYTES && it.kind !== "bytes" && it.kind !== "string" && it.kind !== "message") {
    let size = 0;
    for (const value of list) size += sizeOfValue(it, value);
    writer.varint(it.tag);
    writer.varint(size);
    for (const value of list) writeValue(it, value, writer);
    return;
  }
  for (const value of list) {
    writer.varint(it.tag);
    writeValue(it, value, writer);
  }
}

function writeValue(it: NamedField, value: unknown, writer: ByteWriter): void {
  switch (it.kind) {
    case "bytes": {
      const content = value as Uint8Array;
      writer.varint(content.length);
      return writer.raw(content, 0, content.length);
    }
    case "string": {
      writer.varint(utf8SizeBytes(value as string));
      return writer.utf8(value as string);
    }
    case "message": {
      const schema = it.schema!();
      writer.varint(sizeOfFields(schema, (value ?? {}) as Values));
      return writeFields(schema, (value ?? {}) as Values, writer);
    }
    case "bool":
      return writer.byte(value === true ? 1 : 0);
    case "id":
    case "unsignedId": {
      const halves = id64FromBigInt(value as bigint);
      return writer.varint64(halves.hi, halves.lo);
    }
    case "int64":
    case "uint64":
    case "uint32":
    case "int32":
    case "enum":
      return writer.int64(value as number);
  }
}

// Sizes are computed again at every level of nesting: quadratic in the depth, which is small, and no cache to keep.

function sizeOfFields(schema: Schema<unknown>, values: Values): number {
  let size = 0;
  for (const it of schema.fields) {
    const value = values[it.name];
    if (it.presence === "repeated") size += sizeOfElements(it, (value ?? []) as readonly unknown[]);
    else if (isWritten(it, value)) size += varintSizeBytes(it.tag) + sizeOfValue(it, value ?? zeroValue(it));
  }
  return size;
}

function sizeOfElements(it: NamedField, list: readonly unknown[]): number {
  if (list.length === 0) return 0;
  let size = 0;
  for (const value of list) size += sizeOfValue(it, value);
  const isPacked =
    wireTypeOf(it) === WIRE_BYTES && it.kind !== "bytes" && it.kind !== "string" && it.kind !== "message";
  if (isPacked) return varintSizeBytes(it.tag) + varintSizeBytes(size) + size;
  return size + list.length * varintSizeBytes(it.tag);
}

function sizeOfValue(it: NamedField, value: unknown): number {
  switch (it.kind) {
    case "bytes":
      return prefixedSize((value as Uint8Array).length);
    case "string":
      return prefixedSize(utf8SizeBytes(value as string));
    case "message":
      return prefixedSize(sizeOfFields(it.schema!(), (value ?? {}) as Values));
    case "bool":
      return 1;
    case "id":
    case "unsignedId": {
      const halves = id64FromBigInt(value as bigint);
      return varint64SizeBytes(halves.hi, halves.lo);
    }
    case "int64":
    case "uint64":
    case "uint32":
    case "int32":
    case "enum":
      return (value as number) < 0 ? 10 : varintSizeBytes(value as number);
  }
}

function prefixedSize(length: number): number {
  return varintSizeBytes(length) + length;
}

function utf8SizeBytes(text: string): number {
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) size++;
    else if (code < 0x800) size += 2;
    else if (code >= 0xd800 && code < 0xdc00 && isLowSurrogate(text, i + 1)) {
      size += 4;
      i++;
    } else size += 3;
  }
  return size;
}

function isLowSurrogate(text: string, index: number): boolean {
  const code = index < text.length ? text.charCodeAt(index) : 0;
  return code >= 0xdc00 && code < 0xe000;
}
