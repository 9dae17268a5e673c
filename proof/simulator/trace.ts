// The trace hash: every event of a simulation is folded into a rolling 64-bit value, two 32-bit halves that are mixed
// differently. Two runs of one seed must end with the same value; where they do not, something asked the machine.

export class Trace {
  hi = 0x9e3779b9;
  lo = 0x85ebca6b;
  /** Values folded so far. */
  count = 0;

  /** Folds an integer of up to 53 bits. Fractions do not count: fold microseconds, not milliseconds. */
  fold(value: number): void {
    const whole = Math.trunc(value);
    this.#mix(whole | 0);
    if (whole > 0x7fffffff || whole < -0x80000000) this.#mix(Math.floor(whole / 4294967296) | 0);
  }

  /** Folds a text, such as the kind of an event. */
  text(text: string): void {
    let word = text.length;
    for (let i = 0; i < text.length; i++) word = Math.imul(word ^ text.charCodeAt(i), 0x01000193);
    this.#mix(word);
  }

  bytes(bytes: Uint8Array, start: number, end: number): void {
    let word = end - start;
    for (let i = start; i < end; i++) word = Math.imul(word ^ bytes[i]!, 0x01000193);
    this.#mix(word);
  }

  hex(): string {
    return (this.hi >>> 0).toString(16).padStart(8, "0") + (this.lo >>> 0).toString(16).padStart(8, "0");
  }

  #mix(word: number): void {
    this.count++;
    let hi = Math.imul(this.hi ^ word, 0xcc9e2d51);
    hi = (hi << 15) | (hi >>> 17);
    let lo = Math.imul((this.lo + word) ^ (hi >>> 7), 0x1b873593);
    lo = (lo << 13) | (lo >>> 19);
    this.hi = (Math.imul(hi, 5) + 0xe6546b64) ^ (lo >>> 11);
    this.lo = (Math.imul(lo, 9) + 0x38b34ae5) ^ this.count;
  }
}
