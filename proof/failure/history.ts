// What the clients did and saw, with times, for the checker.

export type OperationKind = "put" | "cas" | "get" | "delete";

export interface Operation {
  readonly kind: OperationKind;
  readonly client: number;
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

export class History {
  readonly operations: Operation[] = [];
  /** F: the highest revision of an operation that has returned. */
  floor = 1;
  readonly startedMs = performance.now();

  call(kind: OperationKind, client: number, key: string, value: string): Operation {
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

  /** Milliseconds between consecutive acknowledged writes, longest first, with when they began. */
  gaps(count: number): { readonly atMs: number; readonly lengthMs: number }[] {
    const times = this.operations
      .filter((it) => it.outcome === "ok" && it.kind !== "get")
      .map((it) => it.returnedMs)
      .sort((a, b) => a - b);
    const gaps = times
      .slice(1)
      .map((at, i) => ({ atMs: times[i]! - this.startedMs, lengthMs: at - times[i]! }));
    return gaps.sort((a, b) => b.lengthMs - a.lengthMs).slice(0, count);
  }
}
