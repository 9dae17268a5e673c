// The client's side against our own server and against grpc-js.

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";

import grpc from "@grpc/grpc-js";

import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { CallOptions, ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { systemClock } from "../clock.ts";
import { NetClient, type NetCallOptions } from "./client.ts";
import { EchoHandler } from "./echo-handler.ts";
import { type NetServer, serve } from "./server.ts";

interface Answer {
  code: number;
  text: string;
  messages: Buffer[];
  isRefused: boolean;
}

/** A unary call as a promise. */
function unary(
  client: NetClient,
  method: Method,
  request: Uint8Array,
  options?: NetCallOptions,
): Promise<Answer> {
  return new Promise((resolve) => {
    const messages: Buffer[] = [];
    const handler: ClientHandler = {
      onMessage: (_call, bytes, start, end) => messages.push(Buffer.from(bytes.slice(start, end))),
      onEnd: (call, code, text) => resolve({ code, text, messages, isRefused: call.isRefused }),
    };
    const call = client.call(method, handler, options);
    call.send(request, 0, request.length);
    call.halfClose();
  });
}

async function serveEcho(handler = new EchoHandler(), limits = DEFAULT_LIMITS): Promise<NetServer> {
  return serve({ urls: ["http://127.0.0.1:0"], handler, limits, clock: systemClock });
}

let server: NetServer;
let client: NetClient;

before(async () => {
  server = await serveEcho();
  client = new NetClient({ endpoint: server.addresses[0]! });
});

after(() => {
  client.close();
  server.close();
});

test("a unary call gets its reply, empty, small and larger than all windows", async () => {
  for (const sizeBytes of [0, 1, 16_370, 16_380, 1_200_000, 2_097_152]) {
    const request = Buffer.alloc(sizeBytes, 5);
    const answer = await unary(client, METHOD.range, request);
    assert.deepEqual([answer.code, answer.text, answer.messages.length], [0, "", 1]);
    assert.ok(answer.messages[0]!.equals(request));
  }
});

test("1000 calls at once get their own replies", async () => {
  const requests = Array.from({ length: 1000 }, (_, i) => Buffer.from(`request ${i}`));
  const answers = await Promise.all(requests.map((request) => unary(client, METHOD.range, request)));
  for (const [i, answer] of answers.entries()) assert.equal(answer.messages[0]?.toString(), `request ${i}`);
});

test("a failed call ends with its status and decoded text", async () => {
  const answer = await unary(client, METHOD.put, Buffer.from("x"));
  assert.deepEqual([answer.code, answer.text], [5, "etcdserver: 100% größer\n☃"]);
});

test("a call whose time is over ends with DEADLINE_EXCEEDED", async () => {
  const answer = await unary(client, METHOD.txn, Buffer.from("x"), { timeoutMs: 20 });
  assert.deepEqual([answer.code, answer.text], [4, "context deadline exceeded"]);
});

test("a cancelled call ends at once with CANCELLED", async () => {
  const ends: number[] = [];
  const call = client.call(METHOD.watch, { onMessage: () => undefined, onEnd: (_, code) => ends.push(code) });
  call.send(Buffer.from("x"), 0, 1);
  call.cancel();
  assert.deepEqual(ends, [1]);
  assert.equal((await unary(client, METHOD.range, Buffer.from("next"))).code, 0);
});

test("a bidirectional stream gets its messages back in order, then OK", async () => {
  const sizes: number[] = [];
  const code = await new Promise<number>((resolve) => {
    const call = client.call(METHOD.watch, {
      onMessage: (_call, _bytes, start, end) => sizes.push(end - start),
      onEnd: (_call, endCode) => resolve(endCode),
    });
    for (let i = 0; i < 300; i++) call.send(Buffer.alloc(i * 11), 0, i * 11);
    call.halfClose();
  });
  assert.equal(code, 0);
  assert.deepEqual(
    sizes,
    Array.from({ length: 300 }, (_, i) => i * 11),
  );
});

test("calls beyond the server's stream limit wait for a stream", async () => {
  const limited = await serveEcho(new EchoHandler(), { ...DEFAULT_LIMITS, streamCountMax: 3 });
  const few = new NetClient({ endpoint: limited.addresses[0]! });
  await few.ready();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => unary(few, METHOD.range, Buffer.from([i]))),
  );
  assert.ok(answers.every((answer, i) => answer.code === 0 && answer.messages[0]![0] === i));
  few.close();
  limited.close();
});

test("without a server calls end with UNAVAILABLE, and reach it once it is there", async () => {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const late = new NetClient({ endpoint: `127.0.0.1:${port}`, backoffMsMin: 5, backoffMsMax: 20 });
  const answer = await unary(late, METHOD.range, Buffer.from("x"));
  assert.equal(answer.code, 14);
  assert.match(answer.text, /ECONNREFUSED/);
  await assert.rejects(late.ready(), /Cannot connect to 127\.0\.0\.1:\d+: .*ECONNREFUSED/);
  const there = await serve({
    urls: [`http://127.0.0.1:${port}`],
    handler: new EchoHandler(),
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
  const options: CallOptions & { waitForReady: boolean } = { waitForReady: true, timeoutMs: 2000 };
  assert.equal((await unary(late, METHOD.range, Buffer.from("x"), options)).code, 0);
  there.close();
  late.close();
});

test("a draining server finishes what runs, and the client goes to its successor", async () => {
  const handler = new EchoHandler();
  const first = await serveEcho(handler);
  const roaming = new NetClient({ endpoint: first.addresses[0]! });
  const calls: ClientCall[] = [];
  const stream = new Promise<number>((resolve) => {
    calls.push(roaming.call(METHOD.watch, { onMessage: () => drained(), onEnd: (_, code) => resolve(code) }));
  });
  calls[0]!.send(Buffer.from("x"), 0, 1);
  let done: Promise<void> | undefined;
  function drained(): void {
    done ??= first.drain(2000);
    setTimeout(() => calls[0]!.halfClose(), 20);
  }
  assert.equal(await stream, 0);
  await done;
  assert.equal((await unary(roaming, METHOD.range, Buffer.from("x"))).code, 14);
  roaming.close();
});

test("a call of grpc-js's server gets reply, status and text", async () => {
  const peer = new grpc.Server();
  const path = METHOD.range.path;
  const identity = (bytes: Buffer): Buffer => bytes;
  peer.addService(
    {
      range: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    },
    {
      range: ((call, done) => {
        if (call.request.length === 0) return done({ code: 9, details: "ä%" });
        done(null, call.request);
      }) as grpc.handleUnaryCall<Buffer, Buffer>,
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    peer.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const ours = new NetClient({ endpoint: `http://127.0.0.1:${port}` });
  const big = Buffer.alloc(1_000_000, 3);
  const answer = await unary(ours, METHOD.range, big);
  assert.ok(answer.messages[0]!.equals(big));
  const failed = await unary(ours, METHOD.range, Buffer.alloc(0));
  assert.deepEqual([failed.code, failed.text], [9, "ä%"]);
  const unknown = await unary(ours, METHOD.put, Buffer.alloc(0));
  assert.equal(unknown.code, 12);
  ours.close();
  peer.forceShutdown();
});
