// Assertions are for our own mistakes: a failed one means that the program is wrong, and the member stops.
// Faults of the world (disk, peer, client input) are never assertions; see docs/ARCHITECTURE.md.

/** Thrown by `assert`: a bug in Holdfast, never an expected outcome. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Stops the caller when `condition` is false. `text` is a constant: building a string costs more than the check. */
export function assert(condition: unknown, text: string): asserts condition {
  if (!condition) fail(text);
}

/** Marks a place that can only be reached by a bug. */
export function unreachable(text: string): never {
  fail(text);
}

// Apart from `assert`, so that the check itself stays small enough to be inlined.
function fail(text: string): never {
  throw new AssertionError(`Assertion failed: ${text}`);
}
