// Answers with what it was sent: for tests and benchmarks of the transport, standing in for the member.

import type { ByteWriter } from "../../core/base/byte-writer.ts";
import type { ServerCall, ServerHandler } from "../../core/grpc/server-call.ts";

/** Range echoes, Put fails, Txn is held until cancelled; streams echo; Snapshot sends as many bytes as it is told. */
export class EchoHandler implements ServerHandler {
  cancelCount = 0;
  /** Called when a call is being held. */
  onHeld: (() => void) | undefined = undefined;
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    if (call.method.name === "Put") return call.failWith(5, "etcdserver: 100% größer\n☃");
    if (call.method.name === "Txn") return this.onHeld?.();
    call.beginMessage().raw(bytes, start, end);
    call.endMessage();
    call.finish();
  }

  onStreamOpen(_call: ServerCall): void {
    // messages follow
  }

  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    if (call.method.name === "Snapshot") {
      let text = "";
      for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
      return call.sendLarge(Number(text), new ZeroProducer(Number(text)));
    }
    call.beginMessage().raw(bytes, start, end);
    call.endMessage();
  }

  onStreamHalfClose(call: ServerCall): void {
    call.finish();
  }

  onCancel(call: ServerCall): void {
    this.cancelCount++;
    call.finish();
    for (const waiting of this.#waiting) if (this.cancelCount >= waiting.count) waiting.resolve();
  }

  onWritable(_call: ServerCall): void {
    // never waits for room
  }

  /** Resolves when so many calls were cancelled. */
  untilCancelled(count: number): Promise<void> {
    if (this.cancelCount >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

class ZeroProducer {
  #bytesLeft: number;

  constructor(sizeBytes: number) {
    this.#bytesLeft = sizeBytes;
  }

  pull(writer: ByteWriter, roomBytes: number): boolean {
    const count = Math.min(this.#bytesLeft, roomBytes);
    writer.ensure(count);
    writer.bytes.fill(0, writer.position, writer.position + count);
    writer.position += count;
    this.#bytesLeft -= count;
    return this.#bytesLeft === 0;
  }

  abandon(): void {
    this.#bytesLeft = 0;
  }
}
