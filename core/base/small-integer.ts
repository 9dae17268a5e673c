/** V8 keeps integers below it as such. */
const END = 2 ** 31;

/**
 * The same number, an integer from 0 on, as a small integer of V8's when it is one. What was read from an array of doubles, or is a
 * product, is a double, and so is every position that is computed from it: fields that begin with small integers change their
 * representation then, and what was compiled for them is thrown away.
 */
export function asSmall(value: number): number {
  return value < END ? value | 0 : value;
}
