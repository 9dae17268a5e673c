// V8's CPU profile: shares by layer, the heaviest functions, and a tree for the flame graph.

import type { FlameNode } from "../bench/report/sections.ts";
import { type Layer, LAYERS, layerOf, type Place } from "./layers.ts";
import { sourceOf } from "./source-map.ts";
import { type Instant, type Stall, stallsOf } from "./stalls.ts";

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface Reading {
  readonly layers: Record<Layer, number>;
  readonly idleShare: number;
  readonly heaviest: readonly { readonly name: string; readonly share: number }[];
  readonly stalls: readonly Stall[];
  readonly root: FlameNode;
}

export function readCpuProfile(profile: CpuProfile): Reading {
  const own = new Map<number, number>();
  for (const [i, id] of profile.samples.entries())
    own.set(id, (own.get(id) ?? 0) + Math.max(0, profile.timeDeltas[i] ?? 0));
  const layers = Object.fromEntries(LAYERS.map((layer) => [layer, 0])) as Record<Layer, number>;
  const byFunction = new Map<string, number>();
  const places = placesOf(profile);
  let idleUs = 0;
  let busyUs = 0;
  for (const [id, { label, layer, isIdle }] of places) {
    const us = own.get(id) ?? 0;
    if (isIdle) {
      idleUs += us;
      continue;
    }
    busyUs += us;
    layers[layer] += us;
    byFunction.set(label, (byFunction.get(label) ?? 0) + us);
  }
  for (const layer of LAYERS) layers[layer] /= Math.max(1, busyUs);
  const heaviest = [...byFunction]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 25)
    .map(([name, us]) => ({ name, share: us / Math.max(1, busyUs) }));
  return {
    layers,
    idleShare: idleUs / Math.max(1, idleUs + busyUs),
    heaviest,
    stalls: stallsOf(instantsOf(profile, places)),
    root: flameOf(profile, own),
  };
}

type NodePlace = Omit<Instant, "us">;

/** By node: what it is called, and what it works for. */
function placesOf(profile: CpuProfile): ReadonlyMap<number, NodePlace> {
  const callers = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)),
  );
  const frames = new Map<number, Place>();
  for (const { id, callFrame } of profile.nodes) {
    const { functionName: name, url, lineNumber, columnNumber } = callFrame;
    frames.set(id, { name, source: sourceOf(url, lineNumber, columnNumber) });
  }
  const places = new Map<number, NodePlace>();
  for (const [id, { name, source }] of frames) {
    const stack: Place[] = [];
    for (let at: number | undefined = id; at !== undefined; at = callers.get(at)) stack.push(frames.get(at)!);
    places.set(id, { label: labelOf(name, source), layer: layerOf(stack), isIdle: name === "(idle)" });
  }
  return places;
}

function* instantsOf(
  profile: CpuProfile,
  places: ReadonlyMap<number, NodePlace>,
): Generator<Instant, undefined> {
  for (const [i, id] of profile.samples.entries())
    yield { ...places.get(id)!, us: Math.max(0, profile.timeDeltas[i] ?? 0) };
}

function labelOf(name: string, source: string): string {
  const place = source === "" ? "" : ` (${source.replace(/^file:.*\//, "")})`;
  return `${name === "" ? "(anonymous)" : name}${place}`;
}

/** Idle time is left out: a flame graph is about what ran. */
function flameOf(profile: CpuProfile, own: ReadonlyMap<number, number>): FlameNode {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const build = (id: number, depth: number): FlameNode => {
    const node = byId.get(id)!;
    const { functionName, url, lineNumber, columnNumber } = node.callFrame;
    const children =
      depth > 80
        ? []
        : (node.children ?? []).map((child) => build(child, depth + 1)).filter((child) => child.us > 0);
    const us =
      functionName === "(idle)" ? 0 : (own.get(id) ?? 0) + children.reduce((sum, child) => sum + child.us, 0);
    children.sort((a, b) => b.us - a.us);
    return { name: labelOf(functionName, sourceOf(url, lineNumber, columnNumber)), us, children };
  };
  return build(profile.nodes[0]!.id, 0);
}

/** V8's sampling heap profile. */
export interface HeapProfile {
  readonly head: HeapNode;
}
interface HeapNode {
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

/** The functions that allocated most, bytes. */
export function heaviestAllocators(profile: HeapProfile): { name: string; bytes: number }[] {
  const bytes = new Map<string, number>();
  const visit = (node: HeapNode): void => {
    const { functionName, url, lineNumber, columnNumber } = node.callFrame;
    const label = labelOf(functionName, sourceOf(url, lineNumber, columnNumber));
    if (node.selfSize > 0) bytes.set(label, (bytes.get(label) ?? 0) + node.selfSize);
    for (const child of node.children) visit(child);
  };
  visit(profile.head);
  return [...bytes]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 20)
    .map(([name, size]) => ({ name, bytes: size }));
}
