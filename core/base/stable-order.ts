// Sorts by numbers without comparing: a list of a million keys by version took 1.6 s, with the loop held, when each of
// twenty million comparisons called a function.

const DIGIT_BITS = 11;
const DIGIT_COUNT = 1 << DIGIT_BITS;

/** The indexes of whole numbers below 2^53 in ascending order of the numbers, equal ones in theirs. Changes `numbers`. */
export function stableOrder(numbers: Float64Array): Uint32Array {
  const count = numbers.length;
  let least = Infinity;
  let most = -Infinity;
  for (const number of numbers) {
    if (number < least) least = number;
    if (number > most) most = number;
  }
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    order[i] = i;
    numbers[i]! -= least;
  }
  let sorted = new Uint32Array(count);
  const starts = new Uint32Array(DIGIT_COUNT + 1);
  // Least significant digit first, each pass keeping the order of the one before.
  for (let scale = 1; scale <= most - least; scale *= DIGIT_COUNT) {
    starts.fill(0);
    for (let i = 0; i < count; i++) starts[digitOf(numbers[i]!, scale) + 1]!++;
    for (let digit = 1; digit <= DIGIT_COUNT; digit++) starts[digit]! += starts[digit - 1]!;
    for (let i = 0; i < count; i++) {
      const index = order[i]!;
      sorted[starts[digitOf(numbers[index]!, scale)]!++] = index;
    }
    [order, sorted] = [sorted, order];
  }
  return order;
}

function digitOf(number: number, scale: number): number {
  return Math.floor(number / scale) % DIGIT_COUNT;
}
