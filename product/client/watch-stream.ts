// One gRPC stream for all watches of a client (of one kind: those that require a leader have their own, since the
// server ends a whole stream). It speaks the protocol and hides that connections end:
//
//   create ──► created ──► responses … ──► cancelled, or the user closes it
//       ▲                      │ the stream ends with Unavailable or Internal
//       └── from the revision after the last one seen, on a new stream
//
// Watch ids are chosen here, so that answers find their watch; only a refused creation (id -1) goes to the oldest watch
// that is waiting for its `created`: servers answer creations in order.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { WireError } from "../../core/wire/reader.ts";
import type { Input, MessageOf } from "../../core/wire/schema.ts";
import { decode, encode } from "../../core/wire/schema.ts";
import type { WatchCreateRequest } from "../../core/wire/messages.ts";
import { WatchRequest, WatchResponse } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { CODE, STATUS, statusByText } from "../../core/wire/status.ts";
import type { StreamOpener } from "./caller.ts";
import type { CallSink, OpenCall } from "./channel.ts";
import { EtcdError, toEtcdError } from "./errors.ts";

export type WatchMessage = MessageOf<typeof WatchResponse>;

export interface WatchTarget {
  /** Events, progress, and the `created` message, whole. */
  onMessage(message: WatchMessage): void;
  /** No more will come; no error when the user closed the watch. `message` is what the server ended it with. */
  onEnd(error: EtcdError | undefined, message?: WatchMessage): void;
}

type CreateRequest = Input<MessageOf<typeof WatchCreateRequest>>;

const RECONNECT_DELAY_MS_MIN = 25;
const RECONNECT_DELAY_MS_MAX = 1000;

class Entry {
  id: bigint;
  readonly request: CreateRequest;
  readonly target: WatchTarget;
  /** Where to start anew: 0 until the server said where it began. */
  nextRevision: number;
  isCreated = false;
  /** Created once already: the user has seen `created`. */
  isResumed = false;
  isPaused = false;
  /** Events of a message that came in parts. */
  fragments: WatchMessage["events"] = [];

  constructor(id: bigint, request: CreateRequest, target: WatchTarget) {
    this.id = id;
    this.request = request;
    this.target = target;
    this.nextRevision = request.start_revision ?? 0;
  }
}

/** A watch, as its user holds it. */
export interface WatchHandle {
  close(): void;
  /** Stops the server's sending; what is missed comes after resume(). */
  pause(): void;
  resume(): void;
}

export class WatchStream {
  readonly #caller: StreamOpener;
  readonly #requireLeader: boolean;
  readonly #entries = new Map<bigint, Entry>();
  #call: OpenCall | undefined;
  #isOpening = false;
  #isClosed = false;
  #nextId = 1n;
  #failureCount = 0;
  /** Which stream answers belong to; those of an earlier one are dropped. */
  #generation = 0;

  constructor(caller: StreamOpener, requireLeader: boolean) {
    this.#caller = caller;
    this.#requireLeader = requireLeader;
  }

  add(request: CreateRequest, target: WatchTarget): WatchHandle {
    const entry = new Entry(this.#nextId++, request, target);
    this.#entries.set(entry.id, entry);
    if (this.#isClosed)
      queueMicrotask(() => this.#end(entry, new EtcdError(CODE.canceled, "the client is closed")));
    else if (this.#call !== undefined) this.#create(entry);
    else this.#open();
    return {
      close: () => this.#close(entry),
      pause: () => this.#pause(entry),
      resume: () => this.#resume(entry),
    };
  }

  /** Asks the server to say how far it is; the answer goes to every watch of the stream. */
  requestProgress(): void {
    if (this.#call !== undefined) this.#send({ progress_request: {} });
  }

  close(): void {
    this.#isClosed = true;
    this.#call?.cancel();
    this.#call = undefined;
    for (const entry of Array.from(this.#entries.values())) this.#end(entry, undefined);
  }

  #close(entry: Entry): void {
    if (!this.#entries.has(entry.id)) return;
    if (this.#call !== undefined && !entry.isPaused) this.#send({ cancel_request: { watch_id: entry.id } });
    this.#end(entry, undefined);
    this.#endIfIdle();
  }

  #pause(entry: Entry): void {
    if (entry.isPaused || !this.#entries.has(entry.id)) return;
    entry.isPaused = true;
    if (this.#call !== undefined) this.#send({ cancel_request: { watch_id: entry.id } });
  }

  #resume(entry: Entry): void {
    if (!entry.isPaused || !this.#entries.has(entry.id)) return;
    // Under a new id: messages of the old one may still be on their way.
    this.#entries.delete(entry.id);
    entry.id = this.#nextId++;
    entry.isPaused = false;
    this.#entries.set(entry.id, entry);
    if (this.#call !== undefined) this.#create(entry);
    else this.#open();
  }

  /** A stream without watches is given back, so that it does not keep the process alive. */
  #endIfIdle(): void {
    if (this.#entries.size > 0) return;
    this.#call?.cancel();
    this.#call = undefined;
    this.#generation++;
  }

  #open(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.#openStream().catch((error: unknown) => {
      this.#isOpening = false;
      this.#failAll(toEtcdError(error));
    });
  }

  async #openStream(): Promise<void> {
    const generation = ++this.#generation;
    const sink: CallSink = {
      onMessage: (bytes, start, end) => {
        if (generation === this.#generation) this.#onBytes(bytes, start, end);
      },
      onEnd: (code, text) => {
        if (generation === this.#generation) this.#onStreamEnd(new EtcdError(code, text));
      },
    };
    const call = await this.#caller.stream(METHOD.watch, sink, { requireLeader: this.#requireLeader });
    this.#isOpening = false;
    if (this.#isClosed || generation !== this.#generation) return call.cancel();
    this.#call = call;
    if (this.#entries.size === 0) return this.#endIfIdle();
    for (const entry of this.#entries.values()) if (!entry.isPaused) this.#create(entry);
  }

  #create(entry: Entry): void {
    entry.isCreated = false;
    entry.fragments = [];
    this.#send({
      create_request: { ...entry.request, watch_id: entry.id, start_revision: entry.nextRevision },
    });
  }

  #send(request: Input<MessageOf<typeof WatchRequest>>): void {
    const writer = new ByteWriter(128);
    encode(WatchRequest, request, writer);
    this.#call?.send(writer.copy());
  }

  #onBytes(bytes: Uint8Array, start: number, end: number): void {
    let message: WatchMessage;
    try {
      message = decode(WatchResponse, bytes, start, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.#failAll(new EtcdError(CODE.internal, error.message, { cause: error }));
    }
    this.#failureCount = 0;
    this.#onMessage(message);
  }

  #onMessage(message: WatchMessage): void {
    if (message.watch_id === -1n) return this.#onUnnamed(message);
    const entry = this.#entries.get(message.watch_id);
    if (entry === undefined || entry.isPaused) return;
    if (message.canceled) return this.#end(entry, cancelError(message), message);
    if (message.created) return this.#onCreated(entry, message);
    this.#onEvents(entry, message);
  }

  /** A refused creation, or progress for everybody. */
  #onUnnamed(message: WatchMessage): void {
    if (message.created || message.canceled) {
      for (const entry of this.#entries.values()) {
        if (!entry.isCreated && !entry.isPaused) return this.#end(entry, cancelError(message), message);
      }
      return;
    }
    for (const entry of Array.from(this.#entries.values())) {
      if (entry.isCreated && !entry.isPaused) this.#onEvents(entry, message);
    }
  }

  #onCreated(entry: Entry, message: WatchMessage): void {
    entry.isCreated = true;
    if (entry.nextRevision === 0) entry.nextRevision = (message.header?.revision ?? 0) + 1;
    if (!entry.isResumed) entry.target.onMessage(message);
    entry.isResumed = true;
  }

  #onEvents(entry: Entry, message: WatchMessage): void {
    if (message.fragment) {
      for (const event of message.events) entry.fragments.push(event);
      return;
    }
    if (entry.fragments.length > 0) {
      message.events = [...entry.fragments, ...message.events];
      entry.fragments = [];
    }
    const last = message.events.at(-1)?.kv?.mod_revision;
    // A message without events promises that all up to its revision were sent.
    const seen = last ?? message.header?.revision ?? 0;
    if (seen >= entry.nextRevision) entry.nextRevision = seen + 1;
    entry.target.onMessage(message);
  }

  /** Only Unavailable and Internal are a connection's fault; anything else is an answer (facts: 2.3). */
  #onStreamEnd(error: EtcdError): void {
    this.#call = undefined;
    this.#generation++;
    this.#caller.forgetTokenAfter(error);
    if (this.#isClosed || this.#entries.size === 0) return;
    const isAnswer = this.#requireLeader && error.message === STATUS.noLeader.text;
    if ((error.code !== CODE.unavailable && error.code !== CODE.internal) || isAnswer)
      return this.#failAll(error);
    const delayMs = Math.min(RECONNECT_DELAY_MS_MAX, RECONNECT_DELAY_MS_MIN * 2 ** this.#failureCount++);
    setTimeout(() => {
      if (!this.#isClosed && this.#entries.size > 0 && this.#call === undefined) this.#open();
    }, delayMs);
  }

  #failAll(error: EtcdError): void {
    this.#call?.cancel();
    this.#call = undefined;
    this.#generation++;
    for (const entry of Array.from(this.#entries.values())) this.#end(entry, error);
  }

  #end(entry: Entry, error: EtcdError | undefined, message?: WatchMessage): void {
    if (!this.#entries.delete(entry.id)) return;
    entry.target.onEnd(error, message);
  }
}

/** A compaction has no reason, only a revision. */
function cancelError(message: WatchMessage): EtcdError {
  if (message.compact_revision !== 0) return new WatchCompactedError(message.compact_revision);
  const reason = message.cancel_reason === "" ? STATUS.futureRevision.text : message.cancel_reason;
  const known = statusByText(reason);
  return new EtcdError(known?.code ?? CODE.unknown, reason);
}

/** The revision to start from is no longer there: read the state anew, and watch from that read's revision + 1. */
export class WatchCompactedError extends EtcdError {
  /** The oldest revision that can still be watched from. */
  readonly compactRevision: number;
  constructor(compactRevision: number) {
    super(STATUS.compacted.code, STATUS.compacted.text);
    this.compactRevision = compactRevision;
  }
}
