// TLS: the server's side. Certificate and key are read again for every handshake, so that they can be rotated without a
// restart (etcd does the same); the CA is read once.

import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

export interface ServerTls {
  readonly certFile: string;
  readonly keyFile: string;
  /** With it clients' certificates are verified; with `clientCertAuth` they must have one. */
  readonly trustedCaFile?: string;
  /** Without a CA of its own the system's authorities decide, as in etcd. */
  readonly clientCertAuth?: boolean;
  /** DER or PEM; a client's certificate it names is refused. */
  readonly crlFile?: string;
}

export interface TlsEvents {
  /** A TCP connection came in; false when it was refused. */
  onConnection(socket: net.Socket): boolean;
  /** The handshake is done. `commonName` is that of the client's verified certificate, or empty. */
  onSecure(socket: tls.TLSSocket, protocol: string, commonName: string): void;
  /** A handshake failed; the connection is closed. */
  onRefused?(reason: string, socket: tls.TLSSocket): void;
}

export function createTlsServer(options: ServerTls, handshakeMs: number, events: TlsEvents): net.Server {
  const reader = new ContextReader(options);
  const isRequired = options.clientCertAuth === true;
  const isAsked = isRequired || options.trustedCaFile !== undefined;
  const server = tls.createServer({
    ...reader.current(),
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
    handshakeTimeout: handshakeMs,
    requestCert: isAsked,
    rejectUnauthorized: isRequired,
    noDelay: true,
  });
  // Before Node's own listener, so that this handshake already sees the new files.
  server.prependListener("connection", () => {
    if (reader.hasChanged()) server.setSecureContext(reader.current());
  });
  server.on("connection", (socket: net.Socket) => events.onConnection(socket));
  server.on("tlsClientError", (error, socket) => {
    events.onRefused?.(error.message, socket);
    socket.destroy();
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => undefined);
    // A certificate that is given must be good, also where none is required.
    const certificate = isAsked ? socket.getPeerCertificate() : undefined;
    const hasCertificate = certificate !== undefined && Object.keys(certificate).length > 0;
    if (hasCertificate && !socket.authorized) return void socket.destroy();
    const name = hasCertificate ? certificate.subject.CN : "";
    events.onSecure(socket, socket.alpnProtocol || "http/1.1", Array.isArray(name) ? "" : (name ?? ""));
  });
  return server;
}

/** Reads the files, and notices when they have changed. */
class ContextReader {
  readonly #options: ServerTls;
  readonly #ca: Buffer | undefined;
  #certificate: Buffer;
  #key: Buffer;

  constructor(options: ServerTls) {
    this.#options = options;
    this.#ca = options.trustedCaFile === undefined ? undefined : readFileSync(options.trustedCaFile);
    this.#certificate = readFileSync(options.certFile);
    this.#key = readFileSync(options.keyFile);
    tls.createSecureContext(this.current()); // throws now rather than at the first client
  }

  current(): tls.SecureContextOptions {
    const { crlFile } = this.#options;
    return {
      cert: this.#certificate,
      key: this.#key,
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      ...(crlFile === undefined ? {} : { crl: readFileSync(crlFile) }),
    };
  }

  /** True when there is a new pair that fits together; a half-written one is left for the next handshake. */
  hasChanged(): boolean {
    try {
      const certificate = readFileSync(this.#options.certFile);
      const key = readFileSync(this.#options.keyFile);
      const isSame = certificate.equals(this.#certificate) && key.equals(this.#key);
      if (isSame && this.#options.crlFile === undefined) return false;
      const previous = { certificate: this.#certificate, key: this.#key };
      this.#certificate = certificate;
      this.#key = key;
      try {
        tls.createSecureContext(this.current());
      } catch (error) {
        this.#certificate = previous.certificate;
        this.#key = previous.key;
        throw error;
      }
      return true;
    } catch {
      return false;
    }
  }
}

export interface ClientTls {
  /** The system's own when missing. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Expect this name instead of the endpoint's host. */
  readonly serverName?: string;
  /** Take any certificate: for tests only. */
  readonly insecureSkipVerify?: boolean;
}

/** The files are read for every connection, so that they can be rotated. */
export function clientTlsOptions(options: ClientTls, host: string): tls.ConnectionOptions {
  const { caFile, certFile, keyFile, serverName, insecureSkipVerify } = options;
  const name = serverName ?? host;
  return {
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
    rejectUnauthorized: insecureSkipVerify !== true,
    // Addresses are not sent as a server name (RFC 6066 3), but are checked against the certificate all the same.
    ...(net.isIP(name) === 0
      ? { servername: name }
      : { checkServerIdentity: (_, it) => tls.checkServerIdentity(name, it) }),
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
  };
}
