// The leases: who holds what until when (facts: etcd API "Lease"; L1-L5 of the reliability catalogue).
//
//   all members    grant, revoke, attach, detach, checkpoint: applied entries, the same everywhere
//   the primary    = the leader's lessor: knows when a lease ends, renews, hands out what expired
//
// Only the primary lets leases end (L1): a follower has no deadlines at all. promote() opens an epoch in which every
// lease ends after its checkpointed remainder, or its full TTL where there is none, plus an extension. That costs
// nothing at the moment of promotion: a row whose epoch is older computes its end, and a walk in slices puts the rows
// into the wheel. demote() voids all marks in the same way.
//
// Remainders. From time to time, and before leadership is handed over, leases that were not renewed meanwhile have their
// remainder written into the log, so that none lives for ever through changes of leader. A renewal of such a lease could
// be forgotten by the next leader, and therefore counts only when an entry that clears the remainder was applied:
//
//   none ──takeCheckpoint──> proposed ──applied──> remainder ──renew──> clearing ──applied──> none
//                               └────────────renew: "needs-clear"──────────┘
//
// A keep-alive may be answered only after the member has confirmed that it still leads (L2); that is the member's part.

import { assert } from "../base/assert.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { stableOrder } from "../base/stable-order.ts";
import { DeadlineWheel } from "./deadline-wheel.ts";
import type { LeaseHooks } from "../mvcc/lease-hooks.ts";
import { LeaseImage } from "./lease-image.ts";
import { FLAG_CHECKPOINTING, FLAG_CLEARING, FLAG_REVOKING, LeaseTable, WHEEL } from "./lease-table.ts";

/** etcd's upper bound, 285 years; above it "too large lease TTL". */
export const LEASE_TTL_SECONDS_MAX = 9_000_000_000;

/**
 * - renewed: answer `renewedTtlSeconds`, once leadership is confirmed.
 * - needs-clear: ask again when the next checkpoint entry is applied; `clearCount` > 0 tells that one must be proposed.
 * - expired: its end has come but the revocation is not applied yet; ask again when one is.
 * - unknown: answer TTL 0.
 * - not-primary: this member does not lead.
 */
export type Renewal = "renewed" | "needs-clear" | "expired" | "unknown" | "not-primary";

export interface LessorOptions {
  /** Shorter TTLs are raised to it: ceil(1.5 x election timeout) = 2 s by default. */
  readonly ttlSecondsMin: number;
  /** Secret, so that clients cannot choose lease ids that collide in the index. */
  readonly seed: number;
  /** How often remainders are written, of the leases that were not renewed since the time before. */
  readonly checkpointMs: number;
  /** Rows that one call of takeExpired or takeCheckpoint looks at, at most. */
  readonly sliceRowCount: number;
  /** Keys of the leases that one call of takeExpired hands out together, unless a single lease has more. */
  readonly sliceKeyCount: number;
}

export const DEFAULT_LESSOR_OPTIONS: LessorOptions = {
  ttlSecondsMin: 2,
  seed: 0,
  checkpointMs: DEFAULT_LIMITS.leaseCheckpointMs,
  sliceRowCount: 4_096, // about 1 ms
  sliceKeyCount: 4_096, // a deletion costs about 1 us
};

/** Leases handed out: `count` of them in the first places. Reused by the next call. */
export class LeaseIds {
  count = 0;
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  /** Seconds; only of takeCheckpoint. */
  readonly remainder: Float64Array;

  constructor(capacity: number) {
    this.hi = new Uint32Array(capacity);
    this.lo = new Uint32Array(capacity);
    this.remainder = new Float64Array(capacity);
  }

  get isFull(): boolean {
    return this.count === this.hi.length;
  }

  push(hi: number, lo: number, remainder: number): void {
    this.hi[this.count] = hi;
    this.lo[this.count] = lo;
    this.remainder[this.count] = remainder;
    this.count++;
  }
}

type CheckpointRound = { readonly kind: "idle" } | { readonly kind: "running"; readonly handOver: boolean };
const ROUND_IDLE: CheckpointRound = { kind: "idle" };
const ROUND_PERIODIC: CheckpointRound = { kind: "running", handOver: false };
const ROUND_HAND_OVER: CheckpointRound = { kind: "running", handOver: true };

export class Lessor implements LeaseHooks {
  readonly table: LeaseTable;
  /** Copies of the replicated part, for checkpoints and snapshots. */
  readonly image: LeaseImage;
  readonly #options: LessorOptions;
  readonly #wheel: DeadlineWheel;
  #isPrimary = false;
  /** Counts promotions. */
  #epoch = 0;
  /** Rows of older epochs end this long after the start of the clock, plus remainder or TTL. */
  #promotedMs = 0;
  /** The next row that the walk after a promotion puts into the wheel. */
  #walkSlot = 0;
  #round: CheckpointRound = ROUND_IDLE;
  #roundSlot = 0;
  #roundNextMs = Infinity;
  /** When the last round began, or the promotion with its extension: what was renewed later is left out of the next. */
  #roundPreviousMs = 0;
  /** Leases whose remainder must be cleared by an entry that is not proposed yet. */
  readonly #clearHi: number[] = [];
  readonly #clearLo: number[] = [];
  /** Of the last renew() that said "renewed". */
  renewedTtlSeconds = 0;

  constructor(options: LessorOptions = DEFAULT_LESSOR_OPTIONS) {
    assert(options.ttlSecondsMin > 0, "the least TTL is positive");
    this.#options = options;
    this.table = new LeaseTable(options.seed);
    this.image = new LeaseImage(this.table);
    this.#wheel = new DeadlineWheel(this.table.rows, WHEEL, (slot) => this.#expiryOf(slot));
  }

  get count(): number {
    return this.table.count;
  }

  get isPrimary(): boolean {
    return this.#isPrimary;
  }

  get ttlSecondsMin(): number {
    return this.#options.ttlSecondsMin;
  }

  /** The slot of this id, -1 when there is no such lease. */
  find(hi: number, lo: number): number {
    return this.table.find(hi, lo);
  }

  attach(slot: number, keyId: number): void {
    this.table.attach(slot, keyId);
  }

  detach(slot: number, keyId: number): void {
    this.table.detach(slot, keyId);
  }

  // What applied entries do.

  /** Adds a lease that does not exist; the TTL is taken as it is (lease-requests.ts has the rules). */
  grant(hi: number, lo: number, ttlSeconds: number, nowMs: number): number {
    assert(ttlSeconds > 0 && ttlSeconds <= LEASE_TTL_SECONDS_MAX, "the TTL was checked before");
    const slot = this.table.add(hi, lo, ttlSeconds);
    this.image.skip(slot);
    if (this.#isPrimary) {
      this.table.enterEpoch(slot, this.#epoch, Math.ceil(nowMs) + ttlSeconds * 1000);
      this.#wheel.insert(slot);
    }
    return slot;
  }

  /** Removes a lease whose keys are gone. */
  remove(slot: number): void {
    this.image.beforeChange(slot);
    if (this.#wheel.has(slot)) this.#wheel.remove(slot);
    this.table.remove(slot);
  }

  /** Sets the remainder a new primary would grant; 0 clears it. Unknown leases are passed over. */
  applyCheckpoint(hi: number, lo: number, remainderSeconds: number): void {
    const slot = this.table.find(hi, lo);
    if (slot < 0) return;
    this.image.beforeChange(slot);
    this.#settle(slot); // its end must not follow the new remainder
    this.table.setRemainder(slot, Math.min(Math.max(remainderSeconds, 0), this.table.ttlSeconds(slot)));
    this.table.unflag(slot, remainderSeconds > 0 ? FLAG_CHECKPOINTING : FLAG_CHECKPOINTING | FLAG_CLEARING);
  }

  // The primary.

  /**
   * This member leads from now on. To be called when everything up to the first entry of its own term is applied:
   * revocations and checkpoints of earlier leaders come before.
   */
  promote(nowMs: number, extensionMs: number): void {
    assert(!this.#isPrimary, "a primary is not promoted");
    this.#isPrimary = true;
    this.#epoch++;
    this.#promotedMs = Math.ceil(nowMs + extensionMs);
    this.#walkSlot = 1;
    this.#round = ROUND_IDLE;
    this.#roundPreviousMs = this.#promotedMs;
    this.#roundNextMs = nowMs + this.#options.checkpointMs;
    this.#clearHi.length = 0;
    this.#clearLo.length = 0;
  }

  demote(): void {
    this.#isPrimary = false;
    this.#round = ROUND_IDLE;
    this.#roundNextMs = Infinity;
    this.#clearHi.length = 0;
    this.#clearLo.length = 0;
  }

  renew(hi: number, lo: number, nowMs: number): Renewal {
    if (!this.#isPrimary) return "not-primary";
    const slot = this.table.find(hi, lo);
    if (slot < 0) return "unknown";
    this.#settle(slot);
    const expiryMs = this.table.expiryMs(slot);
    if (this.table.has(slot, FLAG_REVOKING) || expiryMs <= nowMs) return "expired";
    const ttlSeconds = this.table.ttlSeconds(slot);
    this.#moveExpiry(slot, expiryMs, Math.ceil(nowMs) + ttlSeconds * 1000);
    if (this.table.has(slot, FLAG_CLEARING)) return "needs-clear";
    if (this.table.remainderSeconds(slot) > 0 || this.table.has(slot, FLAG_CHECKPOINTING)) {
      this.table.flag(slot, FLAG_CLEARING);
      this.#clearHi.push(hi);
      this.#clearLo.push(lo);
      return "needs-clear";
    }
    this.renewedTtlSeconds = ttlSeconds;
    return "renewed";
  }

  /** Whole seconds until the lease ends, truncated, never negative. A member that does not lead knows the TTL only. */
  remainingSeconds(slot: number, nowMs: number): number {
    return Math.max(0, Math.floor((this.#orderMs(slot, nowMs) - nowMs) / 1000));
  }

  /**
   * Leases whose end has come, marked so that they are handed out once, in bounded portions: call it again while
   * `nextDeadlineMs()` has passed. When a revocation could not be proposed after all, `release` puts the lease back.
   */
  takeExpired(nowMs: number, out: LeaseIds): void {
    out.count = 0;
    if (!this.#isPrimary) return;
    this.#wheel.work = this.#options.sliceRowCount;
    if (this.#walkSlot !== 0) return this.#walk();
    let keyCount = 0;
    while (!out.isFull && keyCount < this.#options.sliceKeyCount) {
      const slot = this.#wheel.take(nowMs);
      if (slot === 0) return;
      this.#settle(slot);
      assert(!this.table.has(slot, FLAG_REVOKING), "an expired lease is handed out once");
      this.table.flag(slot, FLAG_REVOKING);
      keyCount += this.table.keyCount(slot);
      out.push(this.table.idHi(slot), this.table.idLo(slot), 0);
    }
  }

  /** Its revocation was not proposed: it is handed out again. */
  release(hi: number, lo: number): void {
    const slot = this.table.find(hi, lo);
    if (slot < 0 || !this.table.has(slot, FLAG_REVOKING)) return;
    this.table.unflag(slot, FLAG_REVOKING);
    if (this.#isPrimary && !this.#wheel.has(slot)) this.#wheel.insert(slot);
  }

  /** When takeExpired or takeCheckpoint has something to do; not after the true time, maybe before. */
  nextDeadlineMs(): number {
    if (!this.#isPrimary) return Infinity;
    if (this.#walkSlot !== 0 || this.#round.kind === "running") return 0;
    return Math.min(this.#wheel.nextMs(), this.#roundNextMs);
  }

  // Checkpoints of remainders.

  /**
   * Before leadership is handed over: the next calls of takeCheckpoint carry whatever was not renewed just now, until
   * `isHandingOver` is false again. What cannot be proposed is left to the next round.
   */
  beginHandOver(): void {
    assert(this.#isPrimary, "only the primary hands over");
    this.#round = ROUND_HAND_OVER;
    this.#roundSlot = 1;
  }

  get isHandingOver(): boolean {
    return this.#round === ROUND_HAND_OVER;
  }

  /** Whether remainders are still to be taken: a round is due or not finished. */
  checkpointDue(nowMs: number): boolean {
    return this.#isPrimary && (this.#round.kind === "running" || nowMs >= this.#roundNextMs);
  }

  /** The next portion of remainders to propose; may be empty while the round goes on (see `checkpointDue`). */
  takeCheckpoint(nowMs: number, out: LeaseIds): void {
    out.count = 0;
    if (!this.checkpointDue(nowMs)) return;
    if (this.#round.kind === "idle") {
      this.#round = ROUND_PERIODIC;
      this.#roundSlot = 1;
    }
    const handOver = this.#round === ROUND_HAND_OVER;
    let rowCount = this.#options.sliceRowCount;
    const end = this.table.rows.end;
    while (this.#roundSlot < end) {
      if (rowCount-- === 0 || out.isFull) return;
      const slot = this.#roundSlot++;
      if (!this.table.isLive(slot)) continue;
      this.#settle(slot);
      if (this.#isForCheckpoint(slot, nowMs, handOver)) this.#checkpoint(slot, nowMs, out);
    }
    this.#round = ROUND_IDLE;
    this.#roundPreviousMs = nowMs;
    this.#roundNextMs = nowMs + this.#options.checkpointMs;
  }

  /** Clearing entries to propose. */
  get clearCount(): number {
    return this.#clearHi.length;
  }

  /** Takes them, up to the capacity of `out`. They must be proposed: renewals wait for them. */
  takeClears(out: LeaseIds): void {
    out.count = 0;
    while (!out.isFull && this.#clearHi.length > 0) out.push(this.#clearHi.pop()!, this.#clearLo.pop()!, 0);
  }

  /** Remainders or clears that could not be proposed after all: they are taken again. */
  putBack(ids: LeaseIds): void {
    for (let i = 0; i < ids.count; i++) {
      const hi = ids.hi[i]!;
      const lo = ids.lo[i]!;
      const slot = this.table.find(hi, lo);
      if (slot < 0 || !this.#isPrimary || this.table.epoch(slot) !== this.#epoch) continue;
      if (ids.remainder[i]! > 0) this.table.unflag(slot, FLAG_CHECKPOINTING);
      else {
        this.#clearHi.push(hi);
        this.#clearLo.push(lo);
      }
    }
  }

  /** The slots of all leases, those that end first first; for LeaseLeases. */
  listByRemaining(nowMs: number): Uint32Array {
    const { end } = this.table.rows;
    const slots = new Uint32Array(this.count);
    const times = new Float64Array(this.count);
    let count = 0;
    for (let slot = 1; slot < end; slot++) {
      if (!this.table.isLive(slot)) continue;
      slots[count] = slot;
      times[count++] = Math.floor(this.#orderMs(slot, nowMs));
    }
    assert(count === this.count, "the count of leases is how many there are");
    const order = stableOrder(times);
    for (let i = 0; i < count; i++) order[i] = slots[order[i]!]!;
    return order;
  }

  /** Throws when counts disagree; for tests and the simulator. */
  assertConserved(): void {
    let keyCount = 0;
    let inWheel = 0;
    for (let slot = 1; slot < this.table.rows.end; slot++) {
      if (!this.table.isLive(slot)) continue;
      let ofLease = 0;
      for (let link = this.table.firstKey(slot); link !== 0; link = this.table.keys.next(link)) ofLease++;
      assert(ofLease === this.table.keyCount(slot), "the count of a lease's keys is the length of its list");
      keyCount += ofLease;
      const isIn = this.#wheel.has(slot);
      if (isIn) inWheel++;
      if (!this.#isPrimary || this.#walkSlot !== 0) continue;
      assert(isIn !== this.table.has(slot, FLAG_REVOKING), "a lease waits for its end or for its revocation");
    }
    assert(keyCount === this.table.keys.count, "no key hangs on a lease that is gone");
    assert(inWheel === this.#wheel.count, "nothing is in the wheel that does not exist");
  }

  #expiryOf(slot: number): number {
    if (this.table.epoch(slot) === this.#epoch) return this.table.expiryMs(slot);
    const seconds = this.table.remainderSeconds(slot) || this.table.ttlSeconds(slot);
    return this.#promotedMs + seconds * 1000;
  }

  /** When the lease ends as far as this member knows. */
  #orderMs(slot: number, nowMs: number): number {
    if (this.#isPrimary) return this.#expiryOf(slot);
    return nowMs + (this.table.remainderSeconds(slot) || this.table.ttlSeconds(slot)) * 1000;
  }

  /** Brings a row into the present epoch, should it be of an older one. */
  #settle(slot: number): void {
    if (!this.#isPrimary || this.table.epoch(slot) === this.#epoch) return;
    this.table.enterEpoch(slot, this.#epoch, this.#expiryOf(slot));
  }

  #moveExpiry(slot: number, fromMs: number, toMs: number): void {
    this.table.setExpiry(slot, toMs);
    // A later end is found by the wheel itself; an earlier one (the extension at promotion) needs another place.
    if (toMs >= fromMs || !this.#wheel.has(slot)) return;
    this.#wheel.remove(slot);
    this.#wheel.insert(slot);
  }

  /** Puts rows of older epochs into the wheel, where they may still hang at a place of another epoch. */
  #walk(): void {
    const rows = this.table.rows;
    for (; this.#walkSlot < rows.end; this.#walkSlot++) {
      if (this.#wheel.work-- === 0) return;
      const slot = this.#walkSlot;
      if (!this.table.isLive(slot)) continue;
      this.#settle(slot);
      if (this.#wheel.has(slot)) this.#wheel.remove(slot);
      this.#wheel.insert(slot);
    }
    this.#walkSlot = 0;
  }

  #isForCheckpoint(slot: number, nowMs: number, handOver: boolean): boolean {
    if (this.table.has(slot, FLAG_CHECKPOINTING | FLAG_CLEARING)) return false;
    const ttlMs = this.table.ttlSeconds(slot) * 1000;
    const renewedMs = this.table.expiryMs(slot) - ttlMs;
    if (renewedMs <= this.#roundPreviousMs) return true;
    // At a hand-over also later ones, but not those of clients that renew in time (a third of the TTL). What has a remainder in the log was
    // not renewed since: after a promotion its end lies an extension beyond its TTL, which looks like a renewal to come.
    return handOver && (this.table.remainderSeconds(slot) > 0 || nowMs - renewedMs >= ttlMs / 2);
  }

  #checkpoint(slot: number, nowMs: number, out: LeaseIds): void {
    // Rounded up, since nothing may end early; at least 1, since 0 clears.
    const seconds = Math.max(1, Math.ceil((this.table.expiryMs(slot) - nowMs) / 1000));
    this.table.flag(slot, FLAG_CHECKPOINTING);
    out.push(this.table.idHi(slot), this.table.idLo(slot), seconds);
  }
}
