// V8 counts how much bytecode a function has run before it compiles it for good. Its default suits pages that live for seconds and must not
// compile in vain; a server asks for the same few hundred functions for weeks, and until they are compiled each put of a slow client costs it
// three times as much. With one client that was the first ten seconds after each start (docs/internals/performance.md).

import { setFlagsFromString } from "node:v8";

/** A seventh of V8's default: earlier, and still with enough runs to learn the types from. */
const INTERRUPT_BUDGET_BYTES = 10_000;

/** From here on (Node 22) V8 counts otherwise, has no such flag and compiles in a tier between, earlier; it complains about flags that it does not know. */
const V8_WITHOUT_FLAG = 12;

/** For a program that is a server, once it serves: a start runs its code once. Not for a library: the process may be somebody else's. */
export function compileSoon(): void {
  if (Number.parseInt(process.versions.v8, 10) >= V8_WITHOUT_FLAG) return;
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}
