// V8's CPU profile: shares by layer, the heaviest functions, and a tree for the flame graph.

import type { FlameNode } from "../bench/report/sections.ts";
import { type Layer, LAYERS, layerOf } from "./bottleneck.ts";
import { sourceOf } from "./source-map.ts";

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
  readonly root: FlameNode;
}

export function readCpuProfile(profile: CpuProfile): Reading {
  const own = new Map<number, number>();
  for (const [i, id] of profile.samples.entries())
    own.set(id, (own.get(id) ?? 0) + Math.max(0, profile.timeDeltas[i] ?? 0));
  const layers = Object.fromEntries(LAYERS.map((layer) => [layer, 0])) as Record<Layer, number>;
  const byFunction = new Map<string, number>();
  const callers = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)),
  );
  let idleUs = 0;
  let busyUs = 0;
  for (const node of profile.nodes) {
    const us = own.get(node.id) ?? 0;
    const { functionName, url, lineNumber, columnNumber } = node.callFrame;
    if (functionName === "(idle)") {
      idleUs += us;
      continue;
    }
    busyUs += us;
    const source = sourceOf(url, lineNumber, columnNumber);
    layers[layerByCaller(node, callers)] += us;
    const label = labelOf(functionName, source);
    byFunction.set(label, (byFunction.get(label) ?? 0) + us);
  }
  for (const layer of LAYERS) layers[layer] /= Math.max(1, busyUs);
  const heaviest = [...byFunction]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 25)
    .map(([name, us]) => ({ name, share: us / Math.max(1, busyUs) }));
  return { layers, idleShare: idleUs / Math.max(1, idleUs + busyUs), heaviest, root: flameOf(profile, own) };
}

type ProfileNode = CpuProfile["nodes"][number];

/** A native function belongs to who called it: `writeBuffer` writes files and sockets alike. */
function layerByCaller(node: ProfileNode, callers: ReadonlyMap<number, ProfileNode>): Layer {
  let at = node;
  for (
    let up = callers.get(at.id);
    at.callFrame.url === "" && !at.callFrame.functionName.startsWith("(") && up;
    up = callers.get(at.id)
  )
    at = up;
  const { functionName, url, lineNumber, columnNumber } = at.callFrame;
  return layerOf(sourceOf(url, lineNumber, columnNumber), functionName);
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
