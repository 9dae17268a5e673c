// One stream that renews all leases of a client: a request a third of the way through each TTL, as etcd's client does.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import { decode, encode } from "../../core/wire/schema.ts";
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { CODE, STATUS } from "../../core/wire/status.ts";
import type { StreamOpener } from "./caller.ts";
import type { OpenCall } from "./channel.ts";
import { EtcdError, toEtcdError } from "./errors.ts";

export type KeepAliveMessage = MessageOf<typeof LeaseKeepAliveResponse>;

export interface KeepAliveTarget {
  onRenewed?(message: KeepAliveMessage): void;
  /** The lease ran out or was revoked, or nobody answered for a whole TTL; undefined when the user stopped. */
  onEnd?(error: EtcdError | undefined): void;
}

/** Before the first answer the TTL is unknown: etcd's client assumes this. */
const FIRST_TTL_MS = 10_000;
const RECONNECT_DELAY_MS = 500;
const TICK_MS = 500;

interface Entry {
  readonly id: bigint;
  readonly targets: Set<KeepAliveTarget>;
  /** By performance.now(). */
  nextSendMs: number;
  /** Without an answer until then the lease counts as lost. */
  deadlineMs: number;
}

export class LeaseKeeper {
  readonly #caller: StreamOpener;
  readonly #entries = new Map<bigint, Entry>();
  #call: OpenCall | undefined;
  #isOpening = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(caller: StreamOpener) {
    this.#caller = caller;
  }

  /** Returns a function that stops renewing. */
  add(id: bigint, target: KeepAliveTarget): () => void {
    const now = performance.now();
    const found = this.#entries.get(id);
    const entry = found ?? { id, targets: new Set(), nextSendMs: now, deadlineMs: now + FIRST_TTL_MS };
    this.#entries.set(id, entry);
    entry.targets.add(target);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    if (this.#call === undefined) this.#open();
    else this.#sendDue();
    return () => {
      if (!entry.targets.delete(target)) return;
      if (entry.targets.size === 0) this.#entries.delete(id);
      target.onEnd?.(undefined);
      this.#stopIfIdle();
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const entry of Array.from(this.#entries.values())) this.#lose(entry, undefined);
    this.#stopIfIdle();
  }

  #open(): void {
    if (this.#isOpening || this.#isClosed) return;
    this.#isOpening = true;
    this.#openStream().catch((error: unknown) => {
      this.#isOpening = false;
      for (const entry of Array.from(this.#entries.values())) this.#lose(entry, toEtcdError(error));
      this.#stopIfIdle();
    });
  }

  async #openStream(): Promise<void> {
    const call = await this.#caller.stream(METHOD.leaseKeepAlive, {
      onMessage: (bytes, start, end) => this.#onMessage(decode(LeaseKeepAliveResponse, bytes, start, end)),
      onEnd: (code, text) => {
        if (this.#call === call) this.#onStreamEnd(new EtcdError(code, text));
      },
    });
    this.#call = call;
    this.#isOpening = false;
    this.#stopIfIdle();
    const now = performance.now();
    for (const entry of this.#entries.values()) entry.nextSendMs = Math.min(entry.nextSendMs, now);
    this.#sendDue();
  }

  #onStreamEnd(error: EtcdError): void {
    this.#call = undefined;
    this.#caller.forgetTokenAfter(error);
    if (this.#isClosed || this.#entries.size === 0) return;
    setTimeout(() => {
      if (this.#entries.size > 0) this.#open();
    }, RECONNECT_DELAY_MS);
  }

  #onMessage(message: KeepAliveMessage): void {
    const entry = this.#entries.get(message.ID);
    if (entry === undefined) return;
    if (message.TTL <= 0) {
      const { code, text } = STATUS.leaseNotFound;
      this.#lose(entry, new EtcdError(code, text));
      return this.#stopIfIdle();
    }
    const now = performance.now();
    entry.nextSendMs = now + (message.TTL * 1000) / 3;
    entry.deadlineMs = now + message.TTL * 1000;
    for (const target of entry.targets) target.onRenewed?.(message);
  }

  #tick(): void {
    const now = performance.now();
    for (const entry of Array.from(this.#entries.values())) {
      if (now < entry.deadlineMs) continue;
      this.#lose(entry, new EtcdError(CODE.unavailable, "no answer to keep-alives for a whole TTL"));
    }
    this.#sendDue();
    this.#stopIfIdle();
  }

  #sendDue(): void {
    if (this.#call === undefined) return;
    const now = performance.now();
    for (const entry of this.#entries.values()) {
      if (entry.nextSendMs > now) continue;
      const writer = new ByteWriter(16);
      encode(LeaseKeepAliveRequest, { ID: entry.id }, writer);
      this.#call.send(writer.copy());
      // Asked again soon if there is no answer; the answer sets the real time.
      entry.nextSendMs = now + TICK_MS * 2;
    }
  }

  #lose(entry: Entry, error: EtcdError | undefined): void {
    this.#entries.delete(entry.id);
    for (const target of entry.targets) target.onEnd?.(error);
  }

  /** Without leases there is neither a stream nor a timer that keeps the process alive. */
  #stopIfIdle(): void {
    if (this.#entries.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#call?.cancel();
    this.#call = undefined;
  }
}
