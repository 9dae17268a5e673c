// How often a peer may do something that costs us more than it costs the peer.

/** `burst` at once, `perSecond` in the long run. Time is passed in, so that it can be simulated. */
export class TokenBucket {
  #tokens: number;
  #updatedMs: number;
  readonly #burst: number;
  readonly #perMs: number;

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#tokens = burst;
    this.#updatedMs = nowMs;
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
  }

  /** Takes one token, or `count`; false when there are not so many. */
  take(nowMs: number, count = 1): boolean {
    if (nowMs > this.#updatedMs) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#updatedMs) * this.#perMs);
      this.#updatedMs = nowMs;
    }
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Something we did gives the peer a reason for `count` more. */
  credit(count: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + count);
  }
}
