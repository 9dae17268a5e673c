// Decides whether a group is synced on the loop or in the background. Design D4: on the loop while syncs are short (90 of
// 100 within a millisecond): a hop to another thread costs more than such a sync. One long sync among short ones is
// not worth a change; a disk that has become slow must not hold the loop.

const SAMPLE_COUNT = 64;
const SLOW_COUNT_MAX = 6;
const SHORT_MS = 1;
/** In the background the hop and the loop's own work are measured with the sync. */
const SHORT_IN_BACKGROUND_MS = 1.5;
/** While in the background: every so many groups one is synced on the loop, to see whether syncs are short again. */
const PROBE_DISTANCE = 64;

export class SyncPacer {
  readonly #slow = new Uint8Array(SAMPLE_COUNT);
  #next = 0;
  #slowCount = 0;
  #sinceProbe = 0;

  /** Whether the next group is to be synced on the loop. */
  chooseInline(bulkPendingCount: number): boolean {
    if (bulkPendingCount > 0) return false;
    if (this.#slowCount <= SLOW_COUNT_MAX) return true;
    this.#sinceProbe++;
    if (this.#sinceProbe < PROBE_DISTANCE) return false;
    this.#sinceProbe = 0;
    return true;
  }

  noteInline(durationMs: number): void {
    this.#note(durationMs > SHORT_MS ? 1 : 0);
  }

  /** A long time in the background says nothing: it may have been the loop's own work. */
  noteBackground(durationMs: number, bulkPendingCount: number): void {
    if (bulkPendingCount === 0 && durationMs <= SHORT_IN_BACKGROUND_MS) this.#note(0);
  }

  #note(slow: number): void {
    this.#slowCount += slow - this.#slow[this.#next]!;
    this.#slow[this.#next] = slow;
    this.#next = (this.#next + 1) % SAMPLE_COUNT;
  }
}
