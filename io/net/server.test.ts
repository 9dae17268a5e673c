// The server's side against grpc-js, a client that is not ours.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import grpc from "@grpc/grpc-js";

import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import { systemClock } from "../clock.ts";
import { EchoHandler } from "./echo-handler.ts";
import { type NetServer, serve } from "./server.ts";

const identity = (bytes: Buffer): Buffer => bytes;
const SERVICE = grpc.makeGenericClientConstructor(
  {
    unary: definition("/etcdserverpb.KV/Range", false, false),
    fail: definition("/etcdserverpb.KV/Put", false, false),
    slow: definition("/etcdserverpb.KV/Txn", false, false),
    bidi: definition("/etcdserverpb.Watch/Watch", true, true),
    server: definition("/etcdserverpb.Maintenance/Snapshot", false, true),
    unknownMethod: definition("/etcdserverpb.KV/Nope", false, false),
    unknownService: definition("/nope.Nope/Range", false, false),
  },
  "echo",
);

function definition(
  path: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

type Unary = (
  request: Buffer,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  done: (error: grpc.ServiceError | null, reply?: Buffer) => void,
) => grpc.ClientUnaryCall;

let server: NetServer;
let client: grpc.Client & Record<string, unknown>;
let handler: EchoHandler;

before(async () => {
  handler = new EchoHandler();
  server = await serve({
    urls: ["http://127.0.0.1:0"],
    handler,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
    onHttp: (request, respond) => {
      respond(
        200,
        { "content-type": "text/plain" },
        `${request.method} ${request.path} ${request.body.length}`,
      );
    },
  });
  const target = server.addresses[0]!.slice("http://".length);
  client = new SERVICE(target, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  }) as unknown as typeof client;
});

after(async () => {
  client.close();
  server.close();
});

function call(name: string, request: Uint8Array, options: grpc.CallOptions = {}): Promise<Buffer> {
  const unary = client[name] as Unary;
  return new Promise((resolve, reject) => {
    unary.call(client, Buffer.from(request), new grpc.Metadata(), options, (error, reply) => {
      if (error === null) resolve(reply!);
      else reject(error);
    });
  });
}

test("grpc-js gets its unary request back, empty, small and larger than a window", async () => {
  for (const sizeBytes of [0, 1, 300, 16_379, 16_380, 70_000, 1_500_000, 2_097_152]) {
    const request = Buffer.alloc(sizeBytes, 7);
    assert.ok((await call("unary", request)).equals(request), `size ${sizeBytes}`);
  }
});

test("grpc-js gets 200 unary requests at once back", async () => {
  const requests = Array.from({ length: 200 }, (_, i) => Buffer.alloc(i * 10, i));
  const replies = await Promise.all(requests.map((request) => call("unary", request)));
  for (const [i, reply] of replies.entries()) assert.ok(reply.equals(requests[i]!));
});

test("grpc-js gets 30 large unary requests at once back", async () => {
  const requests = Array.from({ length: 30 }, (_, i) => Buffer.alloc(400_000, i));
  const replies = await Promise.all(requests.map((request) => call("unary", request)));
  for (const [i, reply] of replies.entries()) assert.ok(reply.equals(requests[i]!));
});

test("grpc-js sees status and percent-encoded text of a failed call", async () => {
  await assert.rejects(call("fail", Buffer.from("x")), { code: 5, details: "etcdserver: 100% größer\n☃" });
});

test("grpc-js sees the texts of unknown methods and services", async () => {
  await assert.rejects(call("unknownMethod", Buffer.from("x")), {
    code: 12,
    details: "unknown method Nope for service etcdserverpb.KV",
  });
  await assert.rejects(call("unknownService", Buffer.from("x")), {
    code: 12,
    details: "unknown service nope.Nope",
  });
});

test("grpc-js is told that a message is too large before it has been read", async () => {
  await assert.rejects(call("unary", Buffer.alloc(2_097_153)), {
    code: 8,
    details: "grpc: received message larger than max (2097153 vs. 2097152)",
  });
});

test("a deadline ends a call that the handler holds, and a cancellation reaches it", async () => {
  handler.cancelCount = 0;
  await assert.rejects(call("slow", Buffer.from("x"), { deadline: Date.now() + 60 }), { code: 4 });
  const unary = client["slow"] as Unary;
  await new Promise<void>((resolve) => {
    const running = unary.call(client, Buffer.from("x"), new grpc.Metadata(), {}, (error) => {
      assert.equal(error?.code, 1);
      resolve();
    });
    handler.onHeld = (): void => running.cancel();
  });
  handler.onHeld = undefined;
  await handler.untilCancelled(2);
});

test("grpc-js gets 500 messages of a bidirectional stream back, in order", async () => {
  type Bidi = () => grpc.ClientDuplexStream<Buffer, Buffer>;
  const stream = (client["bidi"] as Bidi).call(client);
  const replies: number[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    stream.on("data", (reply: Buffer) => replies.push(reply.length));
    stream.on("error", reject);
    stream.on("end", resolve);
  });
  for (let i = 0; i < 500; i++) stream.write(Buffer.alloc(i * 7));
  stream.end();
  await ended;
  assert.deepEqual(
    replies,
    Array.from({ length: 500 }, (_, i) => i * 7),
  );
});

test("grpc-js gets a large message that is pulled in pieces", async () => {
  type ServerStream = (request: Buffer) => grpc.ClientReadableStream<Buffer>;
  const stream = (client["server"] as ServerStream).call(client, Buffer.from("9000000"));
  const sizes: number[] = [];
  stream.on("data", (reply: Buffer) => sizes.push(reply.length));
  await new Promise<void>((resolve, reject) => stream.on("end", resolve).on("error", reject));
  assert.deepEqual(sizes, [9_000_000]);
});

test("HTTP/1.1 on the same port goes to onHttp", async () => {
  const body = await new Promise<string>((resolve, reject) => {
    const request = http.request(`${server.addresses[0]}/health?a=1`, { method: "POST" }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve(text));
    });
    request.on("error", reject);
    request.end("four");
  });
  assert.equal(body, "POST /health?a=1 4");
});
