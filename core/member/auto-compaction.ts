// Compaction by the clock or by the number of revisions, as --auto-compaction-mode and -retention ask; the leader's duty.
//
// periodic  remembers the revision ten times a period (or hour, when the period is longer) and compacts to the one that
//           is a period old; revision  compacts every five minutes to the current revision less the retention.

import { ByteWriter } from "../base/byte-writer.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import type { Proposer } from "./proposals.ts";

const HOUR_MS = 3_600_000;
const REVISION_INTERVAL_MS = 300_000;
const SAMPLES_A_PERIOD = 10;

export class AutoCompaction {
  readonly #member: Proposer;
  #nextMs: number;
  /** Revisions at past samples, oldest first. */
  readonly #samples: { readonly atMs: number; readonly revision: number }[] = [];
  #lastCompactedMs: number;

  constructor(member: Proposer) {
    this.#member = member;
    this.#nextMs = this.#isOn ? member.nowMs : Number.POSITIVE_INFINITY;
    this.#lastCompactedMs = member.nowMs;
  }

  nextDeadlineMs(): number {
    // Others do not look at it, and must not be woken for it again and again.
    return this.#member.isLeader ? this.#nextMs : Number.POSITIVE_INFINITY;
  }

  turn(nowMs: number): void {
    if (nowMs < this.#nextMs) return;
    const { mode, periodMs, revisions } = this.#member.options.autoCompaction;
    if (mode === "revision") {
      this.#nextMs = nowMs + REVISION_INTERVAL_MS;
      this.#compact(this.#member.store.revision - revisions);
    } else {
      this.#nextMs = nowMs + Math.min(periodMs, HOUR_MS) / SAMPLES_A_PERIOD;
      this.#periodic(nowMs, periodMs);
    }
  }

  get #isOn(): boolean {
    const { mode, periodMs, revisions } = this.#member.options.autoCompaction;
    return mode === "revision" ? revisions > 0 : periodMs > 0;
  }

  #periodic(nowMs: number, periodMs: number): void {
    this.#samples.push({ atMs: nowMs, revision: this.#member.store.revision });
    if (nowMs - this.#lastCompactedMs < Math.min(periodMs, HOUR_MS)) return;
    let revision = 0;
    while (this.#samples.length > 0 && this.#samples[0]!.atMs <= nowMs - periodMs)
      revision = this.#samples.shift()!.revision;
    if (revision === 0) return;
    this.#lastCompactedMs = nowMs;
    this.#compact(revision);
  }

  #compact(revision: number): void {
    const member = this.#member;
    if (!member.isLeader || revision <= Math.max(1, member.store.compactedRevision)) return;
    const writer = new ByteWriter(16);
    writer.byte(0x08); // CompactionRequest.revision
    writer.varint(revision);
    member.proposals.proposeAsLeader(REQUEST_KIND.compaction, writer.bytes, 0, writer.position);
    member.options.events.info("auto-compaction", { revision });
  }
}
