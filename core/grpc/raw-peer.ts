// A client that can say anything, byte by byte: for tests of the server's half. It checks nothing and follows no rule.

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS, type Limits } from "../base/limits.ts";
import type { ServerHandler } from "./server-call.ts";
import { GrpcServerConnection, type GrpcServerOptions } from "./server.ts";
import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  PREFACE,
  readUint31,
  readUint32,
  writeFrameHeader,
  writeSetting,
} from "../http2/frames.ts";
import { HpackDecoder } from "../http2/hpack-decode.ts";
import { HpackEncoder } from "../http2/hpack-encode.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../http2/limits.ts";

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

export type RawFields = readonly (readonly [name: string, value: string])[];

/** A request that is answered 200 by `onHttp`. */
export const GET_FIELDS: RawFields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "localhost"],
];
export const POST_FIELDS: RawFields = [[":method", "POST"], ...GET_FIELDS.slice(1)];
export const BODY = "0123456789";

export interface RawPeerOptions {
  readonly limits?: Partial<Limits>;
  readonly transportLimits?: Partial<TransportLimits>;
  readonly handler?: ServerHandler;
  /** Answers plain requests at once with BODY, unless the path asks otherwise. */
  readonly onHttp?: GrpcServerOptions["onHttp"];
  readonly onOutput?: () => void;
}

const nothing = (): void => undefined;
const SILENT: ServerHandler = {
  onUnary: nothing,
  onStreamOpen: nothing,
  onStreamMessage: nothing,
  onStreamHalfClose: nothing,
  onCancel: (call) => call.finish(),
  onWritable: nothing,
};

export class RawPeer {
  nowMs = 0;
  readonly server: GrpcServerConnection;
  readonly encoder = new HpackEncoder();
  /** All frames that came back. */
  readonly frames: RawFrame[] = [];
  readonly #decoder = new HpackDecoder(1 << 20);

  constructor(options: RawPeerOptions = {}) {
    this.server = new GrpcServerConnection({
      handler: options.handler ?? SILENT,
      onHttp: options.onHttp ?? ((_request, respond) => respond(200, {}, BODY)),
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      transportLimits: { ...DEFAULT_TRANSPORT_LIMITS, ...options.transportLimits },
      clock: { now: () => this.nowMs, unixSeconds: () => 0 },
      peerAddress: "test",
      onOutput: options.onOutput ?? nothing,
    });
  }

  /** A peer past its preface and SETTINGS. */
  static connected(options: RawPeerOptions = {}): RawPeer {
    const peer = new RawPeer(options);
    peer.send(PREFACE);
    peer.settings([]);
    return peer;
  }

  send(bytes: Uint8Array): void {
    this.server.receive(bytes, 0, bytes.length);
    this.read();
  }

  /** Takes what the server has to say. */
  read(): void {
    for (let out = this.server.takeOutput(); out.length > 0; out = this.server.takeOutput()) {
      for (let at = 0; at < out.length;) {
        const length = (out[at]! << 16) | (out[at + 1]! << 8) | out[at + 2]!;
        const payload = out.slice(at + 9, at + 9 + length);
        this.frames.push({ type: out[at + 3]!, flags: out[at + 4]!, id: readUint31(out, at + 5), payload });
        at += 9 + length;
      }
    }
  }

  frame(type: number, flags: number, id: number, payload: Uint8Array | readonly number[] = []): void {
    this.send(frameBytes(type, flags, id, payload));
  }

  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    const writer = new ByteWriter();
    for (const [id, value] of settings) writeSetting(writer, id, value);
    this.frame(FRAME_SETTINGS, 0, 0, writer.written());
  }

  block(fields: RawFields): Uint8Array {
    const writer = new ByteWriter();
    for (const [name, value] of fields) this.encoder.once(writer, name, value);
    return writer.copy();
  }

  headers(id: number, fields: RawFields, flags = FLAG_END_HEADERS | FLAG_END_STREAM): void {
    this.frame(FRAME_HEADERS, flags, id, this.block(fields));
  }

  data(id: number, text: string | Uint8Array, isEnd: boolean): void {
    const payload = typeof text === "string" ? latin1(text) : text;
    this.frame(FRAME_DATA, isEnd ? FLAG_END_STREAM : 0, id, payload);
  }

  /** The code of the GOAWAY that came; -1 without one. */
  goawayCode(): number {
    const frame = this.frames.find((it) => it.type === FRAME_GOAWAY);
    return frame === undefined ? -1 : readUint32(frame.payload, 4);
  }

  goawayText(): string {
    const frame = this.frames.find((it) => it.type === FRAME_GOAWAY);
    return frame === undefined ? "" : String.fromCharCode(...frame.payload.slice(8));
  }

  /** The code of the RST_STREAM that came for a stream; -1 without one. */
  resetCode(id: number): number {
    const frame = this.frames.find((it) => it.type === FRAME_RST_STREAM && it.id === id);
    return frame === undefined ? -1 : readUint32(frame.payload, 0);
  }

  /** Data bytes of a stream so far. */
  body(id: number): string {
    return this.frames
      .filter((it) => it.type === FRAME_DATA && it.id === id)
      .map((it) => String.fromCharCode(...it.payload))
      .join("");
  }

  /** The fields of the header blocks of all streams, in order; to be called once, since the table has a state. */
  blocks(): { id: number; isEnd: boolean; fields: Record<string, string> }[] {
    return this.frames
      .filter((it) => it.type === FRAME_HEADERS)
      .map((it) => {
        const block = this.#decoder.decode(it.payload, 0, it.payload.length);
        const fields: Record<string, string> = {};
        if (block.status !== "") fields[":status"] = block.status;
        for (const [i, name] of block.names.entries()) fields[name] = block.values[i]!;
        return { id: it.id, isEnd: (it.flags & FLAG_END_STREAM) !== 0, fields };
      });
  }
}

export function frameBytes(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array | readonly number[],
): Uint8Array {
  const writer = new ByteWriter(payload.length + 9);
  writeFrameHeader(writer, payload.length, type, flags, id);
  const bytes = Uint8Array.from(payload);
  writer.raw(bytes, 0, bytes.length);
  return writer.copy();
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A gRPC message with its prefix. */
export function grpcMessage(body: Uint8Array | string, flag = 0): Uint8Array {
  const bytes = typeof body === "string" ? latin1(body) : body;
  const writer = new ByteWriter(bytes.length + 5);
  writer.byte(flag);
  writer.uint32Be(bytes.length);
  writer.raw(bytes, 0, bytes.length);
  return writer.copy();
}

export function grpcFields(path: string, more: RawFields = []): RawFields {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ];
}
