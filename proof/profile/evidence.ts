// From what was read inside and outside of the process to the figures that bottleneck.ts judges by.

import * as os from "node:os";
import { type Evidence, NO_STALLS, type StallEvidence } from "./bottleneck.ts";
import type { Reading } from "./cpu-profile.ts";
import type { Layer } from "./layers.ts";
import type { Stall } from "./stalls.ts";
import type { Metrics, Outside } from "./surroundings.ts";

/** What the process saw of itself. */
export interface Inside {
  readonly gcMs: number;
  readonly gcMsMax: number;
  readonly loopUtilisation: number;
  readonly delayMsMax: number;
  readonly delayMsP99: number;
  readonly delaysMs: readonly number[];
}

/** A loop busier than that has hardly a pause: its stretches are no stalls. */
const LOOP_WITH_PAUSES = 0.8;

export interface Looks {
  readonly before: Outside;
  readonly after: Outside;
  /** Proposals that waited, the median of looks in between. */
  readonly pending: number;
}

export function evidenceOf(inside: Inside, { before, after, pending }: Looks, reading: Reading): Evidence {
  const seconds = (after.atMs - before.atMs) / 1000;
  const grown = (name: string): number => growth(before.metrics, after.metrics, name);
  const fsync = "etcd_disk_wal_fsync_duration_seconds";
  // What the profiler's signals interrupt Node counts as busy: of a quiet process most of the time. The samples know better.
  const loopUtilisation = Math.min(inside.loopUtilisation, 1 - reading.idleShare);
  const members = 1 + (after.metrics["etcd_network_active_peers"] ?? 0);
  return {
    loopUtilisation,
    loopDelayMsMax: inside.delayMsMax,
    loopDelayMsP99: inside.delayMsP99,
    stalls: loopUtilisation > LOOP_WITH_PAUSES ? NO_STALLS : sumOf(reading.stalls, seconds),
    gcShare: inside.gcMs / 1000 / seconds,
    gcMsMax: inside.gcMsMax,
    processCores: (after.cpuSeconds - before.cpuSeconds) / seconds,
    machineIdleCores: Math.max(0, (after.idleSeconds - before.idleSeconds) / seconds),
    machineCores: os.cpus().length,
    machineStealCores: (after.stealSeconds - before.stealSeconds) / seconds,
    cpuWaitShare: (after.cpuWaitSeconds - before.cpuWaitSeconds) / seconds,
    layers: reading.layers,
    syncs: grown(`${fsync}_count`),
    syncSeconds: averageOf(before.metrics, after.metrics, fsync),
    syncShare: Math.max(0, grown(`${fsync}_sum`) / seconds),
    turnSeconds: averageOf(before.metrics, after.metrics, "holdfast_turn_duration_seconds"),
    proposalsPending: pending,
    proposalsPerSecond: grown("etcd_server_proposals_applied_total") / seconds,
    requestsPerSecond: grown("grpc_server_handled_total") / seconds,
    refusedPerSecond: grown("holdfast_server_refused_total") / seconds,
    members,
    peerRoundTripSeconds: averageOf(
      before.metrics,
      after.metrics,
      "etcd_network_peer_round_trip_time_seconds",
    ),
    peerSyncSeconds: quorumsSync(before, after, { fsync, members }),
    clientCores: Math.max(
      0,
      ...[...after.clients].map(([pid, used]) => (used - (before.clients.get(pid) ?? used)) / seconds),
    ),
  };
}

function growth(before: Metrics, after: Metrics, name: string): number {
  return (after[name] ?? 0) - (before[name] ?? 0);
}

function averageOf(before: Metrics, after: Metrics, histogram: string): number {
  const count = growth(before, after, `${histogram}_count`);
  return count > 0 ? growth(before, after, `${histogram}_sum`) / count : 0;
}

/** The slowest sync that an entry must wait for: of the quickest others that make a majority with this member. */
function quorumsSync(
  before: Outside,
  after: Outside,
  { fsync, members }: { readonly fsync: string; readonly members: number },
): number {
  const syncs = after.peers.map((page, i) => averageOf(before.peers[i] ?? {}, page, fsync));
  syncs.sort((a, b) => a - b);
  return syncs[Math.floor(members / 2) - 1] ?? 0;
}

function sumOf(stalls: readonly Stall[], seconds: number): StallEvidence {
  if (stalls.length === 0) return NO_STALLS;
  const byLayer = new Map<Layer, number>();
  for (const { layer, ms } of stalls) byLayer.set(layer, (byLayer.get(layer) ?? 0) + ms);
  const [layer, layerMs] = [...byLayer].reduce((best, one) => (one[1] > best[1] ? one : best));
  const longest = stalls
    .filter((stall) => stall.layer === layer)
    .reduce((best, one) => (one.ms > best.ms ? one : best));
  const allMs = stalls.reduce((sum, { ms }) => sum + ms, 0);
  return {
    count: stalls.length,
    perSecond: stalls.length / seconds,
    share: allMs / 1000 / seconds,
    msMax: Math.max(...stalls.map((stall) => stall.ms)),
    layer,
    layerShare: layerMs / allMs,
    heaviest: longest.heaviest,
  };
}
