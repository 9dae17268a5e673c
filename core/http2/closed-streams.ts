// The streams that closed last, so that a late frame can be told from a wrong one (RFC 9113 5.1).

const COUNT = 256;

export class ClosedStreams {
  /** id * 2 + (1 when we cut it off), at id / 2 modulo the count. */
  readonly #ring = new Float64Array(COUNT);

  add(id: number, isResetByUs: boolean): void {
    this.#ring[(id >>> 1) & (COUNT - 1)] = id * 2 + (isResetByUs ? 1 : 0);
  }

  has(id: number): boolean {
    return Math.floor(this.#ring[(id >>> 1) & (COUNT - 1)]! / 2) === id;
  }

  /** We sent RST_STREAM, so the peer may have sent more before it saw that. */
  wasResetByUs(id: number): boolean {
    return this.#ring[(id >>> 1) & (COUNT - 1)] === id * 2 + 1;
  }
}
