// The envelope of a normal log entry: message InternalRaftRequest { 100 header { 1 ID, 2 username, 3 auth_revision },
// and one request under the number of its kind }. etcd's decoders accept any order of fields; we write the header
// first, so that the envelope is known before the request, whose bytes are the client's own, is copied behind it:
//
//   A2 06 <length> { 08 <id> [12 <length> username] [18 <auth revision>] }   <tag of the kind> <length> <request>

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import { fail, ProtoReader } from "./reader.ts";

/** Field numbers of InternalRaftRequest. */
export const REQUEST_KIND = {
  /** Not a request: an entry without any, such as the empty one of a new leader. */
  none: 0,
  range: 3,
  put: 4,
  deleteRange: 5,
  txn: 6,
  compaction: 7,
  leaseGrant: 8,
  leaseRevoke: 9,
  alarm: 10,
  leaseCheckpoint: 11,
  authEnable: 1000,
  authDisable: 1011,
  authenticate: 1012,
  authStatus: 1013,
  userAdd: 1100,
  userDelete: 1101,
  userGet: 1102,
  userChangePassword: 1103,
  userGrantRole: 1104,
  userRevokeRole: 1105,
  userList: 1106,
  roleList: 1107,
  roleAdd: 1200,
  roleDelete: 1201,
  roleGet: 1202,
  roleGrantPermission: 1203,
  roleRevokePermission: 1204,
  clusterVersionSet: 1300,
  clusterMemberAttrSet: 1301,
  downgradeInfoSet: 1302,
  downgradeVersionTest: 9900,
  /** Ours start here (design D10); members that do not know one refuse the entry. */
  privateFirst: 50000,
} as const;

const FIELD_ID = 1;
const FIELD_HEADER = 100;

/** Writes the header; the request follows with writeRequestBody(), or field by field from beginRequestBody(). */
export function beginRequest(writer: ByteWriter, idHi: number, idLo: number): void {
  writer.ensure(16);
  writer.byte(0xa2);
  writer.byte(0x06);
  writer.byte(1 + varint64SizeBytes(idHi, idLo));
  writer.byte(0x08);
  writer.varint64(idHi, idLo);
}

/** Who asked, when authentication is on. */
export interface RequestAuthor {
  /** UTF-8, at most 2^20 bytes. */
  readonly username: Uint8Array;
  readonly authRevision: number;
}

/** The same with the author, whose rights are checked again when the entry is applied. */
export function beginAuthoredRequest(
  writer: ByteWriter,
  idHi: number,
  idLo: number,
  author: RequestAuthor,
): void {
  const nameLength = author.username.length;
  assert(nameLength < 1 << 20, "a user name is short");
  let size = 1 + varint64SizeBytes(idHi, idLo);
  if (nameLength > 0) size += 1 + varintSizeBytes(nameLength) + nameLength;
  if (author.authRevision > 0) size += 1 + varintSizeBytes(author.authRevision);
  writer.byte(0xa2);
  writer.byte(0x06);
  writer.varint(size);
  writer.byte(0x08);
  writer.varint64(idHi, idLo);
  if (nameLength > 0) {
    writer.byte(0x12);
    writer.varint(nameLength);
    writer.raw(author.username, 0, nameLength);
  }
  if (author.authRevision > 0) {
    writer.byte(0x18);
    writer.varint(author.authRevision);
  }
}

/** Writes the tag of the kind and the length of the request; its `sizeBytes` bytes must follow. */
export function beginRequestBody(writer: ByteWriter, kind: number, sizeBytes: number): void {
  writer.varint(kind * 8 + 2);
  writer.varint(sizeBytes);
}

/** Writes a request whose bytes are there already: a client's message. */
// oxlint-disable-next-line max-params -- ranges by position: a view costs more than the work
export function writeRequestBody(
  writer: ByteWriter,
  kind: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  beginRequestBody(writer, kind, end - start);
  writer.raw(bytes, start, end);
}

/** Reads an envelope; reused, one per user. */
export class RequestEnvelope {
  /** One of REQUEST_KIND, or a number that we do not know. */
  kind = 0;
  /** The request: `bytes[payloadStart, payloadEnd)`. */
  payloadStart = 0;
  payloadEnd = 0;
  idHi = 0;
  idLo = 0;
  /** Empty without authentication. */
  usernameStart = 0;
  usernameEnd = 0;
  authRevision = 0;
  readonly #reader = new ProtoReader();
  readonly #header = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.kind = REQUEST_KIND.none;
    this.payloadStart = this.payloadEnd = start;
    this.idHi = this.idLo = 0;
    this.usernameStart = this.usernameEnd = start;
    this.authRevision = 0;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === FIELD_HEADER) {
        reader.chunk();
        this.#parseHeader(bytes, reader.chunkStart, reader.chunkEnd);
      } else if (number === FIELD_ID) {
        // Written by etcd before 3.0 only; the header's id counts if there is one.
        reader.varint64();
        if ((this.idHi | this.idLo) === 0) {
          this.idHi = reader.hi;
          this.idLo = reader.lo;
        }
      } else {
        if (this.kind !== REQUEST_KIND.none) fail("two requests in one log entry");
        reader.chunk();
        this.kind = number;
        this.payloadStart = reader.chunkStart;
        this.payloadEnd = reader.chunkEnd;
      }
    }
  }

  #parseHeader(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#header;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === 1) {
        reader.varint64();
        this.idHi = reader.hi;
        this.idLo = reader.lo;
      } else if (number === 2) {
        reader.chunk();
        this.usernameStart = reader.chunkStart;
        this.usernameEnd = reader.chunkEnd;
      } else if (number === 3) this.authRevision = reader.uint64();
      else reader.skip();
    }
  }
}
