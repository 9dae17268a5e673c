// The wire form of messages. Frames around it (length, checksum, cluster and member ids) are the connection's business.
//
//   0         1      2       3   4         12       20
//   | version | kind | flags | 0 | from u64 | to u64 | term varint | fields of the kind | entries |     u64: two u32, high first;
//                                                                                                        integers little endian
//   flags: 1 reject, 2 force
//   append:         index, logTerm, commit, count (varints), then `count` entries as drawn in arena.ts, up to the end
//   appendReply:    index, hintIndex, hintTerm          heartbeat:   commit, sequence       heartbeatReply: sequence
//   vote, preVote:  index, logTerm, commit, commitTerm  their replies: commit, commitTerm   timeoutNow: nothing
//   readIndex:      incarnation, sequence               readIndexReply: incarnation, sequence, index
//   snapshot:       index, logTerm, voters, outgoing, learners, next (each: count, ids), autoLeave
//   forward:        incarnation, sequence, count, entries (term 0)                          forwardRefused: incarnation, sequence
//
// A newer version is refused by name. What decodes is well formed: sizes add up, terms of entries never fall, ids are there.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64 } from "../base/ids.ts";
import { ENTRY_HEADER_BYTES, entrySizeAt, entryTermAt, entryTypeAt } from "./arena.ts";
import type { ConfState } from "./configuration.ts";
import { EntryBatch } from "./entry-batch.ts";
import { ENTRY_CONF_CHANGE_V2, type RaftLog } from "./log.ts";
import * as kinds from "./message.ts";
import { MESSAGE_NAMES, RaftMessage } from "./message.ts";

export const MESSAGE_VERSION = 1;
const HEADER_BYTES = 20;
const FLAG_REJECT = 1;
const FLAG_FORCE = 2;
/** Ids in one list of a configuration; more is no cluster. */
const ID_COUNT_MAX = 1024;

/** The peer's bytes are not a message; the connection they came on is not to be trusted further. */
export class RaftMessageError extends Error {
  override readonly name = "RaftMessageError";
  readonly code = "RAFT_MESSAGE_MALFORMED";
}

/** Writes a message; entries are copied from `log` (or the message's own batch), once. */
export function encodeMessage(writer: ByteWriter, message: RaftMessage, log: RaftLog): void {
  const kind = message.kind;
  assert(kind > 0 && kind < MESSAGE_NAMES.length, "the kind of a message is known");
  writer.byte(MESSAGE_VERSION);
  writer.byte(kind);
  writer.byte((message.reject ? FLAG_REJECT : 0) | (message.force ? FLAG_FORCE : 0));
  writer.byte(0);
  writeUint32(writer, message.fromHi);
  writeUint32(writer, message.fromLo);
  writeUint32(writer, message.toHi);
  writeUint32(writer, message.toLo);
  writer.varint(message.term);
  writeFields(writer, message, log);
}

function writeFields(writer: ByteWriter, message: RaftMessage, log: RaftLog): void {
  switch (message.kind) {
    case kinds.MESSAGE_APPEND:
      return writeAppend(writer, message, log);
    case kinds.MESSAGE_APPEND_REPLY:
      writer.varint(message.index);
      writer.varint(message.hintIndex);
      writer.varint(message.hintTerm);
      return;
    case kinds.MESSAGE_HEARTBEAT:
      writer.varint(message.commit);
      writer.varint(message.sequence);
      return;
    case kinds.MESSAGE_HEARTBEAT_REPLY:
      writer.varint(message.sequence);
      return;
    case kinds.MESSAGE_PRE_VOTE:
    case kinds.MESSAGE_VOTE:
      writer.varint(message.index);
      writer.varint(message.logTerm);
      writer.varint(message.commit);
      writer.varint(message.commitTerm);
      return;
    case kinds.MESSAGE_PRE_VOTE_REPLY:
    case kinds.MESSAGE_VOTE_REPLY:
      writer.varint(message.commit);
      writer.varint(message.commitTerm);
      return;
    case kinds.MESSAGE_TIMEOUT_NOW:
      return;
    case kinds.MESSAGE_READ_INDEX:
    case kinds.MESSAGE_FORWARD_REFUSED:
      writer.varint(message.incarnation);
      writer.varint(message.sequence);
      return;
    case kinds.MESSAGE_READ_INDEX_REPLY:
      writer.varint(message.incarnation);
      writer.varint(message.sequence);
      writer.varint(message.index);
      return;
    case kinds.MESSAGE_SNAPSHOT:
      writer.varint(message.index);
      writer.varint(message.logTerm);
      assert(message.confState !== undefined, "a snapshot names its configuration");
      return writeConfState(writer, message.confState);
    case kinds.MESSAGE_FORWARD:
      writer.varint(message.incarnation);
      writer.varint(message.sequence);
      return writeBatch(writer, message.batch);
    default:
      assert(false, "every kind has its fields");
  }
}

function writeAppend(writer: ByteWriter, message: RaftMessage, log: RaftLog): void {
  writer.varint(message.index);
  writer.varint(message.logTerm);
  writer.varint(message.commit);
  if (message.batch !== undefined || message.entriesLast === 0) return writeBatch(writer, message.batch);
  assert(message.entriesFirst === message.index + 1, "entries follow the entry before");
  writer.varint(message.entriesLast - message.entriesFirst + 1);
  log.writeEntries(writer, message.entriesFirst, message.entriesLast);
}

function writeBatch(writer: ByteWriter, batch: EntryBatch | undefined): void {
  if (batch === undefined) return writer.byte(0);
  writer.varint(batch.count);
  writer.raw(batch.bytes, batch.start, batch.end);
}

export function writeConfState(writer: ByteWriter, state: ConfState): void {
  for (const ids of [state.voters, state.votersOutgoing, state.learners, state.learnersNext]) {
    writer.varint(ids.length);
    for (const id of ids) {
      writeUint32(writer, id.hi);
      writeUint32(writer, id.lo);
    }
  }
  writer.byte(state.autoLeave ? 1 : 0);
}

/**
 * Reads a message. `target` may be reused; its batch points into `bytes`, so both must stay until step() returned. Throws
 * RaftMessageError.
 */
export function decodeMessage(
  bytes: Uint8Array,
  start: number,
  end: number,
  target = new RaftMessage(),
): RaftMessage {
  const batch = target.batch ?? new EntryBatch();
  target.reset();
  if (end - start <= HEADER_BYTES) fail(`${end - start} bytes are no message`);
  if (bytes[start] !== MESSAGE_VERSION)
    fail(`version ${bytes[start]} is not known here, ${MESSAGE_VERSION} is`);
  const kind = bytes[start + 1]!;
  if (kind === 0 || kind >= MESSAGE_NAMES.length) fail(`kind ${kind} is not known here`);
  const flags = bytes[start + 2]!;
  if (flags > (FLAG_REJECT | FLAG_FORCE) || bytes[start + 3] !== 0) fail("unknown flags");
  const reader = new FieldReader(bytes, start + 4, end);
  target.kind = kind;
  target.reject = (flags & FLAG_REJECT) !== 0;
  target.force = (flags & FLAG_FORCE) !== 0;
  target.fromHi = reader.uint32();
  target.fromLo = reader.uint32();
  target.toHi = reader.uint32();
  target.toLo = reader.uint32();
  target.term = reader.varint();
  if (target.fromHi === 0 && target.fromLo === 0) fail("a message from nobody");
  readFields(reader, target, batch);
  if (reader.position !== end) fail(`${end - reader.position} bytes too many`);
  return target;
}

function readFields(reader: FieldReader, message: RaftMessage, batch: EntryBatch): void {
  switch (message.kind) {
    case kinds.MESSAGE_APPEND:
      message.index = reader.varint();
      message.logTerm = reader.varint();
      message.commit = reader.varint();
      message.batch = batch;
      readBatch(reader, batch);
      return checkAppended(message, batch);
    case kinds.MESSAGE_APPEND_REPLY:
      message.index = reader.varint();
      message.hintIndex = reader.varint();
      message.hintTerm = reader.varint();
      return;
    case kinds.MESSAGE_HEARTBEAT:
      message.commit = reader.varint();
      message.sequence = reader.varint();
      return;
    case kinds.MESSAGE_HEARTBEAT_REPLY:
      message.sequence = reader.varint();
      return;
    case kinds.MESSAGE_PRE_VOTE:
    case kinds.MESSAGE_VOTE:
      message.index = reader.varint();
      message.logTerm = reader.varint();
      message.commit = reader.varint();
      message.commitTerm = reader.varint();
      return;
    case kinds.MESSAGE_PRE_VOTE_REPLY:
    case kinds.MESSAGE_VOTE_REPLY:
      message.commit = reader.varint();
      message.commitTerm = reader.varint();
      return;
    case kinds.MESSAGE_READ_INDEX:
    case kinds.MESSAGE_FORWARD_REFUSED:
      message.incarnation = reader.varint();
      message.sequence = reader.varint();
      return;
    case kinds.MESSAGE_READ_INDEX_REPLY:
      message.incarnation = reader.varint();
      message.sequence = reader.varint();
      message.index = reader.varint();
      return;
    case kinds.MESSAGE_SNAPSHOT:
      message.index = reader.varint();
      message.logTerm = reader.varint();
      message.confState = readConfState(reader);
      return;
    case kinds.MESSAGE_FORWARD:
      message.incarnation = reader.varint();
      message.sequence = reader.varint();
      message.batch = batch;
      readBatch(reader, batch);
      return checkForwarded(batch);
    default:
      return; // timeoutNow has no fields
  }
}

/** Entries reach to the end of the message and their sizes add up. */
function readBatch(reader: FieldReader, batch: EntryBatch): void {
  const count = reader.varint();
  const start = reader.position;
  const end = reader.end;
  if (count > (end - start) / ENTRY_HEADER_BYTES)
    fail(`${count} entries do not fit into ${end - start} bytes`);
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_HEADER_BYTES > end) fail("an entry is cut off");
    if (reader.bytes[at + 5] !== 0) fail("an entry's header is not of this version");
    const size = entrySizeAt(reader.bytes, at);
    at += ENTRY_HEADER_BYTES;
    if (size > end - at) fail("an entry reaches beyond the message");
    at += size;
  }
  reader.position = at;
  batch.set(reader.bytes, start, at, count);
}

/** Terms of entries never fall, and none is newer than its leader. */
function checkAppended(message: RaftMessage, batch: EntryBatch): void {
  let term = message.logTerm;
  let at = batch.start;
  for (let i = 0; i < batch.count; i++) {
    const entryTerm = entryTermAt(batch.bytes, at);
    if (entryTerm < term) fail(`an entry of term ${entryTerm} follows one of term ${term}`);
    if (entryTypeAt(batch.bytes, at) > ENTRY_CONF_CHANGE_V2)
      fail(`type ${entryTypeAt(batch.bytes, at)} is no entry's`);
    term = entryTerm;
    at += ENTRY_HEADER_BYTES + entrySizeAt(batch.bytes, at);
  }
  if (term > message.term) fail(`an entry of term ${term} comes from a leader of term ${message.term}`);
  if (term === 0 && batch.count > 0) fail("an entry of term 0");
}

function checkForwarded(batch: EntryBatch): void {
  let at = batch.start;
  for (let i = 0; i < batch.count; i++) {
    if (entryTermAt(batch.bytes, at) !== 0) fail("a forwarded proposal has no term yet");
    if (entryTypeAt(batch.bytes, at) > ENTRY_CONF_CHANGE_V2)
      fail(`type ${entryTypeAt(batch.bytes, at)} is no entry's`);
    at += ENTRY_HEADER_BYTES + entrySizeAt(batch.bytes, at);
  }
}

/** Reads what writeConfState wrote. */
export function readConfState(reader: FieldReader): ConfState {
  const voters = reader.ids();
  const votersOutgoing = reader.ids();
  const learners = reader.ids();
  const learnersNext = reader.ids();
  const autoLeave = reader.varint();
  if (autoLeave > 1) fail("a configuration leaves by itself or not");
  return { voters, votersOutgoing, learners, learnersNext, autoLeave: autoLeave === 1 };
}

/** Reads numbers, never beyond `end`. */
export class FieldReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      if (this.position >= this.end) fail("a number is cut off");
      const byte = this.bytes[this.position++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) fail("a number beyond 2^53");
        return value;
      }
      scale *= 128;
    }
    fail("a number of more than eight bytes");
  }

  uint32(): number {
    if (this.position + 4 > this.end) fail("an id is cut off");
    const bytes = this.bytes;
    const at = this.position;
    this.position = at + 4;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  ids(): Id64[] {
    const count = this.varint();
    if (count > ID_COUNT_MAX) fail(`${count} members are no cluster`);
    const ids: Id64[] = [];
    for (let i = 0; i < count; i++) ids.push(id64(this.uint32(), this.uint32()));
    return ids;
  }
}

function writeUint32(writer: ByteWriter, value: number): void {
  writer.byte(value & 0xff);
  writer.byte((value >>> 8) & 0xff);
  writer.byte((value >>> 16) & 0xff);
  writer.byte(value >>> 24);
}

function fail(text: string): never {
  throw new RaftMessageError(`Cannot decode a raft message: ${text}`);
}
