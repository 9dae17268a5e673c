// Names what holds a server back, from what was seen of it, with the evidence. Rules, in the order in which one cause
// hides another: a machine without CPU left explains everything, a full loop explains queues, a slow sync explains waits.

export interface Evidence {
  /** Share of the time in which the event loop was busy. */
  readonly loopUtilisation: number;
  /** Longest and p99 lateness of the loop, milliseconds. */
  readonly loopDelayMsMax: number;
  readonly loopDelayMsP99: number;
  /** Share of time in garbage collection, and its longest pause. */
  readonly gcShare: number;
  readonly gcMsMax: number;
  /** CPU of the process, and CPU that the whole machine had left, in cores. */
  readonly processCores: number;
  readonly machineIdleCores: number;
  readonly machineCores: number;
  /** Shares of all CPU samples that were not idle, by layer. */
  readonly layers: Readonly<Record<Layer, number>>;
  /** From the metrics page; zeros when there is none. */
  readonly syncs: number;
  /** Average seconds a sync, and share of time in which one ran. */
  readonly syncSeconds: number;
  readonly syncShare: number;
  /** The average during the run. */
  readonly proposalsPending: number;
  readonly proposalsPerSecond: number;
  readonly requestsPerSecond: number;
  /** Members of the cluster, 1 when unknown. */
  readonly members: number;
  /** The average of all peers, seconds; only a leader asks them. */
  readonly peerRoundTripSeconds: number;
}

export const LAYERS = [
  "transport",
  "encoding",
  "log sync",
  "log",
  "quorum",
  "apply",
  "watch",
  "tls",
  "garbage collection",
  "other",
] as const;
export type Layer = (typeof LAYERS)[number];

export type Cause =
  | "the machine"
  | "log sync"
  | "garbage collection"
  | "quorum"
  | "apply"
  | "encoding"
  | "transport"
  | "watch"
  | "log"
  | "tls"
  | "queue"
  | "the client"
  | "other code";

export interface Bottleneck {
  readonly cause: Cause;
  readonly evidence: string;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const ms = (seconds: number): string => `${(seconds * 1000).toPrecision(3)} ms`;

export function nameBottleneck(seen: Evidence): Bottleneck {
  const others = seen.machineCores - seen.machineIdleCores - seen.processCores;
  if (seen.machineIdleCores < 0.1 * seen.machineCores && others > seen.processCores) {
    return {
      cause: "the machine",
      evidence: `${seen.machineIdleCores.toFixed(2)} of ${seen.machineCores} cores were idle, other programs used ${others.toFixed(2)}, this one ${seen.processCores.toFixed(2)}`,
    };
  }
  if (seen.gcShare > 0.15) {
    return {
      cause: "garbage collection",
      evidence: `${percent(seen.gcShare)} of the time, longest pause ${seen.gcMsMax.toFixed(1)} ms`,
    };
  }
  if (seen.layers["log sync"] > 0.4 && seen.loopUtilisation > 0.6) {
    return {
      cause: "log sync",
      evidence: `${percent(seen.layers["log sync"])} of the loop's busy time was spent in writes and syncs of the log, ${ms(seen.syncSeconds)} a sync`,
    };
  }
  if (seen.syncShare > 0.6 || (seen.syncs > 0 && seen.syncSeconds > 0.01)) {
    return {
      cause: "log sync",
      evidence: `a sync took ${ms(seen.syncSeconds)} on average and one ran ${percent(seen.syncShare)} of the time`,
    };
  }
  if (seen.loopUtilisation > 0.8) return busyLoop(seen);
  if (seen.members > 1 && seen.peerRoundTripSeconds > 0.005) {
    return {
      cause: "quorum",
      evidence: `peers answer after ${ms(seen.peerRoundTripSeconds)}, the loop was busy ${percent(seen.loopUtilisation)}, a sync took ${ms(seen.syncSeconds)}`,
    };
  }
  if (seen.loopDelayMsMax > 100)
    return {
      ...busyLoop(seen),
      evidence: `the loop stood still for up to ${seen.loopDelayMsMax.toFixed(0)} ms, though busy only ${percent(seen.loopUtilisation)} of the time; ${busyLoop(seen).evidence}`,
    };
  if (seen.proposalsPending > 100)
    return {
      cause: "queue",
      evidence: `${Math.round(seen.proposalsPending)} proposals waited while the loop was busy ${percent(seen.loopUtilisation)}`,
    };
  return {
    cause: "the client",
    evidence: `the loop was busy only ${percent(seen.loopUtilisation)}, syncs ${percent(seen.syncShare)} of the time, and nothing waited: more load was not asked for`,
  };
}

/** A loop without time left: the layer with most of it. */
function busyLoop(seen: Evidence): Bottleneck {
  const ranked = LAYERS.map((layer) => ({ layer, share: seen.layers[layer] })).sort(
    (a, b) => b.share - a.share,
  );
  const [first, second] = ranked as [{ layer: Layer; share: number }, { layer: Layer; share: number }];
  const cause: Cause = first.layer === "other" ? "other code" : first.layer;
  return {
    cause,
    evidence: `the loop was busy ${percent(seen.loopUtilisation)}, ${percent(first.share)} of that in ${first.layer}, ${percent(second.share)} in ${second.layer}`,
  };
}

/** Which layer a function belongs to, by its source file and name. */
export function layerOf(source: string, name: string): Layer {
  if (name === "(garbage collector)") return "garbage collection";
  if (source.startsWith("node:fs") && /^(?:fsyncSync|fdatasyncSync|writeSync|writevSync)$/.test(name))
    return "log sync";
  if (
    /core\/(?:http2|grpc)\/|io\/net\/|node:(?:net|internal\/stream|internal\/net|http|internal\/http)|node:internal\/streams/.test(
      source,
    )
  )
    return "transport";
  if (/^(?:writeUtf8String|writeLatin1String|writev|readStop|onStreamRead)$/.test(name)) return "transport";
  if (/node:(?:tls|_tls|crypto|internal\/crypto)/.test(source)) return "tls";
  if (/core\/wire\/|JSON/.test(source)) return "encoding";
  if (/core\/wal\/|io\/disk\//.test(source)) return "log";
  if (/core\/raft\/|io\/net\/peers|core\/member\/(?:peer|forward)/.test(source)) return "quorum";
  if (/core\/(?:mvcc|lease|auth|member)\//.test(source)) return "apply";
  if (/core\/watch\//.test(source)) return "watch";
  return "other";
}
