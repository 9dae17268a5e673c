// What the client needs of a connection: gRPC calls with callbacks. connection.ts implements it.

import type { ConnectionOptions as TlsOptions } from "node:tls";

/** Who gets what a call brings. onEnd comes exactly once and last. */
export interface CallSink {
  /** A whole message; the bytes are valid during the call only. */
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** `isUnsent`: the server certainly did not act on the call. */
  onEnd(code: number, text: string, isUnsent: boolean): void;
}

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
  call(path: string, headers: CallHeaders, sink: CallSink): OpenCall;
  /** Ends at once; running calls end with Unavailable. */
  close(): void;
}

/** Where and how to connect. */
export interface Endpoint {
  /** As the user wrote it. */
  readonly text: string;
  readonly host: string;
  readonly port: number;
  /** Path of a unix socket; then host and port mean nothing. */
  readonly socketPath: string | undefined;
  readonly isTls: boolean;
}

export interface ConnectOptions {
  readonly tls: TlsOptions | undefined;
  /** Bound of connecting and of the TLS handshake. */
  readonly timeoutMs: number;
  /** A silent connection is probed after this time; 0 never probes. */
  readonly keepAliveTimeMs: number;
  /** A probe without an answer for this long ends the connection. */
  readonly keepAliveTimeoutMs: number;
}

/** Rejects with an error that says why there is no connection. */
export type Connector = (endpoint: Endpoint, options: ConnectOptions) => Promise<Connection>;

/**
 * `host:port`, `http://…`, `https://…`, `unix:/path` or `unixs:/path`. Without a scheme there is TLS if the client has
 * TLS options, as in etcd's client. Throws TypeError on anything else.
 */
export function parseEndpoint(text: string, hasTls: boolean): Endpoint {
  const trimmed = text.trim();
  const unix = /^unix(s?):(?:\/\/)?(.+)$/.exec(trimmed);
  if (unix !== null)
    return { text, host: "localhost", port: 0, socketPath: unix[2]!, isTls: unix[1] === "s" };
  const match = /^(?:(https?):\/\/)?(\[[^\]]+\]|[^:/[\]]*)(?::(\d+))?\/?$/.exec(trimmed);
  const port = Number(match?.[3] ?? 2379);
  if (match === null || trimmed === "" || port > 65535) {
    throw new TypeError(`Cannot use endpoint "${text}": it is not host:port, http://, https:// or unix:`);
  }
  const host = match[2]!.replace(/^\[|\]$/g, "");
  return {
    text,
    host: host === "" ? "127.0.0.1" : host,
    port,
    socketPath: undefined,
    isTls: match[1] === undefined ? hasTls : match[1] === "https",
  };
}
