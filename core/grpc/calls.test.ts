// Calls between our client and server machines, in virtual time; and the server's words to clients that err.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { ByteWriter } from "../base/byte-writer.ts";
import { FLAG_END_HEADERS } from "../http2/frames.ts";
import { METHOD, type Method } from "../wire/service.ts";
import type { CallOptions, ClientCall, ClientHandler } from "./client-call.ts";
import { HealthService } from "./health.ts";
import { Pair } from "./pair.ts";
import { grpcFields, grpcMessage, type RawFields, RawPeer } from "./raw-peer.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

/** Notes what happens; tests answer by hand. */
class NotingHandler implements ServerHandler {
  readonly notes: string[] = [];
  readonly calls: ServerCall[] = [];
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    this.calls.push(call);
    this.notes.push(`unary ${call.method.name} ${end - start} ${start < end ? bytes[start] : ""}`);
  }
  onStreamOpen(call: ServerCall): void {
    this.calls.push(call);
    this.notes.push(`open ${call.method.name}`);
  }
  onStreamMessage(_call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    this.notes.push(`message ${end - start} ${start < end ? bytes[start] : ""}`);
  }
  onStreamHalfClose(): void {
    this.notes.push("half close");
  }
  onCancel(): void {
    this.notes.push("cancel");
  }
  onWritable(): void {
    this.notes.push("writable");
  }
}

class NotingClient implements ClientHandler {
  readonly notes: string[] = [];
  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.notes.push(`message ${end - start} ${start < end ? bytes[start] : ""}`);
  }
  onEnd(call: ClientCall, code: number, text: string): void {
    this.notes.push(`end ${code}${text === "" ? "" : ` ${text}`}${call.isRefused ? " (refused)" : ""}`);
  }
}

interface Scene {
  readonly handler: NotingHandler;
  readonly client: NotingClient;
  readonly pair: Pair;
  call(method: Method, options?: CallOptions): ClientCall;
}

function scene(options: Partial<ConstructorParameters<typeof Pair>[0]> = {}): Scene {
  const handler = new NotingHandler();
  const client = new NotingClient();
  const pair = new Pair({ handler, ...options });
  pair.run();
  return { handler, client, pair, call: (method, it) => pair.client.call(method, client, it) };
}

const bytes = (size: number, value = 7): Uint8Array => new Uint8Array(size).fill(value);

function send(call: ClientCall, size: number, value = 7): void {
  call.send(bytes(size, value), 0, size);
}

function reply(call: ServerCall, size: number, value = 9): void {
  call.beginMessage().raw(bytes(size, value), 0, size);
  call.endMessage();
}

test("a unary call is answered, and both sides are as before", () => {
  const { handler, client, pair, call } = scene();
  for (let i = 0; i < 3; i++) {
    const it = call(METHOD.put);
    send(it, 10);
    it.halfClose();
    pair.run();
    reply(handler.calls[i]!, 20);
    handler.calls[i]!.finish();
    pair.run();
  }
  assert.deepEqual(handler.notes, Array(3).fill("unary Put 10 7"));
  assert.deepEqual(client.notes, Array(3).fill(["message 20 9", "end 0"]).flat());
  assert.deepEqual([pair.server.callCount, pair.client.callCount], [0, 0]);
  assert.equal(handler.calls[0], handler.calls[2], "calls are pooled");
});

test("a unary request whose end comes apart from its message is kept until then", () => {
  const { handler, pair, call } = scene();
  const it = call(METHOD.put);
  send(it, 3000, 5);
  pair.run();
  assert.deepEqual(handler.notes, []);
  it.halfClose();
  pair.run();
  assert.deepEqual(handler.notes, ["unary Put 3000 5"]);
});

/** No service of ours has a method of this kind; to the server it is one whose client sends many messages. */
const CLIENT_STREAMING: Method = { ...METHOD.watch, kind: "client" };

test("a call whose client alone streams is answered once, after its end (interop client_streaming)", () => {
  const { handler, client, pair, call } = scene();
  const it = call(CLIENT_STREAMING);
  const sizes = [27_182, 8, 1_828, 45_904];
  for (const size of sizes) send(it, size, 3);
  pair.run();
  assert.deepEqual(handler.notes, ["open Watch", ...sizes.map((size) => `message ${size} 3`)]);
  assert.deepEqual(client.notes, []);
  it.halfClose();
  pair.run();
  assert.equal(handler.notes.at(-1), "half close");
  reply(handler.calls[0]!, 4);
  handler.calls[0]!.finish();
  pair.run();
  assert.deepEqual(client.notes, ["message 4 9", "end 0"]);
  assert.deepEqual([pair.server.callCount, pair.client.callCount], [0, 0]);
});

test("a call whose client alone streams fails when its one answer is missing, or is not the only one", () => {
  for (const count of [0, 2]) {
    const { handler, client, pair, call } = scene();
    const it = call(CLIENT_STREAMING);
    send(it, 5);
    it.halfClose();
    pair.run();
    for (let i = 0; i < count; i++) reply(handler.calls[0]!, 4);
    handler.calls[0]!.finish();
    pair.run();
    assert.match(client.notes.at(-1)!, /^end 13 /, `${count} answers`);
    assert.equal(pair.client.callCount, 0);
  }
});

test("the answer of a streaming client may come before its end", () => {
  const { handler, client, pair, call } = scene();
  const it = call(CLIENT_STREAMING);
  send(it, 5);
  pair.run();
  reply(handler.calls[0]!, 4);
  handler.calls[0]!.finish();
  pair.run();
  assert.deepEqual(client.notes, ["message 4 9", "end 0"]);
  assert.deepEqual([pair.server.callCount, pair.client.callCount], [0, 0]);
});

test("messages of any size arrive whole however they are cut", () => {
  for (const chunk of [1, 5, 13, 1000, 65536]) {
    const { handler, client, pair, call } = scene();
    pair.chunkSizeBytes = chunk;
    const it = call(METHOD.watch);
    for (const size of [0, 1, 4, 5, 6, 2000]) send(it, size, 3);
    pair.run();
    for (const size of [0, 1, 20_000, 5]) reply(handler.calls[0]!, size, 4);
    handler.calls[0]!.finish();
    pair.run();
    const sent = [
      "open Watch",
      "message 0 ",
      "message 1 3",
      "message 4 3",
      "message 5 3",
      "message 6 3",
      "message 2000 3",
    ];
    assert.deepEqual(handler.notes, sent);
    assert.deepEqual(client.notes, ["message 0 ", "message 1 4", "message 20000 4", "message 5 4", "end 0"]);
  }
});

test("a finished call of a client that has not ended its half is cut off with NO_ERROR", () => {
  const { handler, client, pair, call } = scene();
  const it = call(METHOD.watch);
  send(it, 1);
  pair.run();
  handler.calls[0]!.failWith(14, "etcdserver: server stopped");
  pair.run();
  assert.deepEqual(client.notes, ["end 14 etcdserver: server stopped"]);
  assert.deepEqual([pair.server.callCount, pair.client.callCount], [0, 0]);
});

test("a cancelled call tells its handler, and what that still writes goes nowhere", () => {
  const { handler, client, pair, call } = scene();
  const it = call(METHOD.watch);
  pair.run();
  it.cancel();
  pair.run();
  assert.deepEqual(handler.notes, ["open Watch", "cancel"]);
  assert.ok(handler.calls[0]!.cancelled);
  assert.equal(pair.server.callCount, 1);
  reply(handler.calls[0]!, 100);
  handler.calls[0]!.finish();
  pair.run();
  assert.deepEqual(client.notes, ["end 1 context canceled"]);
  assert.equal(pair.server.callCount, 0);
});

test("a deadline ends the call on both sides, at its time", () => {
  const { handler, client, pair, call } = scene();
  const it = call(METHOD.put, { timeoutMs: 100 });
  send(it, 1);
  it.halfClose();
  pair.run();
  assert.equal(handler.calls[0]!.deadlineMs, 100);
  pair.advance(99);
  assert.deepEqual(client.notes, []);
  pair.advance(2);
  assert.deepEqual(client.notes, ["end 4 context deadline exceeded"]);
  assert.deepEqual(handler.notes, ["unary Put 1 7", "cancel"]);
  handler.calls[0]!.finish();
  assert.equal(pair.server.callCount, 0);
});

test("the server keeps a deadline by itself", () => {
  const handler = new NotingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, grpcFields(METHOD.put.path, [["grpc-timeout", "50m"]]), FLAG_END_HEADERS);
  peer.data(1, grpcMessage("x"), true);
  peer.nowMs = 51;
  peer.server.onDeadline(51);
  peer.read();
  assert.deepEqual(handler.notes, ["unary Put 1 120", "cancel"]);
  assert.equal(peer.blocks()[0]?.fields["grpc-status"], "4");
});

test("when the connection goes, every call ends on both sides", () => {
  const { handler, client, pair, call } = scene();
  call(METHOD.watch);
  const unary = call(METHOD.put);
  send(unary, 1);
  unary.halfClose();
  pair.run();
  pair.server.close("gone");
  pair.client.close("reset by peer");
  assert.deepEqual(handler.notes, ["open Watch", "unary Put 1 7", "cancel", "cancel"]);
  assert.deepEqual(client.notes, ["end 14 reset by peer", "end 14 reset by peer"]);
  for (const it of handler.calls) it.finish();
  assert.deepEqual([pair.server.callCount, pair.client.callCount], [0, 0]);
  assert.equal(pair.spentReason, "reset by peer");
});

test("a draining server finishes what runs and refuses what comes", () => {
  const { handler, client, pair, call } = scene();
  const first = call(METHOD.put);
  send(first, 1);
  first.halfClose();
  pair.run();
  pair.server.drain();
  pair.run();
  assert.match(pair.spentReason, /GOAWAY with code 0/);
  call(METHOD.put);
  assert.deepEqual(client.notes, []);
  pair.run();
  assert.deepEqual(client.notes, ["end 14 the server sent GOAWAY with code 0 (refused)"]);
  reply(handler.calls[0]!, 1);
  handler.calls[0]!.finish();
  pair.run();
  assert.deepEqual(client.notes.slice(1), ["message 1 9", "end 0"]);
  assert.ok(pair.server.closed && pair.client.closed);
});

test("writable is false above the limit of unsent bytes, and onWritable follows", () => {
  const { handler, pair, call } = scene({
    serverLimits: { streamOutputBytesMax: 10_000 },
    clientLimits: { streamWindowBytes: 20_000 },
  });
  call(METHOD.watch);
  pair.run();
  const it = handler.calls[0]!;
  for (let i = 0; i < 31; i++) reply(it, 1000);
  assert.equal(it.writable, false);
  assert.deepEqual(handler.notes, ["open Watch"]);
  pair.run();
  assert.deepEqual(handler.notes, ["open Watch", "writable"]);
  assert.equal(it.writable, true);
});

test("a stream that waits for the connection is told when there is room there", () => {
  const { handler, pair, call } = scene({ limits: { connectionOutputBytesMax: 50_000 } });
  call(METHOD.watch);
  call(METHOD.watch);
  pair.run();
  const [busy, quiet] = handler.calls as [ServerCall, ServerCall];
  while (busy.writable) reply(busy, 10_000);
  assert.equal(quiet.writable, false);
  pair.run();
  assert.deepEqual(handler.notes.filter((it) => it === "writable").length, 2);
});

class CountingProducer {
  abandoned = false;
  pullCount = 0;
  #bytesLeft: number;
  constructor(sizeBytes: number) {
    this.#bytesLeft = sizeBytes;
  }
  pull(writer: ByteWriter, roomBytes: number): boolean {
    this.pullCount++;
    const size = Math.min(this.#bytesLeft, roomBytes);
    writer.raw(bytes(size, 1), 0, size);
    this.#bytesLeft -= size;
    return this.#bytesLeft === 0;
  }
  abandon(): void {
    this.abandoned = true;
  }
}

test("a large message is pulled as the client takes it, and abandoned when it goes", () => {
  const { handler, client, pair, call } = scene();
  for (let i = 0; i < 2; i++) {
    const it = call(METHOD.range);
    send(it, 1);
    it.halfClose();
  }
  pair.run();
  const whole = new CountingProducer(5_000_000);
  handler.calls[0]!.sendLarge(5_000_000, whole);
  handler.calls[0]!.finish();
  assert.equal(whole.pullCount, 0);
  pair.run();
  assert.ok(whole.pullCount > 50);
  assert.deepEqual(client.notes, ["message 5000000 1", "end 0"]);
  const cut = new CountingProducer(5_000_000);
  handler.calls[1]!.sendLarge(5_000_000, cut);
  handler.calls[1]!.finish();
  pair.toClient();
  pair.client.close("gone");
  pair.server.close("gone");
  assert.ok(cut.abandoned);
});

test("watch events overtake unary replies, and those large ranges; none starves", () => {
  const { handler, pair, call } = scene({ serverLimits: { outputSliceBytes: 100_000 } });
  const order: string[] = [];
  const note = (name: string): ClientHandler => ({
    onMessage: () => order.push(name),
    onEnd: () => undefined,
  });
  const kinds: readonly (readonly [string, Method])[] = [
    ["large", METHOD.range],
    ["unary", METHOD.put],
    ["watch", METHOD.watch],
  ];
  for (const [name, method] of kinds) {
    const it = pair.client.call(method, note(name));
    send(it, 1);
    if (name !== "watch") it.halfClose();
  }
  assert.ok(call !== undefined);
  pair.run();
  const byName = (name: string): ServerCall => handler.calls.find((it) => it.method.name === name)!;
  byName("Range").sendLarge(900_000, new CountingProducer(900_000));
  byName("Range").finish();
  reply(byName("Put"), 300_000);
  byName("Put").finish();
  for (let i = 0; i < 10; i++) reply(byName("Watch"), 30_000);
  pair.run();
  assert.deepEqual(order.slice(0, 6), Array(6).fill("watch"));
  assert.ok(order.indexOf("unary") < order.indexOf("large"));
  assert.deepEqual(order.length, 12);
});

test("metadata reaches the handler, also from identical blocks", () => {
  const { handler, pair, call } = scene();
  pair.client.setMetadata({ token: "abc.1" });
  for (const metadata of [{ hasleader: "true" }, { hasleader: "true" }, {}]) {
    const it = call(METHOD.put, { metadata });
    send(it, 1);
    it.halfClose();
    pair.run();
  }
  assert.deepEqual(
    handler.calls.map((it) => [it.metadata("token"), it.metadata("hasleader")]),
    [
      ["abc.1", "true"],
      ["abc.1", "true"],
      ["abc.1", undefined],
    ],
  );
});

/** How the server refuses a unary Put: its only block and whether the handler saw the call. */
function refusalOf(fields: RawFields, body: Uint8Array | undefined): string {
  const handler = new NotingHandler();
  const peer = RawPeer.connected({ handler });
  peer.headers(1, fields, body === undefined ? 5 : FLAG_END_HEADERS);
  if (body !== undefined) peer.data(1, body, true);
  const [block] = peer.blocks();
  assert.equal(handler.calls.length, 0);
  assert.equal(peer.server.callCount, 0);
  assert.ok(block?.isEnd, "trailers only");
  return `${block.fields["grpc-status"]} ${block.fields["grpc-message"]}`;
}

test("requests that are no calls are refused in grpc-go's words", () => {
  const put = METHOD.put.path;
  const message = grpcMessage("x");
  const gzip: RawFields = [["grpc-encoding", "gzip"]];
  const two = Uint8Array.from([...message, ...message]);
  const cases: readonly (readonly [string, string])[] = [
    [
      refusalOf(grpcFields("/etcdserverpb.KV/Nope"), message),
      "12 unknown method Nope for service etcdserverpb.KV",
    ],
    [refusalOf(grpcFields("/nope/Put"), message), "12 unknown service nope"],
    [refusalOf(grpcFields("/"), message), '12 malformed method name: "/"'],
    [
      refusalOf(grpcFields(put, gzip), message),
      '12 grpc: Decompressor is not installed for grpc-encoding "gzip"',
    ],
    [
      refusalOf(grpcFields(put), grpcMessage("x", 1)),
      "13 grpc: compressed flag set with identity or empty encoding",
    ],
    [refusalOf(grpcFields(put), grpcMessage("x", 9)), "13 grpc: received unexpected payload format 9"],
    [
      refusalOf(grpcFields(put, [["grpc-timeout", "999999999S"]]), message),
      '13 malformed grpc-timeout: "999999999S"',
    ],
    [refusalOf(grpcFields(put, [["grpc-timeout", "5x"]]), message), '13 malformed grpc-timeout: "5x"'],
    [refusalOf(grpcFields(put), message.slice(0, 5)), "13 unexpected EOF"],
    [
      refusalOf(grpcFields(put), undefined),
      "13 cardinality violation: received no request message from non-client-streaming RPC",
    ],
    [
      refusalOf(grpcFields(put), two),
      "13 cardinality violation: received multiple request messages for non-client-streaming RPC",
    ],
    [
      refusalOf(grpcFields(put), grpcMessage(bytes(2_097_153)).slice(0, 100)),
      "8 grpc: received message larger than max (2097153 vs. 2097152)",
    ],
  ];
  for (const [actual, expected] of cases) assert.equal(actual, expected);
});

test("what is not gRPC is plain HTTP, whatever its path", () => {
  const peer = RawPeer.connected({
    onHttp: (request, respond) => respond(404, { "x-a": "b" }, `${request.method} ${request.header("host")}`),
  });
  const fields = grpcFields(METHOD.put.path).map(
    ([name, value]) => [name, value.replace("/grpc", "/json")] as const,
  );
  peer.headers(1, fields, FLAG_END_HEADERS);
  peer.data(1, "{}", true);
  assert.deepEqual(peer.blocks()[0]?.fields, { ":status": "404", "x-a": "b", "content-length": "14" });
  assert.equal(peer.body(1), "POST localhost");
});

test("health: Check, List and Watch", () => {
  const health = new HealthService();
  const client = new NotingClient();
  const pair = new Pair({ handler: health });
  const unary = (method: Method, request: string): void => {
    const it = pair.client.call(method, client);
    it.send(
      Uint8Array.from(request, (character) => character.charCodeAt(0)),
      0,
      request.length,
    );
    it.halfClose();
    pair.run();
  };
  unary(METHOD.healthCheck, "");
  unary(METHOD.healthCheck, "\x0a\x01x");
  unary(METHOD.healthCheck, "\x0a\x09x");
  unary(METHOD.healthList, "");
  assert.deepEqual(client.notes.slice(0, 3), ["message 2 8", "end 0", "end 5 unknown service"]);
  assert.match(client.notes[3]!, /^end 13 grpc: error unmarshalling request/);
  assert.equal(client.notes[5], "end 0");
  client.notes.length = 0;
  const watch = pair.client.call(METHOD.healthWatch, client);
  watch.send(new Uint8Array(0), 0, 0);
  watch.halfClose();
  pair.run();
  health.setServing("", false);
  health.setServing("", false);
  pair.run();
  assert.deepEqual(client.notes, ["message 2 8", "message 2 8"]);
  watch.cancel();
  pair.run();
  assert.equal(pair.server.callCount, 0);
});
