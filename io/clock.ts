// The machine's clock.

import type { Clock } from "../core/base/ports.ts";

/** Monotonic milliseconds since the process started, and calendar seconds. */
export const systemClock: Clock = {
  now: () => performance.now(),
  unixSeconds: () => Math.floor(Date.now() / 1000),
};
