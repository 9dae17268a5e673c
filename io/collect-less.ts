// V8 collects the whole heap once what was allocated since the last time, buffers beside the heap included, passes a limit that follows the heap's
// size. A store's data lies in buffers and its heap stays at a dozen MiB, so that data which only arrives has the whole heap marked about
// every 25,000 puts: pauses of milliseconds, and threads that mark on cores which the loop needs (docs/internals/performance.md).

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** A limit of five times the heap instead of a factor that V8 chooses: buffers that were given up are released some tens of MiB later at most. */
const HEAP_GROWING_PERCENT = 400;

/** For a program that is a server, once it serves. Not for a library: the process may be somebody else's. */
export function collectLess(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}

/** Below it there is not enough to be had. */
const LOADED_BYTES_MIN = 64 * 1024 * 1024;

/**
 * For a program that is a server, between its start and its service, when nobody waits for the loop yet: gives back at once what reading
 * a large store has left, which would stay until the store has grown by as much as V8 waits for. About 5 ms; nothing for a small store.
 */
export function collectAfterStart(): void {
  if (process.memoryUsage().external < LOADED_BYTES_MIN) return;
  // V8 asks for the flag when it makes a context.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  collect();
}
