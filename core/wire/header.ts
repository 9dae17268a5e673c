// The response header, first field of nearly every answer: message ResponseHeader { 1 cluster_id, 2 member_id, 3 revision,
// 4 raft_term }, all varints, zero ones left out.

import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";

/** Who answers, and in which term. The member updates `term`; the rest is constant. */
export interface HeaderSource {
  readonly clusterHi: number;
  readonly clusterLo: number;
  readonly memberHi: number;
  readonly memberLo: number;
  term: number;
}

const TAG_HEADER = 0x0a;

/** Writes the whole field 1 of a response, tag included. Revision 0 is left out, as in answers of the Cluster service. */
export function writeHeader(writer: ByteWriter, source: HeaderSource, revision: number): void {
  writer.ensure(48);
  writer.byte(TAG_HEADER);
  // At most 44 bytes follow, so that the length takes one byte, filled in afterwards.
  writer.byte(0);
  const start = writer.position;
  if ((source.clusterHi | source.clusterLo) !== 0) {
    writer.byte(0x08);
    writer.varint64(source.clusterHi, source.clusterLo);
  }
  if ((source.memberHi | source.memberLo) !== 0) {
    writer.byte(0x10);
    writer.varint64(source.memberHi, source.memberLo);
  }
  if (revision !== 0) {
    writer.byte(0x18);
    writer.int64(revision);
  }
  if (source.term !== 0) {
    writer.byte(0x20);
    writer.varint(source.term);
  }
  writer.bytes[start - 1] = writer.position - start;
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
