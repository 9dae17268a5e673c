// What an oracle throws when a promise is broken. The seed's run ends there: what comes after is a consequence.

export class Violation extends Error {
  override readonly name = "Violation";
  /** Which promise, as a short word: the signature by which two failures are the same. */
  readonly oracle: string;

  constructor(oracle: string, message: string) {
    super(message);
    this.oracle = oracle;
  }
}

/** Throws a Violation of `oracle` unless `condition` holds. The text is built only then. */
export function promise(condition: boolean, oracle: string, text: () => string): asserts condition {
  if (!condition) throw new Violation(oracle, text());
}
