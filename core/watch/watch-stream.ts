// One Watch call: its watchers, and whether it can take messages. The lists run through the rows of watchers.ts.

import type { WatchCall } from "./watch-call.ts";

/** Bounds what a client can have kept by creating watchers below the compacted revision; the oldest ids are free again beyond it. */
const ENDED_IDS_MAX = 1000;

export class WatchStream {
  /** Undefined once the call has ended; the watchers may still be on their way out. */
  call: WatchCall | undefined;
  /** In the hub's table of streams. */
  readonly index: number;
  /** Whether the client asked (metadata `hasleader`) to be told when there is no leader. */
  readonly needsLeader: boolean;
  /** First of the watchers that have everything; of those that lag, first and last (the first is served first). */
  firstSynced = 0;
  firstLagging = 0;
  lastLagging = 0;
  watcherCount = 0;
  laggingCount = 0;
  /** First and last of the groups of a batch that is being delivered to it; -1 outside. */
  firstGroup = -1;
  lastGroup = -1;
  /** The next id to assign, when no other stands in the way. */
  nextIdHi = 0;
  nextIdLo = 0;
  /** No messages with events for the time being: the transport is full, or the call has ended. */
  isBlocked = false;
  /** Control messages written since it was blocked. */
  controlBacklog = 0;
  /** Progress requests that wait for the end of the turn. */
  progressRequestCount = 0;
  /** No watcher started above it: below it, some may have started in the future, and progress is withheld. */
  startRevisionMax = 0;
  /** When watchers that asked for it are next told of progress; Infinity while none did. */
  progressDueMs = Infinity;
  /** Links of the queue of streams with watchers to catch up. */
  isQueued = false;
  queueNext: WatchStream | undefined = undefined;
  queuePrevious: WatchStream | undefined = undefined;
  /** In order of their ends; most streams have none. */
  #endedIds: Set<string> | undefined = undefined;

  constructor(call: WatchCall, index: number) {
    this.call = call;
    this.index = index;
    this.needsLeader = call.metadata("hasleader") === "true";
  }

  /** A compaction ended this watcher: as in etcd its id stays taken until the client cancels it as well. */
  noteEnded(idHi: number, idLo: number): void {
    this.#endedIds ??= new Set();
    this.#endedIds.add(`${idHi} ${idLo}`);
    if (this.#endedIds.size <= ENDED_IDS_MAX) return;
    for (const oldest of this.#endedIds) {
      this.#endedIds.delete(oldest);
      return;
    }
  }

  isEnded(idHi: number, idLo: number): boolean {
    return this.#endedIds?.has(`${idHi} ${idLo}`) === true;
  }

  /** False when the id was not that of a watcher that a compaction ended. */
  forgetEnded(idHi: number, idLo: number): boolean {
    return this.#endedIds?.delete(`${idHi} ${idLo}`) === true;
  }
}

/** Streams with lagging watchers that could be served now, first in, first out. */
export class StreamQueue {
  first: WatchStream | undefined = undefined;
  #last: WatchStream | undefined = undefined;

  add(stream: WatchStream): void {
    if (stream.isQueued) return;
    stream.isQueued = true;
    stream.queuePrevious = this.#last;
    stream.queueNext = undefined;
    if (this.#last === undefined) this.first = stream;
    else this.#last.queueNext = stream;
    this.#last = stream;
  }

  remove(stream: WatchStream): void {
    if (!stream.isQueued) return;
    const { queueNext: next, queuePrevious: previous } = stream;
    if (previous === undefined) this.first = next;
    else previous.queueNext = next;
    if (next === undefined) this.#last = previous;
    else next.queuePrevious = previous;
    stream.isQueued = false;
    stream.queueNext = stream.queuePrevious = undefined;
  }
}
