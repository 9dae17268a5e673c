// V8's young generation grows to twice 16 MiB, and on Node 24 to twice 64, while much survives: a start, a burst of calls. Of a store whose data
// lies in buffers next to nothing survives otherwise, and what the generation once grew to stays resident: a tenth of a member's memory.

import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Both halves. Half of it has collections twice as often and members that take more processor (docs/internals/performance.md). */
const YOUNG_BYTES_MAX = 4 * 1024 * 1024;
const GROWTH = { none: 1, usual: 2 };

/**
 * For a program that is a server. V8 takes the largest size only when a process starts, from node's own arguments; by how much the generation
 * grows it asks each time. Not for a library: the process may be somebody else's.
 */
export function boundYoungGeneration(): void {
  let growth = GROWTH.usual;
  const observer = new PerformanceObserver(() => {
    // It shrinks, too, when the process is idle, and then may grow again.
    const next = youngBytes() < YOUNG_BYTES_MAX ? GROWTH.usual : GROWTH.none;
    if (next === growth) return;
    growth = next;
    setFlagsFromString(`--semi-space-growth-factor=${growth}`);
  });
  observer.observe({ entryTypes: ["gc"] });
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === "new_space")?.space_size ?? 0;
}
