// What the requests of the Lease service mean, before they are proposed and when they are applied. Answers are written
// whole, header included, into the writer given; on members that owe nobody an answer it is null.
//
//   client request ──prepareGrant──> log entry ──applyGrant──> answer
//
// Everything that differs between members (which TTL is too short, a fresh id) is decided before the proposal, so that
// the entry means the same on all of them. Expired leases end by the same LeaseRevoke entries as a client's, or many in
// one private entry: message LeaseRevokeBatch { repeated LeaseRevokeRequest revokes = 1 }, each lease still in a
// revision of its own.

import type { ByteWriter } from "../base/byte-writer.ts";
import { varint64SizeBytes, varintSizeBytes } from "../base/byte-writer.ts";
import type { Prng } from "../base/prng.ts";
import type { HeaderSource } from "../wire/header.ts";
import { writeHeader } from "../wire/header.ts";
import { LeaseGrantFields, LeaseIdFields } from "../wire/hot.ts";
import { ProtoReader } from "../wire/reader.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import type { LeaseIds, Lessor } from "./lessor.ts";
import { LEASE_TTL_SECONDS_MAX } from "./lessor.ts";

/** What revoking needs of the store. */
export interface LeaseStore {
  readonly revision: number;
  beginRevision(): void;
  endRevision(): number;
  /** Deletes a live key; the store detaches it from its lease. */
  deleteKey(keyId: number): void;
  /** Order of two keys' bytes. */
  compareKeys(a: number, b: number): number;
  keySizeBytes(keyId: number): number;
  writeKey(writer: ByteWriter, keyId: number): void;
}

export class LeaseRequests {
  /** Of the lease that was granted last. */
  grantedTtlSeconds = 0;
  readonly #lessor: Lessor;
  readonly #store: LeaseStore;
  readonly #header: HeaderSource;
  readonly #grant = new LeaseGrantFields();
  readonly #id = new LeaseIdFields();
  readonly #reader = new ProtoReader();
  readonly #checkpointReader = new ProtoReader();

  constructor(lessor: Lessor, store: LeaseStore, header: HeaderSource) {
    this.#lessor = lessor;
    this.#store = store;
    this.#header = header;
  }

  /** Checks a LeaseGrantRequest and writes the one to propose: with an id, and a TTL that is not too short. */
  // oxlint-disable-next-line max-params -- (bytes, start, end) are one argument in three numbers
  prepareGrant(
    bytes: Uint8Array,
    start: number,
    end: number,
    out: ByteWriter,
    random: Prng,
  ): Status | undefined {
    const fields = this.#grant;
    fields.parse(bytes, start, end);
    if (fields.ttlSeconds > LEASE_TTL_SECONDS_MAX) return STATUS.leaseTtlTooLarge;
    let hi = fields.leaseHi;
    let lo = fields.leaseLo;
    while (
      (hi | lo) === 0 ||
      (fields.leaseHi === 0 && fields.leaseLo === 0 && this.#lessor.find(hi, lo) >= 0)
    ) {
      hi = random.uint32() & 0x7fffffff; // ids that we choose are positive
      lo = random.uint32();
    }
    out.byte(0x08);
    out.varint(Math.max(fields.ttlSeconds, this.#lessor.ttlSecondsMin));
    out.byte(0x10);
    out.varint64(hi, lo);
    return undefined;
  }

  // oxlint-disable-next-line max-params -- (bytes, start, end) are one argument in three numbers
  applyGrant(
    bytes: Uint8Array,
    start: number,
    end: number,
    nowMs: number,
    reply: ByteWriter | null,
  ): Status | undefined {
    const fields = this.#grant;
    fields.parse(bytes, start, end);
    const { leaseHi, leaseLo, ttlSeconds } = fields;
    if (ttlSeconds > LEASE_TTL_SECONDS_MAX) return STATUS.leaseTtlTooLarge;
    if ((leaseHi | leaseLo) === 0) return STATUS.leaseNotFound;
    if (this.#lessor.find(leaseHi, leaseLo) >= 0) return STATUS.leaseExists;
    // Not this member's minimum: the proposer applied its own, and all members must come to the same TTL.
    this.grantedTtlSeconds = Math.max(ttlSeconds, 1);
    this.#lessor.grant(leaseHi, leaseLo, this.grantedTtlSeconds, nowMs);
    if (reply !== null) this.#writeIdAndTtl(reply, leaseHi, leaseLo, this.grantedTtlSeconds);
    return undefined;
  }

  /** Throws WireError when a LeaseRevokeRequest is malformed: nothing malformed may reach the log. */
  checkRevoke(bytes: Uint8Array, start: number, end: number): void {
    this.#id.parse(bytes, start, end);
  }

  applyRevoke(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status | undefined {
    const fields = this.#id;
    fields.parse(bytes, start, end);
    if (!this.#revoke(fields.leaseHi, fields.leaseLo)) return STATUS.leaseNotFound;
    if (reply !== null) writeHeader(reply, this.#header, this.#store.revision);
    return undefined;
  }

  /** Returns how many of its leases existed. */
  applyRevokeBatch(bytes: Uint8Array, start: number, end: number): number {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let count = 0;
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number !== 1) {
        reader.skip();
        continue;
      }
      reader.chunk();
      this.#id.parse(bytes, reader.chunkStart, reader.chunkEnd);
      if (this.#revoke(this.#id.leaseHi, this.#id.leaseLo)) count++;
    }
    return count;
  }

  /** A LeaseCheckpointRequest: message LeaseCheckpoint { 1 ID, 2 remaining_TTL } repeated in field 1. */
  applyCheckpoint(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number !== 1) {
        reader.skip();
        continue;
      }
      reader.chunk();
      this.#applyCheckpointOf(bytes, reader.chunkStart, reader.chunkEnd);
    }
  }

  // oxlint-disable-next-line max-params -- (bytes, start, end) are one argument in three numbers
  timeToLive(bytes: Uint8Array, start: number, end: number, nowMs: number, reply: ByteWriter): void {
    const fields = this.#id;
    fields.parse(bytes, start, end);
    const { leaseHi, leaseLo } = fields;
    const slot = this.#lessor.find(leaseHi, leaseLo);
    if (slot < 0) return this.#writeIdAndTtl(reply, leaseHi, leaseLo, -1);
    this.#writeIdAndTtl(reply, leaseHi, leaseLo, this.#lessor.remainingSeconds(slot, nowMs));
    reply.byte(0x20);
    reply.varint(this.#lessor.table.ttlSeconds(slot));
    if (!fields.keys) return;
    for (const keyId of this.#sortedKeys(slot)) {
      reply.byte(0x2a);
      reply.varint(this.#store.keySizeBytes(keyId));
      this.#store.writeKey(reply, keyId);
    }
  }

  leases(nowMs: number, reply: ByteWriter): void {
    const { table } = this.#lessor;
    writeHeader(reply, this.#header, this.#store.revision);
    for (const slot of this.#lessor.listByRemaining(nowMs)) {
      const hi = table.idHi(slot);
      const lo = table.idLo(slot);
      reply.byte(0x12);
      reply.byte(1 + varint64SizeBytes(hi, lo));
      reply.byte(0x08);
      reply.varint64(hi, lo);
    }
  }

  /** One answer of the keep-alive stream; TTL 0 says that the lease is gone. */
  writeKeepAlive(reply: ByteWriter, hi: number, lo: number, ttlSeconds: number): void {
    this.#writeIdAndTtl(reply, hi, lo, ttlSeconds);
  }

  #applyCheckpointOf(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#checkpointReader;
    let hi = 0;
    let lo = 0;
    let remainder = 0;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === 1) {
        reader.varint64();
        hi = reader.hi;
        lo = reader.lo;
      } else if (number === 2) remainder = reader.int64();
      else reader.skip();
    }
    this.#lessor.applyCheckpoint(hi, lo, remainder);
  }

  /** All keys in one revision, in their order (L4); a lease without keys makes none. */
  #revoke(hi: number, lo: number): boolean {
    const slot = this.#lessor.find(hi, lo);
    if (slot < 0) return false;
    if (this.#lessor.table.keyCount(slot) > 0) {
      const keyIds = this.#sortedKeys(slot);
      this.#store.beginRevision();
      for (const keyId of keyIds) this.#store.deleteKey(keyId);
      this.#store.endRevision();
    }
    this.#lessor.remove(slot);
    return true;
  }

  #sortedKeys(slot: number): number[] {
    const { table } = this.#lessor;
    const keyIds: number[] = [];
    for (let link = table.firstKey(slot); link !== 0; link = table.keys.next(link)) keyIds.push(link - 1);
    // The list is newest first; keys are often put in order, and a run in order costs one comparison a key.
    return keyIds.length < 2 ? keyIds : keyIds.reverse().sort((a, b) => this.#store.compareKeys(a, b));
  }

  /** Header, 2 ID, 3 TTL: the start of most answers of this service. */
  #writeIdAndTtl(reply: ByteWriter, hi: number, lo: number, ttlSeconds: number): void {
    writeHeader(reply, this.#header, this.#store.revision);
    if ((hi | lo) !== 0) {
      reply.byte(0x10);
      reply.varint64(hi, lo);
    }
    if (ttlSeconds === 0) return;
    reply.byte(0x18);
    reply.int64(ttlSeconds);
  }
}

/** The LeaseRevokeRequest that ends one lease. */
export function writeRevoke(out: ByteWriter, hi: number, lo: number): void {
  out.byte(0x08);
  out.varint64(hi, lo);
}

/** The LeaseRevokeBatch that ends all of these leases. */
export function writeRevokeBatch(out: ByteWriter, ids: LeaseIds): void {
  for (let i = 0; i < ids.count; i++) {
    out.byte(0x0a);
    out.byte(1 + varint64SizeBytes(ids.hi[i]!, ids.lo[i]!));
    writeRevoke(out, ids.hi[i]!, ids.lo[i]!);
  }
}

/** The LeaseCheckpointRequest with these remainders; 0, which clears one, is left out as proto3 does. */
export function writeCheckpoint(out: ByteWriter, ids: LeaseIds): void {
  for (let i = 0; i < ids.count; i++) {
    const hi = ids.hi[i]!;
    const lo = ids.lo[i]!;
    const remainder = ids.remainder[i]!;
    out.byte(0x0a);
    out.byte(1 + varint64SizeBytes(hi, lo) + (remainder === 0 ? 0 : 1 + varintSizeBytes(remainder)));
    writeRevoke(out, hi, lo);
    if (remainder === 0) continue;
    out.byte(0x10);
    out.varint(remainder);
  }
}
