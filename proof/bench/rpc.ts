// What the load needs of a gRPC client: unary calls by slot number, streams, both without a promise or an object per
// message. `rpc-client.ts` implements it on our own client transport.

import type { ByteWriter } from "../../core/base/byte-writer.ts";
import type { Method } from "../../core/wire/service.ts";

/** Takes the ends of unary calls: exactly one of the two per call, never within `unary`. Bytes are valid during the call. */
export interface UnarySink {
  /** More of a reply that comes in pieces: it begins with `bytes[start, end)`. All of it follows with `onReply`. */
  onPart?(slot: number, bytes: Uint8Array, start: number, end: number): void;
  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void;
  onFailure(slot: number, text: string): void;
}

export interface StreamSink {
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** `text` is empty when the stream ended well. */
  onEnd(text: string): void;
}

/** Before anybody has set a sink. */
export const NO_SINK: UnarySink = { onReply: () => {}, onFailure: () => {} };

export interface RpcStream {
  send(message: ByteWriter): void;
  cancel(): void;
}

export interface Rpc {
  readonly connectionCount: number;
  readonly endpoints: readonly string[];
  /** Who takes the ends of unary calls. Changed only while none is under way. */
  sink: UnarySink;
  /** Starts a call whose request is `message`'s written bytes; they are taken before this returns. */
  unary(slot: number, method: Method, message: ByteWriter): void;
  /** Gives up on the call of `slot`; the sink hears no more of it. */
  abandon(slot: number): void;
  stream(connection: number, method: Method, sink: StreamSink): RpcStream;
  close(): Promise<void>;
}

export interface TlsFiles {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly insecureSkipVerify: boolean;
}

/** Plain endpoints stay plain, whatever files are named; an endpoint without a scheme is TLS when files are. */
export function isTls(endpoint: string, files: TlsFiles): boolean {
  const given = files.caFile !== undefined || files.certFile !== undefined || files.insecureSkipVerify;
  return endpoint.startsWith("https://") || (given && !endpoint.startsWith("http://"));
}

export interface RpcOptions {
  /** `host:port` or URLs; connections are spread over them in turn. */
  readonly endpoints: readonly string[];
  readonly connectionCount: number;
  readonly slotCount: number;
  readonly tls: TlsFiles;
  /** Name and password, or undefined. */
  readonly user: string | undefined;
}
