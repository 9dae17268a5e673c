// The response header, first field of nearly every answer: message ResponseHeader { 1 cluster_id, 2 member_id, 3 revision,
// 4 raft_term }, all varints, zero ones left out.

import { ByteWriter, varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import type { Id64 } from "../base/ids.ts";

/** Who answers, and in which term. The member updates `term`; the rest is constant. */
export interface HeaderSource {
  readonly clusterHi: number;
  readonly clusterLo: number;
  readonly memberHi: number;
  readonly memberLo: number;
  term: number;
}

const TAG_HEADER = 0x0a;

/** What the headers of a member's answers say; its term changes. */
export function headerSource(clusterId: Id64, memberId: Id64, term: number): HeaderSource {
  return {
    clusterHi: clusterId.hi,
    clusterLo: clusterId.lo,
    memberHi: memberId.hi,
    memberLo: memberId.lo,
    term,
  };
}

/** The ids of the source that wrote last, encoded: they never change, and are half of the work (a header: 95 ns without, 55 with). */
let encodedSource: HeaderSource | undefined;
const encodedIds = new ByteWriter(32);

/** Writes the whole field 1 of a response, tag included. Revision 0 is left out, as in answers of the Cluster service. */
export function writeHeader(writer: ByteWriter, source: HeaderSource, revision: number): void {
  if (source !== encodedSource) encodeIds(source);
  writer.ensure(48);
  const bytes = writer.bytes;
  const start = writer.position + 2;
  bytes[start - 2] = TAG_HEADER;
  const idsSizeBytes = encodedIds.position;
  const ids = encodedIds.bytes;
  for (let i = 0; i < idsSizeBytes; i++) bytes[start + i] = ids[i]!;
  writer.position = start + idsSizeBytes;
  if (revision !== 0) {
    writer.byte(0x18);
    writer.int64(revision);
  }
  if (source.term !== 0) {
    writer.byte(0x20);
    writer.varint(source.term);
  }
  // At most 44 bytes, so that the length takes one.
  bytes[start - 1] = writer.position - start;
}

function encodeIds(source: HeaderSource): void {
  encodedIds.reset();
  if ((source.clusterHi | source.clusterLo) !== 0) {
    encodedIds.byte(0x08);
    encodedIds.varint64(source.clusterHi, source.clusterLo);
  }
  if ((source.memberHi | source.memberLo) !== 0) {
    encodedIds.byte(0x10);
    encodedIds.varint64(source.memberHi, source.memberLo);
  }
  encodedSource = source;
}

/** Bytes that writeHeader() writes. */
export function headerSizeBytes(source: HeaderSource, revision: number): number {
  let size = 2;
  if ((source.clusterHi | source.clusterLo) !== 0)
    size += 1 + varint64SizeBytes(source.clusterHi, source.clusterLo);
  if ((source.memberHi | source.memberLo) !== 0)
    size += 1 + varint64SizeBytes(source.memberHi, source.memberLo);
  if (revision !== 0) size += 1 + (revision < 0 ? 10 : varintSizeBytes(revision));
  if (source.term !== 0) size += 1 + varintSizeBytes(source.term);
  return size;
}

/** The header of an answer inside a transaction: nothing but the revision. */
export function writeRevisionHeader(writer: ByteWriter, revision: number): void {
  writer.ensure(16);
  writer.byte(TAG_HEADER);
  writer.byte(0);
  const start = writer.position;
  if (revision !== 0) {
    writer.byte(0x18);
    writer.int64(revision);
  }
  writer.bytes[start - 1] = writer.position - start;
}

/** Bytes that writeRevisionHeader() writes. */
export function revisionHeaderSizeBytes(revision: number): number {
  return revision === 0 ? 2 : 3 + (revision < 0 ? 10 : varintSizeBytes(revision));
}
