// SETTINGS: what the peer allows us (RFC 9113 6.5), and what we tell it.

import type { ByteWriter } from "../base/byte-writer.ts";
import {
  ConnectionError,
  FLOW_CONTROL_ERROR,
  FRAME_HEADER_SIZE_BYTES,
  FRAME_PAYLOAD_SIZE_BYTES_MAX,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  patchFrameHeader,
  readUint32,
  SETTING_ENABLE_PUSH,
  SETTING_FRAME_SIZE_MAX,
  SETTING_HEADER_LIST_SIZE_MAX,
  SETTING_HEADER_TABLE_SIZE,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_STREAM_COUNT_MAX,
  WINDOW_SIZE_DEFAULT,
  WINDOW_SIZE_MAX,
  writeFrameHeader,
  writeSetting,
} from "./frames.ts";
import type { TransportLimits } from "./limits.ts";

const SETTING_SIZE_BYTES = 6;

export class PeerSettings {
  headerTableSizeBytes = 4096;
  streamCountMax = Infinity;
  initialWindowBytes = WINDOW_SIZE_DEFAULT;

  /** Takes a frame's payload as a whole; the last value of each setting counts. */
  apply(bytes: Uint8Array, start: number, end: number): void {
    if ((end - start) % SETTING_SIZE_BYTES !== 0) {
      throw new ConnectionError(FRAME_SIZE_ERROR, "SETTINGS is not a multiple of six bytes");
    }
    for (let at = start; at < end; at += SETTING_SIZE_BYTES) {
      this.#set((bytes[at]! << 8) | bytes[at + 1]!, readUint32(bytes, at + 2));
    }
  }

  #set(id: number, value: number): void {
    switch (id) {
      case SETTING_HEADER_TABLE_SIZE:
        this.headerTableSizeBytes = value;
        return;
      case SETTING_ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1");
        return;
      case SETTING_STREAM_COUNT_MAX:
        this.streamCountMax = value;
        return;
      case SETTING_INITIAL_WINDOW_SIZE:
        if (value > WINDOW_SIZE_MAX)
          throw new ConnectionError(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1");
        this.initialWindowBytes = value;
        return;
      case SETTING_FRAME_SIZE_MAX:
        // We never send more than every peer takes, so only the range matters.
        if (value < FRAME_PAYLOAD_SIZE_BYTES_MAX || value > 0xffffff) {
          throw new ConnectionError(PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range");
        }
        return;
      default: // unknown ones are ignored: RFC 9113 6.5.2
    }
  }
}

/** Our first frame. */
export function writeOwnSettings(
  writer: ByteWriter,
  options: { isServer: boolean; limits: TransportLimits; streamCountMax: number },
): void {
  const start = writer.position;
  writeFrameHeader(writer, 0, FRAME_SETTINGS, 0, 0);
  if (options.isServer) writeSetting(writer, SETTING_STREAM_COUNT_MAX, options.streamCountMax);
  else writeSetting(writer, SETTING_ENABLE_PUSH, 0);
  writeSetting(writer, SETTING_INITIAL_WINDOW_SIZE, options.limits.streamWindowBytes);
  writeSetting(writer, SETTING_HEADER_LIST_SIZE_MAX, options.limits.headerListSizeBytesMax);
  const sizeBytes = writer.position - start - FRAME_HEADER_SIZE_BYTES;
  patchFrameHeader(writer.bytes, start, sizeBytes, FRAME_SETTINGS, 0, 0);
}
