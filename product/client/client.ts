/** The client: one object for a cluster. */

import type { Input } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import { parseEndpoint } from "../../io/net/endpoint.ts";
import type { ClientTls } from "../../io/net/tls.ts";
import type { CallOptions } from "./caller.ts";
import { Caller } from "./caller.ts";
import { ClusterClient } from "./cluster.ts";
import { connect } from "./connection.ts";
import { KvClient } from "./kv.ts";
import { LeaseClient } from "./lease.ts";
import { MaintenanceClient } from "./maintenance.ts";
import { EndpointPool } from "./pool.ts";
import { WatchClient } from "./watch.ts";

export interface TlsFiles {
  /** Paths of PEM files: the authorities to trust, and the client's certificate with its key. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Take any certificate. For tests only. */
  readonly insecureSkipVerify?: boolean | undefined;
  /** The name that the server's certificate must have, when it is not the endpoint's. */
  readonly serverName?: string | undefined;
}

export interface ClientOptions {
  /** `host:port`, `http://…`, `https://…`, `unix:/path`; calls go round them, and pass over those that are down. */
  readonly endpoints: string | readonly string[];
  /** Also makes endpoints without a scheme use TLS. */
  readonly tls?: TlsFiles | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Bound of every unary call that names none, milliseconds; 5000 by default, Infinity for none. */
  readonly timeoutMs?: number | undefined;
  /** Bound of connecting to one endpoint, milliseconds; 2000 by default. */
  readonly dialTimeoutMs?: number | undefined;
  /** A connection with running calls is probed this often, milliseconds; 10,000 by default, 0 never. Servers refuse less than 5000. */
  readonly keepAliveTimeMs?: number | undefined;
  /** A probe must be answered within this, milliseconds; 6000 by default. */
  readonly keepAliveTimeoutMs?: number | undefined;
  /** Largest answer, bytes; 2^31-1 by default. A larger one ends its call with ResourceExhausted. */
  readonly receiveSizeBytesMax?: number | undefined;
  /** Largest request, bytes; by default the server alone decides. A larger one is not sent. */
  readonly sendSizeBytesMax?: number | undefined;
}

/**
 * Connections are made when they are needed and keep the process alive until close().
 *
 *     const client = Client.connect({ endpoints: ["127.0.0.1:2379"] });
 *     await client.kv.put("greeting", "hello");
 *     client.close();
 */
export class Client {
  readonly kv: KvClient;
  readonly watch: WatchClient;
  readonly lease: LeaseClient;
  readonly cluster: ClusterClient;
  readonly maintenance: MaintenanceClient;
  readonly #caller: Caller;
  readonly #pool: EndpointPool;

  private constructor(options: ClientOptions) {
    const texts = typeof options.endpoints === "string" ? options.endpoints.split(",") : options.endpoints;
    if (texts.length === 0) throw new TypeError("Cannot make client: there is no endpoint");
    const endpoints = texts.map((it) => checkedEndpoint(it, options.tls !== undefined));
    this.#pool = new EndpointPool(endpoints, connect, {
      tls: options.tls === undefined ? undefined : withoutEmpty(options.tls),
      timeoutMs: options.dialTimeoutMs ?? 2000,
      keepAliveTimeMs: options.keepAliveTimeMs ?? 10_000,
      keepAliveTimeoutMs: options.keepAliveTimeoutMs ?? 6000,
      receiveSizeBytesMax: options.receiveSizeBytesMax,
      sendSizeBytesMax: options.sendSizeBytesMax,
    });
    const credentials =
      options.user === undefined || options.user === ""
        ? undefined
        : { user: options.user, password: options.password ?? "" };
    this.#caller = new Caller(this.#pool, { credentials, timeoutMs: options.timeoutMs ?? 5000 });
    this.kv = new KvClient(this.#caller);
    this.watch = new WatchClient(this.#caller);
    this.lease = new LeaseClient(this.#caller);
    this.cluster = new ClusterClient(this.#caller);
    this.maintenance = new MaintenanceClient(this.#caller);
  }

  /**
   * Connections come with the first call, and read the TLS files each time, so that they can be renewed. Throws
   * TypeError on endpoints that cannot be one.
   */
  static connect(options: ClientOptions): Client {
    return new Client(options);
  }

  /** Any unary RPC, in the words of the protocol: field names as in etcd's .proto files. */
  call<Q, S>(method: Method<Q, S>, request: Input<Q>, options: CallOptions = {}): Promise<S> {
    return this.#caller.unary(method, request, options);
  }

  /** Why connecting failed last, for messages to people. */
  get lastConnectError(): unknown {
    return this.#pool.lastError;
  }

  /** Ends watches, stops renewing leases, closes connections. Running calls end with Unavailable. */
  close(): void {
    this.watch.close();
    this.lease.close();
    this.#pool.close();
  }
}

/** Throws TypeError, so that a slip of the pen is not noticed at the first call only. */
function checkedEndpoint(text: string, isTlsDefault: boolean): string {
  const trimmed = text.trim();
  try {
    if (trimmed !== "") parseEndpoint(trimmed, isTlsDefault);
  } catch (error) {
    throw new TypeError(`Cannot use endpoint "${text}": it is not host:port, http://, https:// or unix:`, {
      cause: error,
    });
  }
  if (trimmed === "") throw new TypeError("Cannot use endpoint: it is empty");
  return trimmed;
}

/** Empty names of files mean none, as command lines have them. */
function withoutEmpty(files: TlsFiles): ClientTls {
  return Object.fromEntries(Object.entries(files).filter(([, value]) => value !== undefined && value !== ""));
}
