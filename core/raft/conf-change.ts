// Configuration changes as log entries, in etcd's encoding, so that etcd's offline tools can read our log:
//
//   ConfChange   {1 id uint64, 2 type, 3 node_id uint64, 4 context bytes}          one change (entry type 1)
//   ConfChangeV2 {1 transition, 2 changes {1 type, 2 node_id}, 3 context bytes}    any number (entry type 2)
//
// A V2 entry without changes leaves a joint configuration.

import { assert } from "../base/assert.ts";
import { ByteWriter, varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import { ID64_ZERO, type Id64, id64 } from "../base/ids.ts";
import { ProtoReader, WireError } from "../wire/reader.ts";
import { ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2 } from "./log.ts";

/** What a change does with its member; numbers as on disk. */
export const ADD_VOTER = 0;
export const REMOVE_MEMBER = 1;
/** Changes nothing in consensus; the context carries what did change (URLs). */
export const UPDATE_MEMBER = 2;
export const ADD_LEARNER = 3;

/** How a change of several members is done; numbers as on disk. */
export const TRANSITION_AUTO = 0;
export const TRANSITION_JOINT_IMPLICIT = 1;
/** The joint configuration stays until an empty change leaves it. */
export const TRANSITION_JOINT_EXPLICIT = 2;

export interface MemberChange {
  readonly type: number;
  readonly id: Id64;
}

export interface ConfChange {
  readonly transition: number;
  readonly changes: readonly MemberChange[];
  /** The proposer's own; consensus does not look at it. */
  readonly context: Uint8Array;
  /** The proposer's name for the request (V1 entries only); 0:0 when unused. */
  readonly requestId: Id64;
}

/** More members in one change than any sane cluster has. */
const CHANGE_COUNT_MAX = 64;
const NO_BYTES = new Uint8Array(0);

export function confChange(
  changes: readonly MemberChange[],
  context: Uint8Array = NO_BYTES,
  requestId = ID64_ZERO,
): ConfChange {
  return { transition: TRANSITION_AUTO, changes, context, requestId };
}

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChange = confChange([]);

export function confChangeEntryType(change: ConfChange): number {
  const simple = change.changes.length === 1 && change.transition === TRANSITION_AUTO;
  return simple ? ENTRY_CONF_CHANGE : ENTRY_CONF_CHANGE_V2;
}

/** Encodes a change as the payload of an entry of type `confChangeEntryType(change)`. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  assert(change.changes.length <= CHANGE_COUNT_MAX, "a change names few members");
  const writer = new ByteWriter(64 + change.context.length);
  if (confChangeEntryType(change) === ENTRY_CONF_CHANGE) {
    const one = change.changes[0]!;
    writeId(writer, 1, change.requestId);
    writeNumber(writer, 2, one.type);
    writeId(writer, 3, one.id);
    writeBytes(writer, 4, change.context);
    return writer.copy();
  }
  writeNumber(writer, 1, change.transition);
  for (const one of change.changes) {
    const typeSize = one.type === 0 ? 0 : 1 + varintSizeBytes(one.type);
    const idSize = one.id.hi === 0 && one.id.lo === 0 ? 0 : 1 + varint64SizeBytes(one.id.hi, one.id.lo);
    writer.byte((2 << 3) | 2);
    writer.varint(typeSize + idSize);
    writeNumber(writer, 1, one.type);
    writeId(writer, 2, one.id);
  }
  writeBytes(writer, 3, change.context);
  return writer.copy();
}

/** Decodes an entry's payload; the context is a copy. Throws WireError. */
export function decodeConfChange(
  entryType: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): ConfChange {
  const reader = new ProtoReader();
  reader.reset(bytes, start, end);
  if (entryType === ENTRY_CONF_CHANGE) return decodeV1(reader);
  if (entryType === ENTRY_CONF_CHANGE_V2) return decodeV2(reader);
  throw new WireError(`an entry of type ${entryType} is no configuration change`);
}

function decodeV1(reader: ProtoReader): ConfChange {
  let requestId = ID64_ZERO;
  let type = 0;
  let id = ID64_ZERO;
  let context: Uint8Array = NO_BYTES;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) requestId = readId(reader);
    else if (field === 2) type = readType(reader);
    else if (field === 3) id = readId(reader);
    else if (field === 4) context = readBytes(reader);
    else reader.skip();
  }
  return { transition: TRANSITION_AUTO, changes: [{ type, id }], context, requestId };
}

function decodeV2(reader: ProtoReader): ConfChange {
  let transition = TRANSITION_AUTO;
  const changes: MemberChange[] = [];
  let context: Uint8Array = NO_BYTES;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) {
      transition = reader.int32();
      if (transition < 0 || transition > TRANSITION_JOINT_EXPLICIT)
        throw new WireError(`unknown transition ${transition}`);
    } else if (field === 2) {
      if (changes.length === CHANGE_COUNT_MAX)
        throw new WireError(`a change of more than ${CHANGE_COUNT_MAX} members`);
      changes.push(decodeSingle(reader));
    } else if (field === 3) context = readBytes(reader);
    else reader.skip();
  }
  return { transition, changes, context, requestId: ID64_ZERO };
}

function decodeSingle(outer: ProtoReader): MemberChange {
  outer.chunk();
  const reader = new ProtoReader();
  reader.reset(outer.bytes, outer.chunkStart, outer.chunkEnd);
  let type = 0;
  let id = ID64_ZERO;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) type = readType(reader);
    else if (field === 2) id = readId(reader);
    else reader.skip();
  }
  return { type, id };
}

function readType(reader: ProtoReader): number {
  const type = reader.int32();
  if (type < 0 || type > ADD_LEARNER) throw new WireError(`unknown type of change ${type}`);
  return type;
}

function readId(reader: ProtoReader): Id64 {
  reader.varint64();
  return id64(reader.hi, reader.lo);
}

function readBytes(reader: ProtoReader): Uint8Array {
  reader.chunk();
  return reader.bytes.slice(reader.chunkStart, reader.chunkEnd);
}

function writeNumber(writer: ByteWriter, field: number, value: number): void {
  if (value === 0) return;
  writer.byte(field << 3);
  writer.varint(value);
}

function writeId(writer: ByteWriter, field: number, id: Id64): void {
  if (id.hi === 0 && id.lo === 0) return;
  writer.byte(field << 3);
  writer.varint64(id.hi, id.lo);
}

function writeBytes(writer: ByteWriter, field: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  writer.byte((field << 3) | 2);
  writer.varint(bytes.length);
  writer.raw(bytes, 0, bytes.length);
}
