// How long what housekeeping does in slices takes, whole and by slice. Nothing is measured while there is nothing to do.

import type { Housekeeping as PastHousekeeping } from "../mvcc/housekeeping.ts";
import type { MemberState } from "./member-state.ts";

export class PastTimes {
  readonly #member: MemberState;
  /** When the compaction that runs began. */
  #compactionSinceMs = 0;

  constructor(member: MemberState) {
    this.#member = member;
  }

  /** One slice; true when there is more. */
  slice(past: PastHousekeeping): boolean {
    if (!past.isBusy) return past.slice();
    const { clock, counters } = this.#member;
    const wasCompacting = past.isCompacting;
    const isCheckpoint = past.isCheckpointing;
    const startMs = clock.now();
    const more = past.slice();
    const endMs = clock.now();
    const { isCompacting } = past;
    if (!wasCompacting && isCompacting) this.#compactionSinceMs = startMs;
    if (wasCompacting || isCompacting) counters.compactionPauseMs.observe(endMs - startMs);
    else if (isCheckpoint) counters.checkpointSliceSeconds.observe((endMs - startMs) / 1000);
    if (wasCompacting && !isCompacting) {
      counters.compactionMs.observe(endMs - this.#compactionSinceMs);
      counters.compactionLastSeconds = clock.unixSeconds();
    }
    return more;
  }
}
