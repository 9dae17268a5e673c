// How many unary calls one core frames, in memory: `npx tsx core/http2/server.bench.ts`.
//
// A client machine makes one request, whose header block and body are then repeated under new stream ids, 100 to a
// chunk, as a busy connection's kernel buffer would hold them. The server echoes. A second figure has client and server
// talk to each other, which adds the client's half.

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import type { ClientCall, ClientHandler } from "../grpc/client-call.ts";
import { ClientConnection } from "../grpc/client.ts";
import type { ServerCall, ServerHandler } from "../grpc/server-call.ts";
import { GrpcServerConnection } from "../grpc/server.ts";
import { METHOD } from "../wire/service.ts";
import { FLAG_END_HEADERS, FLAG_END_STREAM, FRAME_DATA, FRAME_HEADERS, writeFrameHeader } from "./frames.ts";
import { HpackEncoder } from "./hpack-encode.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "./limits.ts";

const BATCH = 100;
const clock = { now: (): number => performance.now(), unixSeconds: (): number => 0 };
const nothing = (): void => undefined;

const echo: ServerHandler = {
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    call.beginMessage().raw(bytes, start, end);
    call.endMessage();
    call.finish();
  },
  onStreamOpen: nothing,
  onStreamMessage: nothing,
  onStreamHalfClose: nothing,
  onCancel: nothing,
  onWritable: nothing,
};

function newServer(): GrpcServerConnection {
  return new GrpcServerConnection({
    handler: echo,
    limits: DEFAULT_LIMITS,
    transportLimits: DEFAULT_TRANSPORT_LIMITS,
    clock,
    peerAddress: "",
    onOutput: nothing,
  });
}

function newClient(): ClientConnection {
  return new ClientConnection({
    clock,
    transportLimits: DEFAULT_TRANSPORT_LIMITS,
    scheme: "http",
    authority: "localhost:2379",
    userAgent: "bench",
    messageSizeBytesMax: 1 << 30,
    waitingCountMax: 1000,
    pingsWithoutCalls: false,
    onOutput: nothing,
    onReady: nothing,
    onSpent: nothing,
  });
}

/** Requests of a settled connection: every field is in the dynamic table. */
function writeRequest(writer: ByteWriter, encoder: HpackEncoder, id: number, body: Uint8Array): void {
  const block = new ByteWriter(256);
  encoder.repeated(block, ":method", "POST");
  encoder.repeated(block, ":scheme", "http");
  encoder.repeated(block, ":path", METHOD.put.path);
  encoder.repeated(block, ":authority", "localhost:2379");
  encoder.repeated(block, "content-type", "application/grpc");
  encoder.repeated(block, "user-agent", "bench");
  encoder.repeated(block, "te", "trailers");
  writeFrameHeader(writer, block.position, FRAME_HEADERS, FLAG_END_HEADERS, id);
  writer.raw(block.bytes, 0, block.position);
  writeFrameHeader(writer, body.length + 5, FRAME_DATA, FLAG_END_STREAM, id);
  writer.byte(0);
  writer.uint32Be(body.length);
  writer.raw(body, 0, body.length);
}

function benchServer(bodySizeBytes: number, seconds: number): number {
  const server = newServer();
  const encoder = new HpackEncoder();
  const hello = new ByteWriter(1024);
  hello.utf8("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  writeFrameHeader(hello, 6, 4, 0, 0);
  for (const byte of [0, 4, 0x7f, 0xff, 0xff, 0xff]) hello.byte(byte); // INITIAL_WINDOW_SIZE 2^31-1
  const body = new Uint8Array(bodySizeBytes).fill(7);
  writeRequest(hello, encoder, 1, body);
  server.receive(hello.bytes, 0, hello.position);
  server.takeOutput();
  const chunk = new ByteWriter(65536);
  for (let i = 0; i < BATCH; i++) writeRequest(chunk, encoder, 3, body);
  writeFrameHeader(chunk, 4, 8, 0, 0);
  chunk.uint32Be(BATCH * (bodySizeBytes + 5)); // the window we used up, back
  const requestSize = (chunk.position - 13) / BATCH;
  const dataAt = requestSize - (9 + 5 + bodySizeBytes);
  let id = 3;
  let count = 0;
  const view = new DataView(chunk.bytes.buffer);
  const startMs = performance.now();
  while (performance.now() - startMs < seconds * 1000) {
    for (let i = 0; i < BATCH; i++, id += 2) {
      view.setUint32(i * requestSize + 5, id);
      view.setUint32(i * requestSize + dataAt + 5, id);
    }
    server.receive(chunk.bytes, 0, chunk.position);
    let replyBytes = 0;
    for (let output = server.takeOutput(); output.length > 0; output = server.takeOutput()) {
      replyBytes += output.length;
    }
    if (replyBytes < BATCH * bodySizeBytes) throw new Error(`no reply: ${server.closeReason}`);
    count += BATCH;
  }
  return count / ((performance.now() - startMs) / 1000);
}

class Repeater implements ClientHandler {
  ended = 0;
  onMessage(): void {
    // counted at the end
  }
  onEnd(_call: ClientCall, code: number, text: string): void {
    if (code !== 0) throw new Error(text);
    this.ended++;
  }
}

function benchBoth(bodySizeBytes: number, seconds: number): number {
  const server = newServer();
  const client = newClient();
  const handler = new Repeater();
  const body = new Uint8Array(bodySizeBytes).fill(7);
  const startMs = performance.now();
  while (performance.now() - startMs < seconds * 1000) {
    for (let i = 0; i < BATCH; i++) {
      const call = client.call(METHOD.put, handler);
      call.send(body, 0, body.length);
      call.halfClose();
    }
    for (;;) {
      const request = client.takeOutput();
      server.receive(request, 0, request.length);
      const reply = server.takeOutput();
      if (reply.length === 0) break;
      client.receive(reply, 0, reply.length);
    }
  }
  return handler.ended / ((performance.now() - startMs) / 1000);
}

const seconds = Number(process.argv[2] ?? "1");
for (let round = 0; round < 3; round++) {
  for (const size of [16, 330, 4096]) {
    const server = Math.round(benchServer(size, seconds));
    const both = Math.round(benchBoth(size, seconds));
    console.log(
      `body ${size}: server ${server}/s (${(1e6 / server).toFixed(2)} us), client and server ${both}/s`,
    );
  }
}
