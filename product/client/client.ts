/** The client: one object for a cluster. */

import * as fs from "node:fs";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { Input } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import type { CallOptions } from "./caller.ts";
import { Caller } from "./caller.ts";
import { parseEndpoint } from "./channel.ts";
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
}

/**
 * Connections are made when they are needed and do not keep the process alive; watches and kept leases do, until they
 * are closed.
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
    const endpoints = texts.map((it) => parseEndpoint(it, options.tls !== undefined));
    this.#pool = new EndpointPool(endpoints, connect, {
      tls: endpoints.some((it) => it.isTls) ? tlsOptions(options.tls ?? {}) : undefined,
      timeoutMs: options.dialTimeoutMs ?? 2000,
      keepAliveTimeMs: options.keepAliveTimeMs ?? 10_000,
      keepAliveTimeoutMs: options.keepAliveTimeoutMs ?? 6000,
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
   * Reads the TLS files and makes the client; connections come with the first call. Throws TypeError on endpoints that
   * cannot be one, and the file system's error on TLS files that cannot be read.
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

function tlsOptions(files: TlsFiles): TlsOptions {
  const read = (path: string | undefined): Buffer | undefined =>
    path === undefined || path === "" ? undefined : fs.readFileSync(path);
  const ca = read(files.caFile);
  const cert = read(files.certFile);
  const key = read(files.keyFile);
  return {
    ...(ca === undefined ? undefined : { ca }),
    ...(cert === undefined ? undefined : { cert }),
    ...(key === undefined ? undefined : { key }),
    ...(files.serverName === undefined ? undefined : { servername: files.serverName }),
    rejectUnauthorized: files.insecureSkipVerify !== true,
    minVersion: "TLSv1.2",
  };
}
