// A call as the member sees it: one that came over the network, one that another member forwarded, or one of the program
// that embeds this member. Only this much of it is needed, so any of the three will do.

import type { ByteWriter } from "../base/byte-writer.ts";
import { encode, type Input, type Schema } from "../wire/schema.ts";
import type { Method } from "../wire/service.ts";
import type { Status } from "../wire/status.ts";

/** Pulls the bytes of a large message while its reader takes them. */
export interface Producer {
  /** Writes at most about `roomBytes`; true when all is written. */
  pull(writer: ByteWriter, roomBytes: number): boolean;
  /** The reader is gone, or too slow: gives back what is held. */
  abandon(): void;
}

export interface Call {
  readonly method: Method;
  /** For the member: the number under which a proposal waits. */
  slot: number;
  /** For the member: what belongs to a stream. */
  state: unknown;
  /** Nobody waits for the answer any more; it may still be written, and finish() is still owed. */
  readonly cancelled: boolean;
  /** On the member's clock; Infinity without one. */
  deadlineMs: number;
  priority: number;
  readonly writable: boolean;
  metadata(name: string): string | undefined;
  beginMessage(): ByteWriter;
  endMessage(): void;
  flush(): void;
  sendLarge(sizeBytes: number, producer: Producer): void;
  finish(): void;
  /** Ends with an error; a message that was begun and not ended is dropped. */
  fail(status: Status): void;
  /** The same at once: what its reader has not taken is dropped. */
  abort(status: Status): void;
}

/** Answers a unary call with one message. For the rare requests; the frequent ones are written by hand. */
export function respond<T>(call: Call, schema: Schema<T>, message: Input<T>): void {
  encode(schema, message, call.beginMessage());
  call.endMessage();
  call.finish();
}
