// Calls that only the leader can answer, made at another member: they travel in one frame to the leader and the answer
// in one frame back. Each is sent once and never repeated; when the leader is lost the caller gets the status that
// etcd gives, and its outcome is unknown.
//
//   FRAME_CALL    0  direction  u8   0 question, 1 answer
//                 1  number     u32  of the question, chosen by the one who asks
//   question      5  method     u8   position in METHODS
//                 6  the request's bytes
//   answer        5  code       u8   gRPC's; 0 is followed by the response's bytes, any other by the text

import type { ByteWriter } from "../base/byte-writer.ts";
import { ByteWriter as Writer } from "../base/byte-writer.ts";
import type { Id64 } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { METHODS } from "../wire/service.ts";
import { STATUS, type Status, statusByText } from "../wire/status.ts";
import type { Call, Producer } from "./call.ts";
import { beginFrame, endFrame, FRAME_CALL } from "./peer-frames.ts";

const QUESTION = 0;
const ANSWER = 1;
const NUMBER_OFFSET = 1;
const BODY_OFFSET = 5;

/** How a forwarded call ended: a failure, or the response's bytes, valid during the call. */
export type ForwardDone = (
  failure: Status | undefined,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

interface Waiting {
  readonly done: ForwardDone;
  readonly deadlineMs: number;
}

const NO_BYTES = new Uint8Array(0);

export class Forwarding {
  readonly #waiting = new Map<number, Waiting>();
  readonly #countMax: number;
  #next = 1;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Sends a question on `writer`; `done` is called exactly once. */
  ask(writer: ByteWriter | undefined, question: ForwardQuestion, done: ForwardDone): void {
    if (writer === undefined) return done(STATUS.noLeader, NO_BYTES, 0, 0);
    if (this.#waiting.size >= this.#countMax) return done(STATUS.tooManyRequests, NO_BYTES, 0, 0);
    const number = this.#next;
    this.#next = (number + 1) >>> 0;
    const frame = beginFrame(writer, FRAME_CALL);
    writer.byte(QUESTION);
    writer.uint32Be(number);
    writer.byte(question.methodId);
    writer.raw(question.bytes, question.start, question.end);
    endFrame(writer, frame);
    this.#waiting.set(number, { done, deadlineMs: question.deadlineMs });
  }

  /** A frame of the other side; `serve` is called with a call that writes its answer to the same peer. */
  onFrame(from: FrameSource, bytes: Uint8Array, end: number, serve: ServeForwarded): void {
    const { start } = from;
    if (end - start < BODY_OFFSET + 1) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, BODY_OFFSET + 1);
    const number = view.getUint32(NUMBER_OFFSET);
    if (view.getUint8(0) === QUESTION) {
      const method = METHODS[view.getUint8(BODY_OFFSET)];
      if (method !== undefined)
        serve(new RemoteCall(method, number, from), bytes, start + BODY_OFFSET + 1, end);
      return;
    }
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    const code = view.getUint8(BODY_OFFSET);
    if (code === 0) waiting.done(undefined, bytes, start + BODY_OFFSET + 1, end);
    else {
      const text = decodeUtf8(bytes, start + BODY_OFFSET + 1, end);
      waiting.done(statusByText(text) ?? { code, text }, NO_BYTES, 0, 0);
    }
  }

  expire(nowMs: number): void {
    for (const [number, waiting] of this.#waiting) {
      if (waiting.deadlineMs > nowMs) continue;
      this.#waiting.delete(number);
      waiting.done(STATUS.timeout, NO_BYTES, 0, 0);
    }
  }

  /** The leader that was asked is gone. */
  failAll(status: Status): void {
    for (const [number, waiting] of this.#waiting) {
      this.#waiting.delete(number);
      waiting.done(status, NO_BYTES, 0, 0);
    }
  }

  nextDeadlineMs(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const waiting of this.#waiting.values()) deadline = Math.min(deadline, waiting.deadlineMs);
    return deadline;
  }
}

export interface ForwardQuestion {
  readonly methodId: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly deadlineMs: number;
}

export interface FrameSource {
  readonly peer: Id64;
  readonly start: number;
  readonly writerTo: (peer: Id64) => ByteWriter | undefined;
}

export type ServeForwarded = (call: Call, bytes: Uint8Array, start: number, end: number) => void;

/** A call of another member: its answer is one frame. */
class RemoteCall implements Call {
  readonly method: Call["method"];
  slot = 0;
  state: unknown = undefined;
  readonly cancelled = false;
  deadlineMs = Number.POSITIVE_INFINITY;
  priority = 1;
  readonly writable = true;
  readonly #number: number;
  readonly #from: FrameSource;
  readonly #message = new Writer(256);

  constructor(method: Call["method"], number: number, from: FrameSource) {
    this.method = method;
    this.#number = number;
    this.#from = from;
  }

  metadata(): undefined {
    return undefined;
  }

  beginMessage(): ByteWriter {
    return this.#message;
  }

  endMessage(): void {}

  flush(): void {}

  sendLarge(sizeBytes: number, producer: Producer): void {
    while (!producer.pull(this.#message, sizeBytes));
  }

  finish(): void {
    this.#answer(0, (writer) => writer.raw(this.#message.bytes, 0, this.#message.position));
  }

  fail(status: Status): void {
    this.#answer(status.code, (writer) => writer.utf8(status.text));
  }

  abort(status: Status): void {
    this.fail(status);
  }

  #answer(code: number, writeBody: (writer: ByteWriter) => void): void {
    const writer = this.#from.writerTo(this.#from.peer);
    if (writer === undefined) return; // the asker learns it from the lost connection
    const frame = beginFrame(writer, FRAME_CALL);
    writer.byte(ANSWER);
    writer.uint32Be(this.#number);
    writer.byte(code);
    writeBody(writer);
    endFrame(writer, frame);
  }
}
