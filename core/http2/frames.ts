// Frames of HTTP/2: their types, flags and codes (RFC 9113 4, 6, 7), and how they are written.
//
//    0        3      4       5           9
//   +--------+------+-------+-----------+---------…
//   | length | type | flags | stream id | payload
//   +--------+------+-------+-----------+---------…
//     24 bit   8      8       31, top bit reserved
//
// Nothing here is an enum: types are erased, and a plain number compares as fast as anything.

import type { ByteWriter } from "../base/byte-writer.ts";

export const FRAME_HEADER_SIZE_BYTES = 9;
/** What every peer accepts, and all that we ever send or accept (RFC 9113 4.2). */
export const FRAME_PAYLOAD_SIZE_BYTES_MAX = 16384;
export const WINDOW_SIZE_MAX = 0x7fffffff;
/** The windows both sides start with (RFC 9113 6.9.2). */
export const WINDOW_SIZE_DEFAULT = 65535;
export const STREAM_ID_MAX = 0x7fffffff;

export const FRAME_DATA = 0;
export const FRAME_HEADERS = 1;
export const FRAME_PRIORITY = 2;
export const FRAME_RST_STREAM = 3;
export const FRAME_SETTINGS = 4;
export const FRAME_PUSH_PROMISE = 5;
export const FRAME_PING = 6;
export const FRAME_GOAWAY = 7;
export const FRAME_WINDOW_UPDATE = 8;
export const FRAME_CONTINUATION = 9;

export const FLAG_END_STREAM = 0x1;
export const FLAG_ACK = 0x1;
export const FLAG_END_HEADERS = 0x4;
export const FLAG_PADDED = 0x8;
export const FLAG_PRIORITY = 0x20;

export const SETTING_HEADER_TABLE_SIZE = 1;
export const SETTING_ENABLE_PUSH = 2;
export const SETTING_STREAM_COUNT_MAX = 3;
export const SETTING_INITIAL_WINDOW_SIZE = 4;
export const SETTING_FRAME_SIZE_MAX = 5;
export const SETTING_HEADER_LIST_SIZE_MAX = 6;

/** Error codes (RFC 9113 7). */
export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const SETTINGS_TIMEOUT = 4;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const CONNECT_ERROR = 10;
export const ENHANCE_YOUR_CALM = 11;
export const INADEQUATE_SECURITY = 12;
export const HTTP_1_1_REQUIRED = 13;

/** What a client says first (RFC 9113 3.4): "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n". */
export const PREFACE: Uint8Array = Uint8Array.from([
  0x50, 0x52, 0x49, 0x20, 0x2a, 0x20, 0x48, 0x54, 0x54, 0x50, 0x2f, 0x32, 0x2e, 0x30, 0x0d, 0x0a, 0x0d, 0x0a,
  0x53, 0x4d, 0x0d, 0x0a, 0x0d, 0x0a,
]);

/** The peer broke the protocol: the whole connection ends with GOAWAY (RFC 9113 5.4.1). Caught inside `Http2Connection`. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** One of the codes above. */
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A frame's header. Five plain parameters: this is written three times per reply and an options object would cost. */
// oxlint-disable-next-line max-params -- once per frame, where an object would cost
export function writeFrameHeader(
  writer: ByteWriter,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  writer.ensure(FRAME_HEADER_SIZE_BYTES);
  patchFrameHeader(writer.bytes, writer.position, length, type, flags, streamId);
  writer.position += FRAME_HEADER_SIZE_BYTES;
}

/** The same, into room that was left before the payload was known. */
// oxlint-disable-next-line max-params -- once per frame, where an object would cost
export function patchFrameHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes[at + 5] = streamId >>> 24;
  bytes[at + 6] = streamId >>> 16;
  bytes[at + 7] = streamId >>> 8;
  bytes[at + 8] = streamId;
}

export function writeSetting(writer: ByteWriter, id: number, value: number): void {
  writer.byte(0);
  writer.byte(id);
  writer.uint32Be(value);
}

export function writeRstStream(writer: ByteWriter, streamId: number, code: number): void {
  writeFrameHeader(writer, 4, FRAME_RST_STREAM, 0, streamId);
  writer.uint32Be(code);
}

export function writeWindowUpdate(writer: ByteWriter, streamId: number, increment: number): void {
  writeFrameHeader(writer, 4, FRAME_WINDOW_UPDATE, 0, streamId);
  writer.uint32Be(increment);
}

export function writeGoaway(writer: ByteWriter, lastStreamId: number, code: number, text: string): void {
  const start = writer.position;
  writeFrameHeader(writer, 0, FRAME_GOAWAY, 0, 0);
  writer.uint32Be(lastStreamId);
  writer.uint32Be(code);
  writer.utf8(text);
  patchFrameHeader(
    writer.bytes,
    start,
    writer.position - start - FRAME_HEADER_SIZE_BYTES,
    FRAME_GOAWAY,
    0,
    0,
  );
}

/** An unsigned 32-bit integer, most significant byte first. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** A stream id or an increment: 31 bits, the reserved bit dropped. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
