// Calls with etcd's rules for retrying: what only reads is tried again while the answer is Unavailable, what writes only
// when it certainly was not sent; a token that ran out is fetched anew, once.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { WireError } from "../../core/wire/reader.ts";
import type { Input } from "../../core/wire/schema.ts";
import { decode, encode } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import { METHOD } from "../../core/wire/service.ts";
import { CODE, STATUS } from "../../core/wire/status.ts";
import type { CallHeaders, CallSink, Connection, OpenCall } from "./channel.ts";
import { canceled, deadlineExceeded, EtcdError } from "./errors.ts";
import type { EndpointPool } from "./pool.ts";
import { pause } from "./pool.ts";

/** etcd's client: 100 tries, 25 ms apart, give or take a tenth. */
const ATTEMPT_COUNT_MAX = 100;
const RETRY_DELAY_MS = 25;
const RETRY_JITTER = 0.1;

/** Bounds of one call. */
export interface CallOptions {
  /** Milliseconds; Infinity for none. Default: the client's. Afterwards the call rejects with DeadlineExceeded. */
  readonly timeoutMs?: number | undefined;
  /** Aborting it rejects the call with Canceled; a write may still take effect. */
  readonly signal?: AbortSignal | undefined;
  /** Refuse at once, with Unavailable, when the member knows no leader. */
  readonly requireLeader?: boolean | undefined;
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Calls that change nothing, and those whose repetition changes nothing. */
const REPEATABLE: ReadonlySet<Method> = new Set<Method>([
  METHOD.range,
  METHOD.leaseTimeToLive,
  METHOD.leaseLeases,
  METHOD.leaseGrant,
  METHOD.leaseRevoke,
  METHOD.leaseKeepAlive,
  METHOD.memberList,
  METHOD.status,
  METHOD.hash,
  METHOD.hashKV,
  METHOD.alarm,
  METHOD.snapshot,
  METHOD.authStatus,
  METHOD.userGet,
  METHOD.userList,
  METHOD.roleGet,
  METHOD.roleList,
]);

const TOKEN_ERRORS: ReadonlySet<string> = new Set([
  STATUS.invalidAuthToken.text,
  STATUS.authOldRevision.text,
  STATUS.userEmpty.text,
]);

/** What watches and kept leases need of a caller. */
export interface StreamOpener {
  stream(method: Method, sink: CallSink, options?: CallOptions): Promise<OpenCall>;
  forgetTokenAfter(error: EtcdError): void;
}

export class Caller implements StreamOpener {
  readonly #pool: EndpointPool;
  readonly #credentials: Credentials | undefined;
  readonly #timeoutMs: number;
  #token: string | undefined;

  constructor(pool: EndpointPool, options: { credentials: Credentials | undefined; timeoutMs: number }) {
    this.#pool = pool;
    this.#credentials = options.credentials;
    this.#timeoutMs = options.timeoutMs;
  }

  async unary<Q, S>(method: Method<Q, S>, request: Input<Q>, options: CallOptions = {}): Promise<S> {
    const writer = new ByteWriter(256);
    encode(method.request, request, writer);
    const deadlineMs = performance.now() + (options.timeoutMs ?? this.#timeoutMs);
    let hasRefreshed = false;
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#pool.pick({ deadlineMs, signal: options.signal });
      await this.#fetchToken(deadlineMs);
      const headers = this.#headers(deadlineMs, options);
      const outcome = await once(connection, {
        method,
        request: writer.written(),
        headers,
        signal: options.signal,
      });
      if (!(outcome instanceof EtcdError)) return decodeAnswer(method, outcome);
      if (this.#credentials !== undefined && TOKEN_ERRORS.has(outcome.message) && !hasRefreshed) {
        hasRefreshed = true;
        this.#token = undefined;
        continue;
      }
      if (performance.now() >= deadlineMs && outcome.code !== CODE.ok) throw timedOut(outcome);
      if (attempt >= ATTEMPT_COUNT_MAX || !mayRetry(method, outcome)) throw outcome;
      const delayMs = RETRY_DELAY_MS * (1 - RETRY_JITTER + 2 * RETRY_JITTER * Math.random());
      await pause(Math.min(delayMs, deadlineMs - performance.now()), options.signal);
    }
  }

  /** Opens a stream on some connection; nothing is retried, the owner of the stream decides. */
  async stream(method: Method, sink: CallSink, options: CallOptions = {}): Promise<OpenCall> {
    const deadlineMs = performance.now() + (options.timeoutMs ?? Infinity);
    const connection = await this.#pool.pick({ deadlineMs, signal: options.signal });
    await this.#fetchToken(deadlineMs);
    return connection.call(method, this.#headers(deadlineMs, options), sink);
  }

  /** After a stream ended for the sake of its token, the next one gets another. */
  forgetTokenAfter(error: EtcdError): void {
    if (TOKEN_ERRORS.has(error.message)) this.#token = undefined;
  }

  #headers(deadlineMs: number, options: CallOptions): CallHeaders {
    const metadata: Record<string, string> = { "client-api-version": "3.6.0" };
    if (this.#token !== undefined) metadata["token"] = this.#token;
    if (options.requireLeader === true) metadata["hasleader"] = "true";
    const timeoutMs = deadlineMs - performance.now();
    return { metadata, timeoutMs: timeoutMs === Infinity ? undefined : timeoutMs };
  }

  async #fetchToken(deadlineMs: number): Promise<void> {
    const credentials = this.#credentials;
    if (credentials === undefined || this.#token !== undefined) return;
    const connection = await this.#pool.pick({ deadlineMs });
    const writer = new ByteWriter(256);
    encode(METHOD.authenticate.request, { name: credentials.user, password: credentials.password }, writer);
    const outcome = await once(connection, {
      method: METHOD.authenticate,
      request: writer.written(),
      headers: this.#headers(deadlineMs, {}),
      signal: undefined,
    });
    if (outcome instanceof EtcdError) {
      // A server without authentication takes calls without a token, whatever the user gave.
      if (outcome.message === STATUS.authNotEnabled.text) return;
      throw outcome;
    }
    this.#token = decodeAnswer(METHOD.authenticate, outcome).token;
  }
}

function mayRetry(method: Method, error: EtcdError): boolean {
  if (error.code !== CODE.unavailable) return false;
  return error.isUnsent || REPEATABLE.has(method);
}

/** After the deadline every failure of the transport is the deadline's. */
function timedOut(outcome: EtcdError): EtcdError {
  return outcome.message.startsWith("etcdserver: ") ? outcome : deadlineExceeded();
}

interface Attempt {
  readonly method: Method;
  readonly request: Uint8Array;
  readonly headers: CallHeaders;
  readonly signal: AbortSignal | undefined;
}

/** One attempt: the answer's bytes, or why there is none. */
function once(connection: Connection, attempt: Attempt): Promise<Uint8Array | EtcdError> {
  const { method, request, headers, signal } = attempt;
  return new Promise((resolve) => {
    let answer: Uint8Array | undefined;
    let isOver = false;
    const finish = (outcome: Uint8Array | EtcdError): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      resolve(outcome);
    };
    const call = connection.call(method, headers, {
      onMessage(bytes, start, end) {
        answer = new Uint8Array(bytes.subarray(start, end));
      },
      onEnd(code, text, isUnsent) {
        if (code !== CODE.ok) finish(new EtcdError(code, text, { isUnsent }));
        else finish(answer ?? new EtcdError(CODE.internal, "the server ended the call without an answer"));
      },
    });
    const abort = (): void => {
      finish(canceled(signal?.reason));
      call.cancel();
    };
    // The server knows the deadline too; this one is for a server that does not answer at all.
    const timer =
      headers.timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => {
              finish(deadlineExceeded());
              call.cancel();
            },
            Math.min(headers.timeoutMs, 0x7fffffff),
          );
    if (signal?.aborted === true) return abort();
    signal?.addEventListener("abort", abort);
    call.send(request);
    call.halfClose();
  });
}

function decodeAnswer<Q, S>(method: Method<Q, S>, bytes: Uint8Array): S {
  try {
    return decode(method.response, bytes, 0, bytes.length);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new EtcdError(CODE.internal, `Cannot read the answer of ${method.path}: ${error.message}`, {
      cause: error,
    });
  }
}
