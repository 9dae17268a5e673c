// What the client needs of a connection: gRPC calls with callbacks. connection.ts implements it.

import type { Method } from "../../core/wire/service.ts";
import type { ClientTls } from "../../io/net/tls.ts";

/** Who gets what a call brings. onEnd comes exactly once and last, and never before call() has returned. */
export interface CallSink {
  /** A whole message; the bytes are valid during the call only. */
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** `isUnsent`: the server certainly did not act on the call. */
  onEnd(code: number, text: string, isUnsent: boolean): void;
}

/** After its end nothing here has any effect. */
export interface OpenCall {
  /** Copies or sends the bytes before it returns. */
  send(bytes: Uint8Array): void;
  halfClose(): void;
  /** onEnd follows with Canceled. */
  cancel(): void;
}

export interface CallHeaders {
  /** gRPC's deadline, milliseconds from now; none without. */
  readonly timeoutMs?: number | undefined;
  /** Lower-case names. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Connection {
  /** False once the peer or the network ended it; then calls end as unsent. */
  readonly isOpen: boolean;
  call(method: Method, headers: CallHeaders, sink: CallSink): OpenCall;
  /** Ends at once; running calls end with Unavailable. */
  close(): void;
}

export interface ConnectOptions {
  readonly tls: ClientTls | undefined;
  /** Bound of connecting and of the TLS handshake. */
  readonly timeoutMs: number;
  /** A silent connection with calls is probed after this time; 0 never probes. */
  readonly keepAliveTimeMs: number;
  /** A probe without an answer for this long ends the connection. */
  readonly keepAliveTimeoutMs: number;
  /** Larger answers end their call with ResourceExhausted; 2^31-1 when left out. */
  readonly receiveSizeBytesMax?: number | undefined;
  /** Larger requests end their call with ResourceExhausted, and are not sent; no bound when left out. */
  readonly sendSizeBytesMax?: number | undefined;
}

/** Rejects with an error that says why there is no connection. */
export type Connector = (endpoint: string, options: ConnectOptions) => Promise<Connection>;
