// How long entries take to be applied. Puts that follow each other are measured together and count in equal shares,
// because a look at the clock costs a tenth of a put; every other request is measured alone.
//
//   begin   put put put   other   put   end
//   |-------------------|-------|-----|        a look at the clock at each bar

import { exponentialBounds, type Histogram, type Metrics } from "../base/metrics.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { PRIVATE_KIND } from "./format.ts";
import type { MemberState } from "./member-state.ts";

const BOUNDS = exponentialBounds(0.0001, 2, 20);

/** etcd's names of the operations; the last ones are ours. */
const OP_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [REQUEST_KIND.put, "Put"],
  [REQUEST_KIND.deleteRange, "DeleteRange"],
  [REQUEST_KIND.txn, "Txn"],
  [REQUEST_KIND.compaction, "Compaction"],
  [REQUEST_KIND.leaseGrant, "LeaseGrant"],
  [REQUEST_KIND.leaseRevoke, "LeaseRevoke"],
  [REQUEST_KIND.leaseCheckpoint, "LeaseCheckpoint"],
  [REQUEST_KIND.alarm, "Alarm"],
  [REQUEST_KIND.clusterVersionSet, "ClusterVersionSet"],
  [REQUEST_KIND.clusterMemberAttrSet, "ClusterMemberAttrSet"],
  [PRIVATE_KIND.leaseRevokeBatch, "LeaseRevokeBatch"],
  [PRIVATE_KIND.formatVersionSet, "FormatVersionSet"],
  [PRIVATE_KIND.divergenceAlarm, "DivergenceAlarm"],
]);

/** A put takes some microseconds, in cold code ten times as much. */
const PUT_MS_MAX = 0.02;

export interface ApplyTimesHost extends MemberState {
  /** An entry that takes longer to be applied is counted as slow, and logged. */
  readonly warningApplyMs: number;
}

export class ApplyTimes {
  readonly #member: ApplyTimesHost;
  readonly #metrics: Metrics;
  /** By kind, for those that were applied and those that were refused. */
  readonly #applied = new Map<number, Histogram>();
  readonly #refused = new Map<number, Histogram>();
  /** Puts since the last look at the clock. */
  #putsApplied = 0;
  #putsRefused = 0;
  #lookedMs = 0;

  constructor(member: ApplyTimesHost, metrics: Metrics) {
    this.#member = member;
    this.#metrics = metrics;
  }

  /** Entries are about to be applied, one after the other. */
  begin(): void {
    this.#lookedMs = this.#member.clock.now();
  }

  put(isApplied: boolean): void {
    if (isApplied) this.#putsApplied++;
    else this.#putsRefused++;
  }

  /** A request that is no put follows. */
  beginOther(): void {
    if (this.#putsApplied + this.#putsRefused > 0) this.end();
  }

  endOther(kind: number, isApplied: boolean): void {
    const ms = this.#elapsedMs();
    this.#histogram(kind, isApplied).observe(ms / 1000);
    if (ms > this.#member.warningApplyMs) this.#warn(kind, ms, 1);
  }

  /** No more entries for now. */
  end(): void {
    const count = this.#putsApplied + this.#putsRefused;
    if (count === 0) return;
    const ms = this.#elapsedMs();
    const kind = REQUEST_KIND.put;
    const seconds = ms / 1000 / count;
    if (this.#putsApplied > 0) this.#histogram(kind, true).observeMany(seconds, this.#putsApplied);
    if (this.#putsRefused > 0) this.#histogram(kind, false).observeMany(seconds, this.#putsRefused);
    this.#putsApplied = this.#putsRefused = 0;
    // The replay of a long log takes a while without any of its entries being slow.
    if (ms > this.#member.warningApplyMs + count * PUT_MS_MAX) this.#warn(kind, ms, count);
  }

  #elapsedMs(): number {
    const nowMs = this.#member.clock.now();
    const elapsedMs = nowMs - this.#lookedMs;
    this.#lookedMs = nowMs;
    return elapsedMs;
  }

  // One of them was slow, or something held them all: which cannot be told, so they count as one.
  #warn(kind: number, ms: number, count: number): void {
    const { counters, options, warningApplyMs } = this.#member;
    counters.slowApply.add(1);
    options.events.warn("apply request took too long", {
      took: `${ms.toFixed(3)}ms`,
      "expected-duration": `${warningApplyMs}ms`,
      request: OP_NAMES.get(kind) ?? String(kind),
      requests: count,
    });
  }

  #histogram(kind: number, isApplied: boolean): Histogram {
    const ofOutcome = isApplied ? this.#applied : this.#refused;
    let histogram = ofOutcome.get(kind);
    if (histogram === undefined) {
      histogram = this.#metrics.histogram(
        "etcd_server_apply_duration_seconds",
        "The latency distributions of v3 apply called by backend.",
        BOUNDS,
        { version: "v3", op: OP_NAMES.get(kind) ?? String(kind), success: String(isApplied) },
      );
      ofOutcome.set(kind, histogram);
    }
    return histogram;
  }
}
