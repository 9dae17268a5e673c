// What answers calls: the member, the health service, a test.

import type { ServerCall } from "./server-call.ts";

/** Bytes are valid during the call only. Every method may finish the call. */
export interface ServerHandler {
  /** A complete unary request. The handler answers now or later, exactly once, with finish/fail. */
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void;
  /** A streaming call was opened (client, server or bidi). */
  onStreamOpen(call: ServerCall): void;
  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void;
  /** The client will send no more. */
  onStreamHalfClose(call: ServerCall): void;
  /** The client cancelled, its deadline passed, or its connection is gone; the handler still owes one finish(). */
  onCancel(call: ServerCall): void;
  /** After `writable` was false: there is room again. */
  onWritable(call: ServerCall): void;
}
