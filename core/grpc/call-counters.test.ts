import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../base/metrics.ts";
import { METHOD, type Method } from "../wire/service.ts";
import { CODE, STATUS } from "../wire/status.ts";
import { CallCounters } from "./call-counters.ts";
import type { CallOptions, ClientCall, ClientHandler } from "./client-call.ts";
import { Pair } from "./pair.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

/** Leaves every call open, for the test to end. */
class KeepingHandler implements ServerHandler {
  readonly calls: ServerCall[] = [];
  onUnary(call: ServerCall): void {
    this.calls.push(call);
  }
  onStreamOpen(call: ServerCall): void {
    this.calls.push(call);
  }
  onStreamMessage(): void {
    // counted by the connection
  }
  onStreamHalfClose(call: ServerCall): void {
    call.finish();
  }
  onCancel(call: ServerCall): void {
    call.finish();
  }
  onWritable(): void {
    // nothing waits
  }
}

class Ends implements ClientHandler {
  readonly texts: string[] = [];
  onMessage(): void {
    // not looked at
  }
  onEnd(_call: ClientCall, code: number, text: string): void {
    this.texts.push(`${code} ${text}`);
  }
}

class Scene {
  readonly metrics = new Metrics();
  readonly handler = new KeepingHandler();
  readonly ends = new Ends();
  readonly pair: Pair;

  constructor({ isExtensive = false } = {}) {
    const counters = new CallCounters(this.metrics, { isExtensive });
    this.pair = new Pair({ handler: this.handler, counters });
    this.pair.run();
  }

  call(method: Method, sizeBytes: number, options?: CallOptions): ClientCall {
    const call = this.pair.client.call(method, this.ends, options);
    call.send(new Uint8Array(sizeBytes), 0, sizeBytes);
    if (method.kind === "unary") call.halfClose();
    this.pair.run();
    return call;
  }

  answer(sizeBytes: number): void {
    const call = this.handler.calls.at(-1)!;
    call.beginMessage().raw(new Uint8Array(sizeBytes), 0, sizeBytes);
    call.endMessage();
    if (call.method.kind === "unary") call.finish();
    this.pair.run();
  }

  /** The only series of this name whose labels have all these. */
  value(name: string, ...labels: readonly string[]): number {
    const found = this.metrics
      .render()
      .split("\n")
      .filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)));
    assert.equal(found.length, 1, `${name} ${labels.join()}: ${found.join("; ")}`);
    return Number(found[0]!.split(" ").at(-1));
  }
}

test("every method has its series, of every code, before anything was called", () => {
  const scene = new Scene();
  assert.equal(scene.value("grpc_server_handled_total", '"Snapshot"', '"Unavailable"', "server_stream"), 0);
  assert.equal(scene.value("grpc_server_started_total", '"Check"', "grpc.health.v1.Health"), 0);
});

test("a unary call counts as started, received, sent and handled, with its bytes", () => {
  const scene = new Scene();
  scene.call(METHOD.put, 30);
  assert.equal(scene.value("grpc_server_started_total", '"Put"'), 1);
  assert.equal(scene.value("grpc_server_handled_total", '"Put"', '"OK"'), 0);
  scene.answer(40);
  assert.equal(scene.value("grpc_server_msg_received_total", '"Put"'), 1);
  assert.equal(scene.value("grpc_server_msg_sent_total", '"Put"'), 1);
  assert.equal(scene.value("grpc_server_handled_total", '"Put"', '"OK"'), 1);
  assert.equal(scene.value("etcd_network_client_grpc_received_bytes_total"), 30);
  assert.equal(scene.value("etcd_network_client_grpc_sent_bytes_total"), 40);
});

test("a stream is started at once and handled at its end; a cancelled one counts as Canceled", () => {
  const scene = new Scene();
  const call = scene.call(METHOD.watch, 10);
  call.send(new Uint8Array(10), 0, 10);
  scene.pair.run();
  scene.answer(5);
  scene.answer(5);
  const watch = '"etcdserverpb.Watch"';
  assert.equal(scene.value("grpc_server_started_total", watch), 1);
  assert.equal(scene.value("grpc_server_msg_received_total", watch), 2);
  assert.equal(scene.value("grpc_server_msg_sent_total", watch), 2);
  assert.equal(scene.value("grpc_server_handled_total", watch, '"OK"'), 0);
  call.cancel();
  scene.pair.run();
  assert.equal(scene.value("grpc_server_handled_total", watch, '"Canceled"'), 1);
});

test("a call whose time is over counts as DeadlineExceeded", () => {
  const scene = new Scene();
  scene.call(METHOD.range, 10, { timeoutMs: 100 });
  scene.pair.advance(200);
  assert.equal(scene.value("grpc_server_handled_total", '"Range"', '"DeadlineExceeded"'), 1);
});

test("a failed call counts under its code", () => {
  const scene = new Scene();
  scene.call(METHOD.put, 10);
  scene.handler.calls[0]!.fail(STATUS.noSpace);
  assert.equal(scene.value("grpc_server_handled_total", '"Put"', '"ResourceExhausted"'), 1);
});

test("requests are counted by the version that the client says, and too many versions as one", () => {
  const scene = new Scene();
  scene.call(METHOD.put, 1, { metadata: { "client-api-version": "3.6" } });
  scene.call(METHOD.put, 1, { metadata: { "client-api-version": "3.6" } });
  scene.call(METHOD.watch, 1);
  const name = "etcd_server_client_requests_total";
  assert.equal(scene.value(name, 'type="unary"', 'client_api_version="3.6"'), 2);
  assert.equal(scene.value(name, 'type="stream"', 'client_api_version="unknown"'), 1);
  for (let i = 0; i < 100; i++) scene.call(METHOD.put, 1, { metadata: { "client-api-version": `v${i}` } });
  assert.equal(scene.value(name, '"other"'), 38);
});

test("a version of the client's API that is no UTF-8 is refused in etcd's words", () => {
  const scene = new Scene();
  scene.call(METHOD.put, 1, { metadata: { "client-api-version": "3.\xff" } });
  scene.call(METHOD.watch, 1, { metadata: { "client-api-version": "\xc3" } });
  const refusal = `${CODE.invalidArgument} etcdserver: invalid client api version`;
  assert.deepEqual(scene.ends.texts, [refusal, refusal]);
  assert.equal(scene.handler.calls.length, 0);
  scene.call(METHOD.put, 1, { metadata: { "client-api-version": "3.\xc3\xa9" } });
  assert.equal(scene.handler.calls.length, 1);
});

test("durations are measured with extensive metrics only", () => {
  const plain = new Scene();
  assert.doesNotMatch(plain.metrics.render(), /grpc_server_handling_seconds/);
  const scene = new Scene({ isExtensive: true });
  scene.call(METHOD.put, 1);
  scene.pair.advance(30);
  scene.answer(1);
  assert.equal(scene.value("grpc_server_handling_seconds_sum", '"Put"'), 0.03);
  assert.equal(scene.value("grpc_server_handling_seconds_bucket", '"Put"', 'le="0.025"'), 0);
  assert.equal(scene.value("grpc_server_handling_seconds_bucket", '"Put"', 'le="0.05"'), 1);
});
