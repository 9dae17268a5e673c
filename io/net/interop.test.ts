// The interoperability cases of gRPC by their names: grpc-js against our server, and our client against grpc-js's. (The
// cases about Google's clouds and about compression, which etcd does not configure, have no place here; the negative
// ones are in core/grpc/negative.test.ts.)

import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { after, before, test } from "node:test";

import grpc from "@grpc/grpc-js";

import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ClientCall } from "../../core/grpc/client-call.ts";
import type { ServerCall, ServerHandler } from "../../core/grpc/server-call.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../../core/http2/limits.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { systemClock } from "../clock.ts";
import { NetClient } from "./client.ts";
import { type NetServer, serve } from "./server.ts";

// Our methods stand in for those of the interop service: what matters is their kind.
const EMPTY_UNARY = METHOD.range;
const LARGE_UNARY = METHOD.put;
const STATUS_UNARY = METHOD.txn;
const SLEEPING_UNARY = METHOD.compact;
const METADATA_UNARY = METHOD.deleteRange;
const SERVER_STREAMING = METHOD.snapshot;
const FULL_DUPLEX = METHOD.watch;
const REQUEST_SIZE_BYTES = 271_828;
const RESPONSE_SIZE_BYTES = 314_159;
const SIZES = [31_415, 9, 2_653, 58_979];
const ECHO_INITIAL = "x-grpc-test-echo-initial";
const ECHO_TRAILING = "x-grpc-test-echo-trailing-bin";
const SPECIAL_TEXT = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

class InteropHandler implements ServerHandler {
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    if (call.method === STATUS_UNARY) return call.failWith(2, SPECIAL_TEXT);
    if (call.method === SLEEPING_UNARY) return;
    if (call.method === METADATA_UNARY) {
      echoMetadata(call);
      call.beginMessage().raw(bytes, start, end);
    } else if (call.method === LARGE_UNARY) {
      assert.equal(end - start, REQUEST_SIZE_BYTES);
      call.beginMessage().raw(new Uint8Array(RESPONSE_SIZE_BYTES), 0, RESPONSE_SIZE_BYTES);
    } else call.beginMessage().raw(bytes, start, end);
    call.endMessage();
    call.finish();
  }
  onStreamOpen(call: ServerCall): void {
    echoMetadata(call);
  }
  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const text = Buffer.from(bytes.slice(start, end)).toString();
    for (const size of text.split(",").map(Number)) {
      call.beginMessage().raw(new Uint8Array(size), 0, size);
      call.endMessage();
    }
  }
  onStreamHalfClose(call: ServerCall): void {
    call.finish();
  }
  onCancel(call: ServerCall): void {
    call.finish();
  }
  onWritable(_call: ServerCall): void {
    // the client of these tests reads
  }
}

function echoMetadata(call: ServerCall): void {
  const initial = call.metadata(ECHO_INITIAL);
  const trailing = call.metadata(ECHO_TRAILING);
  if (initial !== undefined) call.addHeader(ECHO_INITIAL, initial);
  if (trailing !== undefined) call.addTrailer(ECHO_TRAILING, trailing);
}

/** The same by a server of grpc-js; what is to be sent at the end. */
function jsEchoMetadata(call: {
  readonly metadata: grpc.Metadata;
  sendMetadata: (fields: grpc.Metadata) => void;
}): grpc.Metadata {
  const [initial, trailing] = [new grpc.Metadata(), new grpc.Metadata()];
  for (const value of call.metadata.get(ECHO_INITIAL)) initial.add(ECHO_INITIAL, value);
  for (const value of call.metadata.get(ECHO_TRAILING)) trailing.add(ECHO_TRAILING, value);
  if (call.metadata.get(ECHO_INITIAL).length > 0) call.sendMetadata(initial);
  return trailing;
}

const identity = (bytes: Buffer): Buffer => bytes;
const definitionOf = (method: Method): grpc.MethodDefinition<Buffer, Buffer> => ({
  path: method.path,
  requestStream: method.kind === "bidi" || method.kind === "client",
  responseStream: method.kind === "bidi" || method.kind === "server",
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

const handler = new InteropHandler();
let server: NetServer;
let js: grpc.Client;
let jsServer: grpc.Server;
let ours: NetClient;

before(async () => {
  server = await serve({
    urls: ["http://127.0.0.1:0"],
    handler,
    onHttp: (request, respond) =>
      respond(200, { "content-type": "text/plain" }, `${request.method} ${request.path}`),
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
  js = new grpc.Client(server.addresses[0]!.slice(7), grpc.credentials.createInsecure());
  jsServer = new grpc.Server();
  jsServer.addService(
    {
      empty: definitionOf(EMPTY_UNARY),
      large: definitionOf(LARGE_UNARY),
      status: definitionOf(STATUS_UNARY),
      sleeping: definitionOf(SLEEPING_UNARY),
      metadata: definitionOf(METADATA_UNARY),
      duplex: definitionOf(FULL_DUPLEX),
      stream: definitionOf(SERVER_STREAMING),
    },
    {
      empty: ((call, done) => done(null, call.request)) as grpc.handleUnaryCall<Buffer, Buffer>,
      large: ((_call, done) => done(null, Buffer.alloc(RESPONSE_SIZE_BYTES))) as grpc.handleUnaryCall<
        Buffer,
        Buffer
      >,
      status: ((_call, done) => done({ code: 2, details: SPECIAL_TEXT })) as grpc.handleUnaryCall<
        Buffer,
        Buffer
      >,
      sleeping: (() => undefined) as grpc.handleUnaryCall<Buffer, Buffer>,
      metadata: ((call, done) => done(null, call.request, jsEchoMetadata(call))) as grpc.handleUnaryCall<
        Buffer,
        Buffer
      >,
      duplex: ((call) => {
        const trailing = jsEchoMetadata(call);
        call.on("data", (request: Buffer) => call.write(Buffer.alloc(Number(request.toString()))));
        call.on("end", () => call.end(trailing));
      }) as grpc.handleBidiStreamingCall<Buffer, Buffer>,
      stream: ((call) => {
        for (const size of SIZES) call.write(Buffer.alloc(size));
        call.end();
      }) as grpc.handleServerStreamingCall<Buffer, Buffer>,
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    jsServer.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  ours = new NetClient({ endpoint: `http://127.0.0.1:${port}` });
});

after(() => {
  js.close();
  ours.close();
  server.close();
  jsServer.forceShutdown();
});

interface Outcome {
  readonly code: number;
  readonly text: string;
  readonly sizes: number[];
}

/** A unary call of grpc-js. */
function jsUnary(
  method: Method,
  request: Buffer,
  options: grpc.CallOptions = {},
  metadata = new grpc.Metadata(),
): Promise<Outcome & { reply: string }> {
  return new Promise((resolve) => {
    js.makeUnaryRequest(method.path, identity, identity, request, metadata, options, (error, reply) => {
      const sizes = reply === undefined ? [] : [reply.length];
      resolve({ code: error?.code ?? 0, text: error?.details ?? "", sizes, reply: reply?.toString() ?? "" });
    });
  });
}

/** A call of our client; `run` sends. */
function ourCall(
  method: Method,
  run: (call: ClientCall) => void,
  onMessage?: (call: ClientCall, sizes: number[]) => void,
  timeoutMs = Infinity,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const sizes: number[] = [];
    const call = ours.call(
      method,
      {
        onMessage: (it, _bytes, start, end) => {
          sizes.push(end - start);
          onMessage?.(it, sizes);
        },
        // grpc-js says "OK" where others say nothing.
        onEnd: (_it, code, text) => resolve({ code, text: code === 0 ? "" : text, sizes }),
      },
      { timeoutMs },
    );
    run(call);
  });
}

function sendOnce(size: number): (call: ClientCall) => void {
  return (call) => {
    call.send(new Uint8Array(size), 0, size);
    call.halfClose();
  };
}

function sendText(call: ClientCall, text: string): void {
  call.send(Buffer.from(text), 0, text.length);
}

test("empty_unary", async () => {
  assert.deepEqual((await jsUnary(EMPTY_UNARY, Buffer.alloc(0))).sizes, [0]);
  assert.deepEqual(await ourCall(EMPTY_UNARY, sendOnce(0)), { code: 0, text: "", sizes: [0] });
});

test("large_unary", async () => {
  assert.deepEqual((await jsUnary(LARGE_UNARY, Buffer.alloc(REQUEST_SIZE_BYTES))).sizes, [
    RESPONSE_SIZE_BYTES,
  ]);
  assert.deepEqual((await ourCall(LARGE_UNARY, sendOnce(REQUEST_SIZE_BYTES))).sizes, [RESPONSE_SIZE_BYTES]);
});

test("client_compressed_unary is refused: no compression is configured", async () => {
  const outcome = await new Promise<grpc.ServiceError | null>((resolve) => {
    const gzip = new grpc.Client(server.addresses[0]!.slice(7), grpc.credentials.createInsecure(), {
      "grpc.default_compression_algorithm": 2,
    });
    gzip.makeUnaryRequest(EMPTY_UNARY.path, identity, identity, Buffer.alloc(1000), (error) => {
      gzip.close();
      resolve(error);
    });
  });
  assert.equal(outcome?.code, 12);
  assert.equal(outcome.details, 'grpc: Decompressor is not installed for grpc-encoding "gzip"');
});

test("server_streaming", async () => {
  const sizes: number[] = [];
  const stream = js.makeServerStreamRequest(
    SERVER_STREAMING.path,
    identity,
    identity,
    Buffer.from(SIZES.join()),
  );
  stream.on("data", (reply: Buffer) => sizes.push(reply.length));
  await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  assert.deepEqual(sizes, SIZES);
  assert.deepEqual((await ourCall(SERVER_STREAMING, sendOnce(1))).sizes, SIZES);
});

test("ping_pong", async () => {
  const sizes: number[] = [];
  const duplex = js.makeBidiStreamRequest(FULL_DUPLEX.path, identity, identity);
  duplex.on("data", (reply: Buffer) => {
    sizes.push(reply.length);
    if (sizes.length === SIZES.length) duplex.end();
    else duplex.write(Buffer.from(String(SIZES[sizes.length])));
  });
  duplex.write(Buffer.from(String(SIZES[0])));
  await new Promise((resolve, reject) => duplex.on("end", resolve).on("error", reject));
  assert.deepEqual(sizes, SIZES);
  const outcome = await ourCall(
    FULL_DUPLEX,
    (call) => sendText(call, String(SIZES[0])),
    (call, got) =>
      got.length === SIZES.length ? call.halfClose() : sendText(call, String(SIZES[got.length])),
  );
  assert.deepEqual(outcome, { code: 0, text: "", sizes: SIZES });
});

test("empty_stream", async () => {
  const duplex = js.makeBidiStreamRequest(FULL_DUPLEX.path, identity, identity);
  duplex.on("data", () => assert.fail("nothing was asked"));
  duplex.end();
  await new Promise((resolve, reject) => duplex.on("end", resolve).on("error", reject));
  assert.deepEqual(await ourCall(FULL_DUPLEX, (call) => call.halfClose()), { code: 0, text: "", sizes: [] });
});

const INITIAL_VALUE = "test_initial_metadata_value";
const TRAILING_VALUE = Buffer.of(0xab, 0xab, 0xab);

interface Echo {
  readonly initial: unknown;
  readonly trailing: unknown;
}

/** What our server sends back to a call of grpc-js, unary or not. */
function jsEcho(run: (metadata: grpc.Metadata) => grpc.Call & NodeJS.EventEmitter): Promise<Echo> {
  const metadata = new grpc.Metadata();
  metadata.set(ECHO_INITIAL, INITIAL_VALUE);
  metadata.set(ECHO_TRAILING, TRAILING_VALUE);
  return new Promise((resolve) => {
    let initial: unknown;
    const call = run(metadata);
    call.on("metadata", (fields: grpc.Metadata) => (initial = fields.get(ECHO_INITIAL)[0]));
    call.on("status", ({ metadata: fields }: grpc.StatusObject) =>
      resolve({ initial, trailing: fields.get(ECHO_TRAILING)[0] }),
    );
  });
}

/** What the server of grpc-js sends back to our client. */
function ourEcho(method: Method, run: (call: ClientCall) => void, then?: (call: ClientCall) => void) {
  const metadata = { [ECHO_INITIAL]: INITIAL_VALUE, [ECHO_TRAILING]: TRAILING_VALUE.toString("base64") };
  return new Promise<Echo>((resolve) => {
    let initial: string | undefined;
    const onMessage = (call: ClientCall): void => {
      initial = call.metadata(ECHO_INITIAL);
      then?.(call);
    };
    const onEnd = (call: ClientCall): void =>
      resolve({ initial, trailing: Buffer.from(call.metadata(ECHO_TRAILING) ?? "", "base64") });
    run(ours.call(method, { onMessage, onEnd }, { metadata }));
  });
}

test("custom_metadata", async () => {
  const expected = { initial: INITIAL_VALUE, trailing: TRAILING_VALUE };
  const unary = await jsEcho((metadata) =>
    js.makeUnaryRequest(METADATA_UNARY.path, identity, identity, Buffer.alloc(1), metadata, () => undefined),
  );
  assert.deepEqual(unary, expected);
  const duplex = await jsEcho((metadata) => {
    const call = js.makeBidiStreamRequest(FULL_DUPLEX.path, identity, identity, metadata);
    call.on("data", () => call.end());
    call.write(Buffer.from("9"));
    return call;
  });
  assert.deepEqual(duplex, expected);
  assert.deepEqual(await ourEcho(METADATA_UNARY, sendOnce(1)), expected);
  const send = (call: ClientCall): void => sendText(call, "9");
  assert.deepEqual(await ourEcho(FULL_DUPLEX, send, (call) => call.halfClose()), expected);
});

test("status_code_and_message, special_status_message", async () => {
  const theirs = await jsUnary(STATUS_UNARY, Buffer.alloc(0));
  assert.deepEqual([theirs.code, theirs.text], [2, SPECIAL_TEXT]);
  const own = await ourCall(STATUS_UNARY, sendOnce(0));
  assert.deepEqual([own.code, own.text], [2, SPECIAL_TEXT]);
});

test("unimplemented_method, unimplemented_service", async () => {
  const unknown = (path: string): Method => ({ ...METHOD.range, path });
  assert.equal((await jsUnary(unknown("/etcdserverpb.KV/Missing"), Buffer.alloc(0))).code, 12);
  assert.equal((await jsUnary(unknown("/missing.Service/Missing"), Buffer.alloc(0))).code, 12);
  assert.equal((await ourCall(METHOD.leaseGrant, sendOnce(0))).code, 12);
});

test("cancel_after_begin, cancel_after_first_response", async () => {
  const duplex = js.makeBidiStreamRequest(FULL_DUPLEX.path, identity, identity);
  duplex.on("data", () => duplex.cancel());
  const code = new Promise((resolve) =>
    duplex.on("error", (error: grpc.ServiceError) => resolve(error.code)),
  );
  duplex.write(Buffer.from("31415"));
  assert.equal(await code, 1);
  assert.equal((await ourCall(FULL_DUPLEX, (call) => call.cancel())).code, 1);
  const first = await ourCall(
    FULL_DUPLEX,
    (call) => sendText(call, "31415"),
    (call) => call.cancel(),
  );
  assert.deepEqual([first.code, first.sizes], [1, [31415]]);
});

test("timeout_on_sleeping_server", async () => {
  assert.equal((await jsUnary(SLEEPING_UNARY, Buffer.alloc(0), { deadline: Date.now() + 20 })).code, 4);
  assert.equal((await ourCall(SLEEPING_UNARY, sendOnce(0), undefined, 20)).code, 4);
});

test("concurrent large unary calls", async () => {
  const request = Buffer.alloc(REQUEST_SIZE_BYTES);
  const theirs = await Promise.all(Array.from({ length: 30 }, () => jsUnary(LARGE_UNARY, request)));
  assert.ok(theirs.every((it) => it.code === 0 && it.sizes[0] === RESPONSE_SIZE_BYTES));
  const own = await Promise.all(
    Array.from({ length: 30 }, () => ourCall(LARGE_UNARY, sendOnce(REQUEST_SIZE_BYTES))),
  );
  assert.ok(own.every((it) => it.code === 0 && it.sizes[0] === RESPONSE_SIZE_BYTES));
});

test("plain HTTP over HTTP/2 from node's client: GET, HEAD, POST", async () => {
  const session = http2.connect(server.addresses[0]!);
  const ask = (method: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ":method": method, ":path": "/health?x" });
      let text = "";
      stream.on("response", (fields) => (text += `${fields[":status"]} ${fields["content-type"]} `));
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      stream.on("end", () => resolve(text));
      stream.on("error", reject);
      stream.end(method === "POST" ? "body" : undefined);
    });
  assert.equal(await ask("GET"), "200 text/plain GET /health?x");
  assert.equal(await ask("POST"), "200 text/plain POST /health?x");
  assert.equal(await ask("HEAD"), "200 text/plain ");
  session.close();
});

test("slow loris: a connection that does not say what it speaks, or whose header does not end, is closed", async () => {
  const strict = await serve({
    urls: ["http://127.0.0.1:0"],
    handler,
    limits: DEFAULT_LIMITS,
    transportLimits: { ...DEFAULT_TRANSPORT_LIMITS, handshakeMs: 100 },
    clock: systemClock,
  });
  const port = Number(new URL(strict.addresses[0]!).port);
  const endings = ["", "PR", "GET / HTTP/1.1\r\nhost: a\r\n"].map(
    (first) =>
      new Promise((resolve) => {
        const socket = net.connect(port, "127.0.0.1", () => socket.write(first));
        socket.on("error", () => undefined);
        socket.resume().once("close", resolve);
      }),
  );
  await Promise.all(endings);
  strict.close();
});

test("a name is listened on at its IPv4 address, and one that is none is an error", async () => {
  const options = { handler, limits: DEFAULT_LIMITS, clock: systemClock };
  const named = await serve({ urls: ["http://localhost:0"], ...options });
  assert.match(named.addresses[0]!, /^http:\/\/127\.0\.0\.1:\d+$/);
  named.close();
  const port = new URL(server.addresses[0]!).port;
  await assert.rejects(
    serve({ urls: [`http://127.0.0.1:${port}`], ...options }),
    /Cannot listen on .*EADDRINUSE/,
  );
  await assert.rejects(
    serve({ urls: ["ftp://127.0.0.1:0"], ...options }),
    /needs http, https, unix or unixs/,
  );
  await assert.rejects(
    serve({ urls: ["https://127.0.0.1:0"], ...options }),
    /TLS needs a certificate and a key/,
  );
});

test("connections above the limit are closed at once", async () => {
  const few = await serve({
    urls: ["http://127.0.0.1:0"],
    handler,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
    connectionCountMax: 1,
  });
  const port = Number(new URL(few.addresses[0]!).port);
  const first = net.connect(port, "127.0.0.1");
  await new Promise((resolve) => first.once("connect", resolve));
  const second = net.connect(port, "127.0.0.1");
  second.on("error", () => undefined);
  await new Promise((resolve) => second.once("close", resolve));
  assert.equal(few.connectionCount, 1);
  first.destroy();
  few.close();
});
