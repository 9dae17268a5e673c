// How many bytes a running Node program allocates while something happens, kept or not, as V8's sampler estimates it.

import type { HeapProfile } from "./cpu-profile.ts";
import { Inspector } from "./inspector.ts";

const INTERVAL_BYTES = 32 * 1024;

/** Null when the program cannot be looked into; `body` runs all the same. */
export async function allocatedDuring(pid: number, body: () => Promise<void>): Promise<number | null> {
  let inspector: Inspector;
  try {
    inspector = await Inspector.open(pid);
  } catch {
    await body();
    return null;
  }
  try {
    await inspector.call("HeapProfiler.enable");
    await inspector.call("HeapProfiler.startSampling", {
      samplingInterval: INTERVAL_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    await body();
    const { profile } = await inspector.call<{ profile: HeapProfile }>("HeapProfiler.stopSampling");
    return bytesOf(profile.head);
  } finally {
    await inspector.close();
  }
}

function bytesOf(node: HeapProfile["head"]): number {
  return node.children.reduce((sum, child) => sum + bytesOf(child), node.selfSize);
}
