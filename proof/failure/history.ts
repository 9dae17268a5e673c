// What the clients did and saw, with times, for the checker.

export type OperationKind = "put" | "cas" | "get" | "delete";

export interface Operation {
  readonly kind: OperationKind;
  /** Number and program. */
  readonly client: string;
  readonly key: string;
  /** Unique per write; empty for reads and deletions. */
  readonly value: string;
  readonly calledMs: number;
  /** The highest revision that any operation had shown when this one was called. */
  readonly floor: number;
  returnedMs: number;
  /** How it ended: `unknown` writes may have happened or not. */
  outcome: "ok" | "failed" | "unknown";
  /** The header's, of an operation that ended ok. */
  revision: number;
  /** Of a read: what was there; of a compare-and-set: whether it was done. */
  seenValue: string | undefined;
  seenModRevision: number;
  applied: boolean;
  error: string;
}

export interface WatchedEvent {
  readonly revision: number;
  readonly type: "put" | "delete";
  readonly key: string;
  readonly value: string;
}

/** A time without an acknowledged put; `atMs` counts from the start of the history. */
export interface Gap {
  readonly atMs: number;
  readonly lengthMs: number;
}

/** No call takes longer. */
const OLD_CALL_MS = 30_000;

export class History {
  readonly operations: Operation[] = [];
  /** F: the highest revision of an operation that has returned. */
  floor = 1;
  readonly startedMs = performance.now();

  call(kind: OperationKind, client: string, key: string, value: string): Operation {
    const operation: Operation = {
      kind,
      client,
      key,
      value,
      calledMs: performance.now(),
      floor: this.floor,
      returnedMs: 0,
      outcome: "unknown",
      revision: 0,
      seenValue: undefined,
      seenModRevision: 0,
      applied: false,
      error: "",
    };
    this.operations.push(operation);
    return operation;
  }

  returned(operation: Operation, revision: number): void {
    operation.returnedMs = performance.now();
    operation.outcome = "ok";
    operation.revision = revision;
    if (revision > this.floor) this.floor = revision;
  }

  /** When the first put after an instant was acknowledged, if one was. */
  acknowledgedAfter(atMs: number): number | undefined {
    // Looked for from the end: asked for instants of a moment ago.
    let first: number | undefined;
    for (let i = this.operations.length - 1; i >= 0; i--) {
      const { kind, outcome, calledMs, returnedMs } = this.operations[i]!;
      if (calledMs < atMs - OLD_CALL_MS) break;
      if (!isPut(kind) || outcome !== "ok" || returnedMs < atMs) continue;
      if (first === undefined || returnedMs < first) first = returnedMs;
    }
    return first;
  }

  /** The times between consecutive acknowledged puts, in order. */
  gaps(): Gap[] {
    const times = this.operations
      .filter((it) => it.outcome === "ok" && isPut(it.kind))
      .map((it) => it.returnedMs)
      .sort((a, b) => a - b);
    return times.slice(1).map((at, i) => ({ atMs: times[i]! - this.startedMs, lengthMs: at - times[i]! }));
  }
}

/** Deletions do not count as service: a full store takes them, too. */
function isPut(kind: OperationKind): boolean {
  return kind === "put" || kind === "cas";
}
