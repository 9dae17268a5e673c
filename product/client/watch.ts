/** Watching keys. */

import type { Caller } from "./caller.ts";
import type { EtcdError } from "./errors.ts";
import type { KeySelection } from "./range.ts";
import { selectKeys } from "./range.ts";
import type { Bytes, Header, WatchEvent } from "./types.ts";
import { toEvent, toHeader } from "./types.ts";
import type { WatchHandle, WatchMessage } from "./watch-stream.ts";
import { WatchStream } from "./watch-stream.ts";

export interface WatchOptions extends KeySelection {
  /** The first revision to see; 0 for what happens from now on. A compacted one ends the watch. */
  readonly startRevision?: number | undefined;
  /** With each event the version before it. */
  readonly previous?: boolean | undefined;
  /** Leave out puts, or deletions. */
  readonly noPut?: boolean | undefined;
  readonly noDelete?: boolean | undefined;
  /** Have the server say how far it is when nothing happens (by default every ten minutes). */
  readonly progressNotify?: boolean | undefined;
  /** End with Unavailable, "etcdserver: no leader", when the member loses its cluster. */
  readonly requireLeader?: boolean | undefined;
  /** Aborting it closes the watch. */
  readonly signal?: AbortSignal | undefined;
}

export interface WatchResponse {
  readonly header: Header;
  /** All events of a revision come together; empty in a progress message. */
  readonly events: readonly WatchEvent[];
}

/** Called in order; none is called after onEnd. */
export interface WatchCallbacks {
  /** The server has taken the watch: whatever happens from header.revision + 1 on will be seen. */
  onCreated?(header: Header): void;
  onResponse(response: WatchResponse): void;
  /** `error` is undefined when the watch was closed here; `header` is there when the server closed it. */
  onEnd?(error: EtcdError | undefined, header?: Header): void;
}

export interface Watch {
  close(): void;
}

/** Responses that may wait for an iterating reader; beyond it the server is asked to stop, and later to go on. */
const QUEUE_LENGTH_MAX = 1000;

export class WatchClient {
  readonly #streams: { readonly plain: WatchStream; readonly requireLeader: WatchStream };

  constructor(caller: Caller) {
    this.#streams = { plain: new WatchStream(caller, false), requireLeader: new WatchStream(caller, true) };
  }

  /**
   * Responses as an async iterable. It ends when `signal` is aborted or the loop is left, and throws EtcdError when the
   * server ends the watch (WatchCompactedError when history is missing). When the connection breaks it goes on at
   * another member, from the revision after the last one seen: nothing is missed, nothing comes twice.
   *
   *     for await (const { events } of client.watch.watch("/jobs/", { prefix: true })) …
   */
  async *watch(key: Bytes, options: WatchOptions = {}): AsyncGenerator<WatchResponse, void, undefined> {
    const queue: WatchResponse[] = [];
    let wake: () => void = () => {};
    let isOver = false;
    let error: EtcdError | undefined;
    const handle = this.#add(key, options, {
      onResponse(response) {
        queue.push(response);
        if (queue.length === QUEUE_LENGTH_MAX) handle.pause();
        wake();
      },
      onEnd(fault) {
        isOver = true;
        error = fault;
        wake();
      },
    });
    try {
      for (;;) {
        const response = queue.shift();
        if (response !== undefined) {
          yield response;
          continue;
        }
        if (isOver) break;
        const woken = new Promise<void>((resolve) => (wake = resolve));
        handle.resume();
        await woken;
      }
      if (error !== undefined) throw error;
    } finally {
      handle.close();
    }
  }

  /** The same with callbacks. They must keep up: what they are given is not held back. */
  subscribe(key: Bytes, options: WatchOptions, callbacks: WatchCallbacks): Watch {
    return this.#add(key, options, callbacks);
  }

  /** Asks the server how far it is: every watch then gets a response without events, if all are up to date. */
  requestProgress(options: { readonly requireLeader?: boolean } = {}): void {
    (options.requireLeader === true ? this.#streams.requireLeader : this.#streams.plain).requestProgress();
  }

  close(): void {
    this.#streams.plain.close();
    this.#streams.requireLeader.close();
  }

  #add(key: Bytes, options: WatchOptions, callbacks: WatchCallbacks): WatchHandle {
    const stream = options.requireLeader === true ? this.#streams.requireLeader : this.#streams.plain;
    const filters: number[] = [];
    if (options.noPut === true) filters.push(0);
    if (options.noDelete === true) filters.push(1);
    const request = {
      ...selectKeys(key, options),
      start_revision: options.startRevision ?? 0,
      progress_notify: options.progressNotify ?? false,
      prev_kv: options.previous ?? false,
      fragment: true,
      filters,
    };
    const abort = (): void => handle.close();
    const handle = stream.add(request, {
      onMessage: (message) => deliver(message, callbacks),
      onEnd(error, message) {
        options.signal?.removeEventListener("abort", abort);
        callbacks.onEnd?.(error, message === undefined ? undefined : toHeader(message.header));
      },
    });
    if (options.signal?.aborted === true) queueMicrotask(abort);
    options.signal?.addEventListener("abort", abort);
    return handle;
  }
}

function deliver(message: WatchMessage, callbacks: WatchCallbacks): void {
  const header = toHeader(message.header);
  if (message.created) callbacks.onCreated?.(header);
  else callbacks.onResponse({ header, events: message.events.map(toEvent) });
}
