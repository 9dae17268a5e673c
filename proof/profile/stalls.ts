// Stalls of the event loop in a CPU profile: stretches without an idle moment, and what ran in them. A loop that has no
// time left has no such moments at all; then a stretch says nothing, and the layers say everything (bottleneck.ts).

import type { Layer } from "./layers.ts";

/** A client notices it: ten times a usual answer. */
export const STALL_MS_MIN = 20;

/** What the profiler saw at one instant. */
export interface Instant {
  /** Since the one before. */
  readonly us: number;
  readonly isIdle: boolean;
  readonly layer: Layer;
  readonly label: string;
}

export interface Stall {
  /** From the profile's begin. */
  readonly atSecond: number;
  readonly ms: number;
  /** What most of it went to. */
  readonly layer: Layer;
  readonly layerShare: number;
  readonly heaviest: string;
}

/** Stretches of at least STALL_MS_MIN, in the order of time. */
export function stallsOf(instants: Iterable<Instant>): Stall[] {
  const stalls: Stall[] = [];
  let us = 0;
  let sinceUs = 0;
  let stretch: Instant[] = [];
  const end = (): void => {
    if (stretch.length > 0 && us - sinceUs >= STALL_MS_MIN * 1000) stalls.push(stallOf(stretch, sinceUs, us));
    stretch = [];
  };
  for (const instant of instants) {
    if (instant.isIdle) end();
    else {
      if (stretch.length === 0) sinceUs = us;
      stretch.push(instant);
    }
    us += instant.us;
  }
  end();
  return stalls;
}

function stallOf(stretch: readonly Instant[], fromUs: number, toUs: number): Stall {
  const layers = new Map<Layer, number>();
  const functions = new Map<string, number>();
  for (const { layer, label, us } of stretch) {
    layers.set(layer, (layers.get(layer) ?? 0) + us);
    functions.set(label, (functions.get(label) ?? 0) + us);
  }
  const [layer, layerUs] = heaviestOf(layers);
  return {
    atSecond: Math.round(fromUs / 1e3) / 1e3,
    ms: Math.round((toUs - fromUs) / 100) / 10,
    layer,
    layerShare: layerUs / Math.max(1, toUs - fromUs),
    heaviest: heaviestOf(functions)[0],
  };
}

function heaviestOf<K>(sums: ReadonlyMap<K, number>): [K, number] {
  return [...sums].reduce((best, one) => (one[1] > best[1] ? one : best));
}
