// The same server three times: takes a Put, answers with a header, stores nothing. All three decode and encode with our own
// codecs, so that only the transport differs; a real user of grpc-js would pay for protobufjs besides. A process of its
// own: `rpc-server.ts KIND PACKAGES`; answers any message with its processor time.

import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ServerCall, ServerHandler } from "../../core/grpc/server-call.ts";
import { writeHeader } from "../../core/wire/header.ts";
import { PutFields } from "../../core/wire/hot.ts";
import { systemClock } from "../../io/clock.ts";
import { serve } from "../../io/net/server.ts";
import { cpuUs } from "./measure.ts";
import { load } from "./packages.ts";

export const RPC_KINDS = ["holdfast", "node:http2", "@grpc/grpc-js"] as const;
export type RpcKind = (typeof RPC_KINDS)[number];

const HEADER = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };
const PREFIX_BYTES = 5;

let revision = 1;
const fields = new PutFields();
const writer = new ByteWriter(256);

/** Writes the answer to a put behind what is in `out`. */
function answer(out: ByteWriter, bytes: Uint8Array, start: number, end: number): void {
  fields.parse(bytes, start, end);
  if (fields.keyEnd === fields.keyStart) throw new Error("the key is empty");
  writeHeader(out, HEADER, ++revision);
}

class PutHandler implements ServerHandler {
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    answer(call.beginMessage(), bytes, start, end);
    call.endMessage();
    call.finish();
  }
  onStreamOpen(): void {
    // none is opened
  }
  onStreamMessage(): void {
    // none is opened
  }
  onStreamHalfClose(): void {
    // none is opened
  }
  onCancel(call: ServerCall): void {
    call.finish();
  }
  onWritable(): void {
    // never waits for room
  }
}

async function startHoldfast(): Promise<string> {
  const urls = ["http://127.0.0.1:0"];
  const server = await serve({ urls, handler: new PutHandler(), limits: DEFAULT_LIMITS, clock: systemClock });
  return server.addresses[0]!;
}

const RESPONSE_HEAD = { ":status": 200, "content-type": "application/grpc" };

/** The core API with one stream a call, as its documentation shows it. */
function startHttp2(): Promise<string> {
  const server = http2.createServer({
    settings: { initialWindowSize: 1 << 20, maxConcurrentStreams: 100_000 },
  });
  server.on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      writer.reset();
      writer.byte(0);
      writer.uint32Be(0); // the size, once it is known
      answer(writer, bytes, PREFIX_BYTES, bytes.length);
      const reply = Buffer.from(writer.copy());
      reply.writeUInt32BE(reply.length - PREFIX_BYTES, 1);
      stream.respond(RESPONSE_HEAD, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(reply);
    });
    stream.on("error", () => stream.close());
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

/** What we use of grpc-js. */
interface GrpcJs {
  readonly Server: new () => {
    addService(definition: object, handlers: object): void;
    bindAsync(address: string, credentials: unknown, done: (error: Error | null, port: number) => void): void;
  };
  readonly ServerCredentials: { createInsecure(): unknown };
}

function startGrpcJs(packages: string): Promise<string> {
  const grpc = load<GrpcJs>(packages, "@grpc/grpc-js");
  const server = new grpc.Server();
  const same = (bytes: Buffer): Buffer => bytes;
  const put = {
    path: "/etcdserverpb.KV/Put",
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const onPut = (call: { request: Buffer }, reply: (error: null, bytes: Buffer) => void): void => {
    writer.reset();
    answer(writer, call.request, 0, call.request.length);
    reply(null, Buffer.from(writer.copy()));
  };
  server.addService({ put }, { put: onPut });
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(`http://127.0.0.1:${port}`);
      else reject(error);
    });
  });
}

function start(kind: RpcKind, packages: string): Promise<string> {
  switch (kind) {
    case "holdfast":
      return startHoldfast();
    case "node:http2":
      return startHttp2();
    case "@grpc/grpc-js":
      return startGrpcJs(packages);
  }
}

if (process.argv[1]?.endsWith("rpc-server.ts") === true) {
  process.on("disconnect", () => process.exit());
  process.on("message", () => process.send!({ cpuUs: cpuUs() }));
  const address = await start(process.argv[2] as RpcKind, process.argv[3] ?? "");
  process.send!({ address });
}
