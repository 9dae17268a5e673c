// V8 collects the whole heap once what was allocated since the last time, buffers beside the heap included, passes a limit that follows the heap's
// size. A store's data lies in buffers and its heap stays at a dozen MiB, so that data which only arrives has the whole heap marked about
// every 25,000 puts: pauses of milliseconds, and threads that mark on cores which the loop needs (docs/internals/performance.md).

import { setFlagsFromString } from "node:v8";

/** A limit of five times the heap instead of a factor that V8 chooses: buffers that were given up are released some tens of MiB later at most. */
const HEAP_GROWING_PERCENT = 400;

/** For a program that is a server, once it serves. Not for a library: the process may be somebody else's. */
export function collectLess(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}
