// TLS between members: one certificate for both directions, verified on both sides, as etcd has it. The files are read again
// for every connection, so that they can be rotated.

import type tls from "node:tls";
import { ListenError } from "./listen.ts";
import { clientTlsOptions, type ServerTls } from "./tls.ts";

export interface PeerTls {
  /** Of this member, as a server and as a client; without it https URLs can be dialled, but not listened on. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The authority of the others' certificates, the system's own when missing; with it everybody must have one. */
  readonly caFile?: string;
  readonly clientCertAuth?: boolean;
}

/** For an https listener. Throws with etcd's words when there is no certificate to show. */
export function peerServerTls(peerTls: PeerTls | undefined, url: string): ServerTls {
  const { certFile, keyFile, caFile, clientCertAuth } = peerTls ?? {};
  if (certFile === undefined || keyFile === undefined) {
    const why =
      certFile === keyFile
        ? "KeyFile and CertFile are not presented"
        : `KeyFile and CertFile must both be present[key: ${keyFile ?? ""}, cert: ${certFile ?? ""}]`;
    throw new ListenError(
      `cannot listen on TLS for ${new URL(url).host}: ${why} (--peer-cert-file, --peer-key-file)`,
    );
  }
  return {
    certFile,
    keyFile,
    ...(caFile === undefined ? {} : { trustedCaFile: caFile }),
    clientCertAuth: clientCertAuth === true || caFile !== undefined,
  };
}

/** For a connection to an https URL of another member: its certificate must be of the authority and for this host. */
export function peerClientTls(peerTls: PeerTls | undefined, host: string): tls.ConnectionOptions {
  const { certFile, keyFile, caFile } = peerTls ?? {};
  const { ALPNProtocols: _, ...options } = clientTlsOptions(
    {
      ...(caFile === undefined ? {} : { caFile }),
      ...(certFile === undefined || keyFile === undefined ? {} : { certFile, keyFile }),
    },
    host,
  );
  return options;
}
