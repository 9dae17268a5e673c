// Branded numbers, so that a term cannot be passed for an index (design D7).
//
// Our own terms, indexes and revisions are `number`: at a million writes a second 2^53 lasts 285 years. 64-bit
// integers of requests saturate at +-2^53 where they are compared (a revision of 2^62 is legal and lies in the future).
// Member, cluster, lease and watch ids are random 64-bit patterns that must round-trip exactly: inside they are two
// unsigned 32-bit halves, `hi` and `lo`, each a `number` in [0, 2^32).

declare const brand: unique symbol;
export type Brand<Base, Name extends string> = Base & { readonly [brand]?: Name };

/** A Raft term; 0 means "none yet". */
export type Term = Brand<number, "Term">;
/** A position in the Raft log, from 1; 0 means "before the first". */
export type LogIndex = Brand<number, "LogIndex">;
/** An MVCC revision; a fresh store is at 1. */
export type Revision = Brand<number, "Revision">;
/** Milliseconds of a monotonic clock; only differences mean anything. */
export type Milliseconds = Brand<number, "Milliseconds">;

/** A 64-bit identifier as two unsigned halves. Immutable; for hot paths pass the halves themselves. */
export interface Id64 {
  readonly hi: number;
  readonly lo: number;
}

export const ID64_ZERO: Id64 = { hi: 0, lo: 0 };

export function id64(hi: number, lo: number): Id64 {
  return { hi: hi >>> 0, lo: lo >>> 0 };
}

export function id64Equal(a: Id64, b: Id64): boolean {
  return a.hi === b.hi && a.lo === b.lo;
}

/** Order of the unsigned 64-bit values. */
export function id64Compare(a: Id64, b: Id64): number {
  return a.hi - b.hi || a.lo - b.lo;
}

/** Lower-case hexadecimal without leading zeros, as etcd prints ids. */
export function id64Hex(id: Id64): string {
  if (id.hi === 0) return id.lo.toString(16);
  return id.hi.toString(16) + id.lo.toString(16).padStart(8, "0");
}

/** Parses what `id64Hex` prints; `undefined` when it is not 1 to 16 hexadecimal digits. */
export function parseId64Hex(text: string): Id64 | undefined {
  if (!/^[0-9a-fA-F]{1,16}$/.test(text)) return undefined;
  const padded = text.padStart(16, "0");
  return id64(Number.parseInt(padded.slice(0, 8), 16), Number.parseInt(padded.slice(8), 16));
}

export function id64ToBigInt(id: Id64): bigint {
  return (BigInt(id.hi) << 32n) | BigInt(id.lo);
}

/** Takes signed and unsigned values alike. */
export function id64FromBigInt(value: bigint): Id64 {
  const bits = BigInt.asUintN(64, value);
  return { hi: Number(bits >> 32n), lo: Number(bits & 0xffffffffn) };
}

/** The largest integer that a request's int64 is compared as; larger ones saturate here. */
export const INT64_SATURATED_MAX = Number.MAX_SAFE_INTEGER;

/** A two's complement int64 given as halves, saturated at +-(2^53 - 1). */
export function int64Saturated(hi: number, lo: number): number {
  const value = (hi | 0) * 4294967296 + (lo >>> 0);
  if (value > INT64_SATURATED_MAX) return INT64_SATURATED_MAX;
  if (value < -INT64_SATURATED_MAX) return -INT64_SATURATED_MAX;
  return value;
}
