// Names what holds a server back, from what was seen of it, with the evidence. Rules, in the order in which one cause
// hides another: a machine without CPU left explains everything, a full loop explains queues, a slow sync explains waits.

import { type Layer, LAYERS } from "./layers.ts";

export interface Evidence {
  /** Share of the time in which the event loop was busy. */
  readonly loopUtilisation: number;
  /** Longest and p99 lateness of the loop, milliseconds. */
  readonly loopDelayMsMax: number;
  readonly loopDelayMsP99: number;
  /** Stretches of 20 ms and more in which the loop ran without a pause; none are counted when it had no pauses at all. */
  readonly stalls: StallEvidence;
  /** Share of time in garbage collection, and its longest pause. */
  readonly gcShare: number;
  readonly gcMsMax: number;
  /** CPU of the process, and CPU that the whole machine had left, in cores. */
  readonly processCores: number;
  readonly machineIdleCores: number;
  readonly machineCores: number;
  /** What the hypervisor gave to others, in cores; 0 where the kernel does not say. */
  readonly machineStealCores: number;
  /** Share of time in which the loop's thread could run and had no core; 0 where the kernel does not say. */
  readonly cpuWaitShare: number;
  /** Shares of all CPU samples that were not idle, by layer. */
  readonly layers: Readonly<Record<Layer, number>>;
  /** From the metrics page; zeros when there is none. */
  readonly syncs: number;
  /** Average seconds a sync, and share of time in which one ran. */
  readonly syncSeconds: number;
  readonly syncShare: number;
  /** Average seconds that a turn held the loop. */
  readonly turnSeconds: number;
  /** The median of looks during the run. */
  readonly proposalsPending: number;
  readonly proposalsPerSecond: number;
  readonly requestsPerSecond: number;
  /** Calls refused because too many waited. */
  readonly refusedPerSecond: number;
  /** Members of the cluster, 1 when unknown. */
  readonly members: number;
  /** The average of all peers, seconds; only a leader asks them. */
  readonly peerRoundTripSeconds: number;
  /** Average sync of the quickest other members that a quorum needs, seconds; 0 when their endpoints were not given. */
  readonly peerSyncSeconds: number;
  /** CPU of the busiest client on this machine, in cores; 0 when none was found. */
  readonly clientCores: number;
}

export interface StallEvidence {
  readonly count: number;
  readonly perSecond: number;
  /** Of the time. */
  readonly share: number;
  readonly msMax: number;
  /** What most of their time went to. */
  readonly layer: Layer;
  readonly layerShare: number;
  readonly heaviest: string;
}

export const NO_STALLS: StallEvidence = {
  count: 0,
  perSecond: 0,
  share: 0,
  msMax: 0,
  layer: "other",
  layerShare: 0,
  heaviest: "",
};

export type Cause =
  | "the machine"
  | "log sync"
  | "garbage collection"
  | "quorum"
  | "apply"
  | "reads"
  | "encoding"
  | "transport"
  | "watch"
  | "housekeeping"
  | "log"
  | "tls"
  | "queue"
  | "the client"
  | "the runtime"
  | "other code";

export interface Bottleneck {
  readonly cause: Cause;
  readonly evidence: string;
}

/** From here on more load means longer queues, not more work done. */
const LOOP_FULL = 0.8;
/** Of the time; below it is what a client on the same two cores takes. */
const CPU_WAIT_SHARE_MAX = 0.25;
const STEAL_SHARE_MAX = 0.15;
const GC_SHARE_MAX = 0.15;
/** Of the loop's busy time, and of all time, when syncs are made on the loop. */
const INLINE_SYNC_SHARE_MAX = 0.4;
const SYNC_SHARE_MAX = 0.6;
/** Slower than any network or disk within a data centre that is well. */
const ROUND_TRIP_SECONDS_MAX = 0.005;
const SYNC_SECONDS_MAX = 0.01;
/** Several times what a disk takes that is well. */
const SLOW_SYNC_SECONDS_MIN = 0.005;
/** Waits this many times as long as what is known to take part in them are somebody else's. */
const UNEXPLAINED_FACTOR = 3;
const WAIT_SECONDS_MIN = 0.002;
/** Fewer, or less of the time, are accidents: a checkpoint, a slow sync. */
const STALLS_PER_SECOND_MIN = 0.75;
const STALLED_SHARE_MIN = 0.03;

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const ms = (seconds: number): string => `${(seconds * 1000).toPrecision(3)} ms`;
const busy = (seen: Evidence): string => `the loop was busy ${percent(seen.loopUtilisation)}`;

const RULES: readonly ((seen: Evidence) => Bottleneck | undefined)[] = [
  machine,
  garbageCollection,
  logSync,
  busyLoop,
  quorum,
  stalls,
  queue,
];

export function nameBottleneck(seen: Evidence): Bottleneck {
  for (const rule of RULES) {
    const named = rule(seen);
    if (named !== undefined) return named;
  }
  return client(seen);
}

function machine(seen: Evidence): Bottleneck | undefined {
  const { machineCores, machineStealCores, cpuWaitShare, processCores } = seen;
  const isStolen = machineStealCores > STEAL_SHARE_MAX * machineCores;
  // The samples of a thread without a core count for the function that it is in.
  const ownShare = heaviestLayer(seen).share * Math.max(0, seen.loopUtilisation - cpuWaitShare);
  const isStarved = cpuWaitShare > CPU_WAIT_SHARE_MAX && cpuWaitShare > ownShare;
  if (!isStarved && !isStolen) return undefined;
  const others = Math.max(0, machineCores - seen.machineIdleCores - machineStealCores - processCores);
  const stolen = machineStealCores < 0.01 ? "" : `, the hypervisor took ${machineStealCores.toFixed(2)}`;
  return {
    cause: "the machine",
    evidence: `the loop could run and had no core for ${percent(cpuWaitShare)} of the time; of ${machineCores} cores this program used ${processCores.toFixed(2)}, others ${others.toFixed(2)}${stolen}`,
  };
}

function garbageCollection(seen: Evidence): Bottleneck | undefined {
  // Steps of incremental marking are in the samples only.
  const share = Math.max(seen.gcShare, seen.layers["garbage collection"] * seen.loopUtilisation);
  const isLarge = seen.layers["garbage collection"] >= heaviestLayer(seen, "garbage collection").share / 2;
  if (share <= GC_SHARE_MAX || !isLarge) return undefined;
  return {
    cause: "garbage collection",
    evidence: `${percent(share)} of the time, longest pause ${seen.gcMsMax.toFixed(1)} ms`,
  };
}

function logSync(seen: Evidence): Bottleneck | undefined {
  const share = seen.layers["log sync"];
  if (share > INLINE_SYNC_SHARE_MAX && seen.syncShare > INLINE_SYNC_SHARE_MAX)
    return {
      cause: "log sync",
      evidence: `${percent(share)} of the loop's busy time was spent in writes and syncs of the log, ${ms(seen.syncSeconds)} a sync`,
    };
  // In the background they hold nobody up who computes. A loop that waits for slow syncs of its own does not.
  const isSlow = seen.syncSeconds > SLOW_SYNC_SECONDS_MIN;
  const computing = seen.loopUtilisation * (isSlow ? 1 - share : 1);
  if (computing > LOOP_FULL) return undefined;
  if (seen.syncShare <= SYNC_SHARE_MAX && seen.syncSeconds <= SYNC_SECONDS_MAX) return undefined;
  return {
    cause: "log sync",
    evidence: `a sync took ${ms(seen.syncSeconds)} on average and one ran ${percent(seen.syncShare)} of the time; ${busy(seen)}`,
  };
}

/** A loop without time left: the layer with most of it. */
function busyLoop(seen: Evidence): Bottleneck | undefined {
  if (seen.loopUtilisation <= LOOP_FULL) return undefined;
  const first = heaviestLayer(seen);
  const second = heaviestLayer(seen, first.layer);
  return {
    cause: causeOf(first.layer),
    evidence: `${busy(seen)}, ${percent(first.share)} of that in ${first.layer}, ${percent(second.share)} in ${second.layer}`,
  };
}

function heaviestLayer(seen: Evidence, without?: Layer): { readonly layer: Layer; readonly share: number } {
  return LAYERS.filter((layer) => layer !== without)
    .map((layer) => ({ layer, share: seen.layers[layer] }))
    .reduce((best, one) => (one.share > best.share ? one : best));
}

function quorum(seen: Evidence): Bottleneck | undefined {
  if (seen.members === 1) return undefined;
  const roundTrip = seen.peerRoundTripSeconds;
  if (roundTrip <= ROUND_TRIP_SECONDS_MAX && !waitsLong(seen)) return undefined;
  const wait = seen.proposalsPending > 0 ? `a proposal waited ${ms(waitSeconds(seen))}; ` : "";
  const disks = seen.peerSyncSeconds > 0 ? `, their syncs took ${ms(seen.peerSyncSeconds)}` : "";
  return {
    cause: "quorum",
    evidence: `${wait}peers answered after ${ms(roundTrip)}${disks}; ${busy(seen)}, a sync here took ${ms(seen.syncSeconds)}`,
  };
}

function stalls(seen: Evidence): Bottleneck | undefined {
  const { count, perSecond, share, msMax, layer, layerShare, heaviest } = seen.stalls;
  if (perSecond < STALLS_PER_SECOND_MIN || share < STALLED_SHARE_MIN) return undefined;
  return {
    cause: causeOf(layer),
    evidence: `the loop stood still ${count} times, for up to ${msMax.toFixed(0)} ms, though busy only ${percent(seen.loopUtilisation)} of the time: ${percent(layerShare)} of that in ${layer}, most in ${heaviest}`,
  };
}

function queue(seen: Evidence): Bottleneck | undefined {
  const refused =
    seen.refusedPerSecond > 0 ? `${Math.round(seen.refusedPerSecond)} calls a second were refused; ` : "";
  if (refused === "" && !waitsLong(seen)) return undefined;
  return {
    cause: "queue",
    evidence: `${refused}${Math.round(seen.proposalsPending)} proposals waited, each ${ms(waitSeconds(seen))}, while ${busy(seen)} and a sync took ${ms(seen.syncSeconds)}`,
  };
}

function client(seen: Evidence): Bottleneck {
  const used =
    seen.clientCores > 0
      ? `; the busiest client of this machine used ${seen.clientCores.toFixed(2)} cores`
      : "";
  return {
    cause: "the client",
    evidence: `${busy(seen)} only, syncs ${percent(seen.syncShare)} of the time, and nothing waited: more load was not asked for${used}`,
  };
}

/** How long a proposal waits, by Little's law. */
function waitSeconds(seen: Evidence): number {
  return seen.proposalsPending / Math.max(1, seen.proposalsPerSecond);
}

/** Longer than syncs and the loop's own work explain. */
function waitsLong(seen: Evidence): boolean {
  const explained = UNEXPLAINED_FACTOR * (seen.syncSeconds + seen.turnSeconds);
  return waitSeconds(seen) > Math.max(WAIT_SECONDS_MIN, explained);
}

function causeOf(layer: Layer): Cause {
  if (layer === "other") return "other code";
  return layer === "runtime" ? "the runtime" : layer;
}
