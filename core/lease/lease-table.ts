// Every lease this member knows: one row of 16 numbers outside the heap, found by id. What is replicated (id, TTL,
// checkpointed remainder, keys) is set by applied entries and equal on all members; expiry, wheel, flags and epoch belong
// to the primary, the leader's lessor, alone (lessor.ts).

import { assert } from "../base/assert.ts";
import { ChainIndex, hashId } from "../base/chain-index.ts";
import { Rows } from "../base/rows.ts";
import { LeaseKeys } from "./lease-keys.ts";

const ID_HI = 0;
const ID_LO = 1;
/** Granted TTL, seconds; two fields, since 9,000,000,000 is allowed. */
const TTL = 2;
/** Checkpointed remainder, seconds; 0: none, a new primary grants the full TTL. Two fields. */
const REMAINDER = 4;
/** When the lease ends, milliseconds of the primary's clock; valid in its epoch only. Two fields. */
const EXPIRY = 6;
/** Three fields of the deadline wheel. */
export const WHEEL = 8;
/** Link of the first key; LeaseKeys has the rest. */
const FIRST_KEY = 11;
const KEY_COUNT = 12;
const ID_NEXT = 13;
const FLAGS = 14;
/** The promotion in which expiry and the primary's flags were set; an older one means that they are void. */
const EPOCH = 15;
const FIELD_COUNT = 16;

export const FLAG_LIVE = 1;
/** Handed out as expired; its revocation is proposed. */
export const FLAG_REVOKING = 2;
/** A checkpoint with its remainder is proposed and not applied yet. */
export const FLAG_CHECKPOINTING = 4;
/** An entry that clears its remainder is, or will be, proposed and is not applied yet. */
export const FLAG_CLEARING = 8;
/** Which image it was last written into, see lease-image.ts. */
export const FLAG_IMAGE = 16;
/** Those that are void in another epoch. */
const FLAGS_OF_EPOCH = FLAG_REVOKING | FLAG_CHECKPOINTING | FLAG_CLEARING;

export class LeaseTable {
  readonly rows = new Rows(FIELD_COUNT);
  readonly keys = new LeaseKeys();
  readonly #ids: ChainIndex;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    this.#ids = new ChainIndex(this.rows, ID_NEXT, (slot) =>
      hashId(this.rows.get(slot, ID_HI) >>> 0, this.rows.get(slot, ID_LO) >>> 0, this.#seed),
    );
  }

  get count(): number {
    return this.rows.count;
  }

  get sizeBytes(): number {
    return this.rows.sizeBytes + this.#ids.sizeBytes;
  }

  /** The slot of this id, -1 when there is no such lease. */
  find(hi: number, lo: number): number {
    const rows = this.rows;
    let slot = this.#ids.first(hashId(hi, lo, this.#seed));
    while (slot !== 0) {
      if (rows.get(slot, ID_LO) === (lo | 0) && rows.get(slot, ID_HI) === (hi | 0)) return slot;
      slot = this.#ids.next(slot);
    }
    return -1;
  }

  add(hi: number, lo: number, ttlSeconds: number): number {
    assert(this.find(hi, lo) < 0, "a lease is added once");
    assert((hi | lo) !== 0, "0 means no lease");
    const slot = this.rows.allocate();
    this.rows.set(slot, ID_HI, hi);
    this.rows.set(slot, ID_LO, lo);
    this.rows.setWide(slot, TTL, ttlSeconds);
    this.rows.set(slot, FLAGS, FLAG_LIVE);
    this.#ids.add(hashId(hi, lo, this.#seed), slot);
    return slot;
  }

  remove(slot: number): void {
    assert(this.isLive(slot), "only a lease that exists is removed");
    assert(this.keyCount(slot) === 0, "a lease goes after its keys");
    this.#ids.remove(hashId(this.idHi(slot), this.idLo(slot), this.#seed), slot);
    this.rows.release(slot);
  }

  idHi(slot: number): number {
    return this.rows.get(slot, ID_HI) >>> 0;
  }

  idLo(slot: number): number {
    return this.rows.get(slot, ID_LO) >>> 0;
  }

  ttlSeconds(slot: number): number {
    return this.rows.wide(slot, TTL);
  }

  remainderSeconds(slot: number): number {
    return this.rows.wide(slot, REMAINDER);
  }

  setRemainder(slot: number, seconds: number): void {
    this.rows.setWide(slot, REMAINDER, seconds);
  }

  keyCount(slot: number): number {
    return this.rows.get(slot, KEY_COUNT);
  }

  /** Link of the first key, 0 for none; the key id is the link less one, and `keys.next(link)` follows. */
  firstKey(slot: number): number {
    return this.rows.get(slot, FIRST_KEY);
  }

  attach(slot: number, keyId: number): void {
    assert(this.isLive(slot), "a key is put on a lease that exists");
    this.rows.set(slot, FIRST_KEY, this.keys.insert(this.rows.get(slot, FIRST_KEY), keyId));
    this.rows.set(slot, KEY_COUNT, this.rows.get(slot, KEY_COUNT) + 1);
  }

  detach(slot: number, keyId: number): void {
    assert(this.keyCount(slot) > 0, "a key is taken off the lease it is on");
    this.rows.set(slot, FIRST_KEY, this.keys.remove(this.rows.get(slot, FIRST_KEY), keyId));
    this.rows.set(slot, KEY_COUNT, this.rows.get(slot, KEY_COUNT) - 1);
  }

  isLive(slot: number): boolean {
    return (this.rows.get(slot, FLAGS) & FLAG_LIVE) !== 0;
  }

  has(slot: number, flag: number): boolean {
    return (this.rows.get(slot, FLAGS) & flag) !== 0;
  }

  flag(slot: number, flag: number): void {
    this.rows.set(slot, FLAGS, this.rows.get(slot, FLAGS) | flag);
  }

  unflag(slot: number, flag: number): void {
    this.rows.set(slot, FLAGS, this.rows.get(slot, FLAGS) & ~flag);
  }

  epoch(slot: number): number {
    return this.rows.get(slot, EPOCH);
  }

  expiryMs(slot: number): number {
    return this.rows.wide(slot, EXPIRY);
  }

  setExpiry(slot: number, expiryMs: number): void {
    this.rows.setWide(slot, EXPIRY, expiryMs);
  }

  /** Makes the row's expiry one of this epoch, with none of the flags of an earlier one. */
  enterEpoch(slot: number, epoch: number, expiryMs: number): void {
    this.rows.set(slot, EPOCH, epoch);
    this.rows.setWide(slot, EXPIRY, expiryMs);
    this.unflag(slot, FLAGS_OF_EPOCH);
  }
}
