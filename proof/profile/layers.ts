// Which part of a server a function works for, by its source and by who called it.
//
// Most sources belong to one part. Some are tools of several: bytes and numbers (core/base), the store, natives. Those
// count for the nearest caller that belongs to one part: a walk over the key tree is an application, a read, or part
// of a checkpoint, and only the stack knows which.

export const LAYERS = [
  "transport",
  "encoding",
  "log sync",
  "log",
  "quorum",
  "apply",
  "reads",
  "watch",
  "housekeeping",
  "tls",
  "garbage collection",
  "runtime",
  "other",
] as const;
export type Layer = (typeof LAYERS)[number];

export interface Place {
  /** Path of the source, or `node:…`; empty for natives. */
  readonly source: string;
  readonly name: string;
}

/** Sources of one part, whoever calls them. The first that fits. */
const OWN: readonly (readonly [sources: RegExp, layer: Layer])[] = [
  [/core\/(?:http2|grpc)\/|io\/net\/(?!peer)/, "transport"],
  [/node:(?:net|http|internal\/stream|internal\/streams|internal\/net|internal\/http|_http)/, "transport"],
  [/node:(?:tls|_tls|crypto|internal\/crypto|internal\/tls)/, "tls"],
  [/core\/wire\//, "encoding"],
  [/core\/wal\/|io\/disk\//, "log"],
  [/core\/raft\/|io\/net\/peer|core\/member\/(?:peer|forward)/, "quorum"],
  [/core\/watch\/|core\/member\/watch/, "watch"],
  [/core\/mvcc\/range-|core\/member\/(?:reading|reads|large-answers)/, "reads"],
  [/core\/mvcc\/(?:checkpoint|compaction|cooling|hash|housekeeping|manifest|verify)/, "housekeeping"],
  [/core\/member\/(?:housekeeping|checkpoint|past-times|snapshot|divergence|lease-keeper)/, "housekeeping"],
  [/core\/member\/apply/, "apply"],
];

/** The member and its state: tools of these parts, and of nobody's else. Without one of them as caller it is "apply". */
const STATE = /core\/(?:mvcc|lease|auth|member)\//;
const STATE_LAYERS: ReadonlySet<Layer> = new Set(["apply", "reads", "watch", "housekeeping"]);

const SYNCS = /^(?:fsync|fdatasync|fsyncSync|fdatasyncSync|writeSync|writevSync)$/;
const SOCKET_NATIVES = /^(?:writeUtf8String|writeLatin1String|writev|readStop|onStreamRead)$/;

/** The part that this place belongs to whoever called it; undefined when that depends on the caller. */
function ownLayer({ source, name }: Place): Layer | undefined {
  if (name === "(garbage collector)") return "garbage collection";
  if (name === "(program)") return "runtime";
  if (source.startsWith("node:fs") && SYNCS.test(name)) return "log sync";
  if (source === "" && SOCKET_NATIVES.test(name)) return "transport";
  return OWN.find(([sources]) => sources.test(source))?.[1];
}

/** The part that a stack works for; `stack` from the innermost function outwards. */
export function layerOf(stack: readonly Place[]): Layer {
  let isState = false;
  for (const place of stack) {
    const layer = ownLayer(place);
    // What hands a request to the member does not do the member's work.
    if (isState && layer !== undefined) return STATE_LAYERS.has(layer) ? layer : "apply";
    if (layer !== undefined) return layer;
    isState ||= STATE.test(place.source);
  }
  if (isState) return "apply";
  return stack.some(({ source }) => source.startsWith("node:")) ? "runtime" : "other";
}
