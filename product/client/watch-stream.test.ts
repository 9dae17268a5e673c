import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import type { Input, MessageOf } from "../../core/wire/schema.ts";
import { decode, encode } from "../../core/wire/schema.ts";
import { WatchRequest, WatchResponse } from "../../core/wire/messages.ts";
import { CODE } from "../../core/wire/status.ts";
import type { StreamOpener } from "./caller.ts";
import type { CallSink, OpenCall } from "./channel.ts";
import type { EtcdError } from "./errors.ts";
import { WatchCompactedError, WatchStream } from "./watch-stream.ts";

type Request = MessageOf<typeof WatchRequest>;

/** A server that does what the test says; each stream that was opened is kept. */
class FakeServer implements StreamOpener {
  readonly streams: FakeStream[] = [];
  #wake: () => void = () => {};

  stream(_method: unknown, sink: CallSink): Promise<OpenCall> {
    const stream = new FakeStream(sink);
    this.streams.push(stream);
    this.#wake();
    return Promise.resolve(stream);
  }

  forgetTokenAfter(): void {
    // No tokens here.
  }

  /** The stream with this number, from 0, once it is open and its first requests are in. */
  async opened(index: number): Promise<FakeStream> {
    while (this.streams.length <= index) await new Promise<void>((resolve) => (this.#wake = resolve));
    await new Promise(setImmediate);
    return this.streams[index]!;
  }
}

class FakeStream implements OpenCall {
  readonly requests: Request[] = [];
  readonly #sink: CallSink;

  constructor(sink: CallSink) {
    this.#sink = sink;
  }

  send(bytes: Uint8Array): void {
    this.requests.push(decode(WatchRequest, bytes, 0, bytes.length));
  }

  halfClose(): void {
    // Watches are never half-closed.
  }

  cancel(): void {
    this.#sink.onEnd(CODE.canceled, "context canceled", false);
  }

  say(message: Input<MessageOf<typeof WatchResponse>>): void {
    const writer = new ByteWriter();
    encode(WatchResponse, message, writer);
    this.#sink.onMessage(writer.bytes, 0, writer.position);
  }

  event(watch_id: bigint, mod_revision: number, more: { fragment?: boolean } = {}): void {
    const kv = { key: Uint8Array.of(97), mod_revision };
    this.say({ watch_id, header: { revision: mod_revision }, events: [{ kv }], ...more });
  }

  end(code: number, text: string): void {
    this.#sink.onEnd(code, text, false);
  }
}

/** What a user of a watch saw, in short. */
function recorder() {
  const seen: string[] = [];
  let wake: () => void = () => {};
  return {
    seen,
    target: {
      onMessage(message: MessageOf<typeof WatchResponse>) {
        const revisions = message.events.map((it) => it.kv?.mod_revision).join(",");
        seen.push(
          message.created ? "created" : revisions === "" ? `progress ${message.header?.revision}` : revisions,
        );
      },
      onEnd(error: EtcdError | undefined) {
        seen.push(error === undefined ? "closed" : `${error.codeName} ${error.message}`);
        wake();
      },
    },
    ended: new Promise<void>((resolve) => (wake = resolve)),
  };
}

test("a watch goes on after the last revision it saw when its stream ends with Unavailable", async () => {
  const server = new FakeServer();
  const stream = new WatchStream(server, false);
  const user = recorder();
  const handle = stream.add({ key: Uint8Array.of(97) }, user.target);
  const first = await server.opened(0);
  assert.equal(first.requests[0]?.create_request?.start_revision, 0);
  first.say({ watch_id: 1n, created: true, header: { revision: 10 } });
  first.event(1n, 12);
  first.end(CODE.unavailable, "transport is closing");
  const second = await server.opened(1);
  assert.equal(second.requests[0]?.create_request?.start_revision, 13);
  second.say({ watch_id: 1n, created: true, header: { revision: 20 } });
  second.say({ watch_id: -1n, header: { revision: 15 } });
  second.end(CODE.internal, "oops");
  const third = await server.opened(2);
  assert.equal(third.requests[0]?.create_request?.start_revision, 16);
  handle.close();
  assert.deepEqual(user.seen, ["created", "12", "progress 15", "closed"]);
});

test("a watch that saw nothing resumes after the revision it was created at", async () => {
  const server = new FakeServer();
  const stream = new WatchStream(server, false);
  const user = recorder();
  stream.add({ key: Uint8Array.of(97) }, user.target);
  const first = await server.opened(0);
  first.say({ watch_id: 1n, created: true, header: { revision: 10 } });
  first.end(CODE.unavailable, "");
  const second = await server.opened(1);
  assert.equal(second.requests[0]?.create_request?.start_revision, 11);
  stream.close();
});

test("any other end is the watch's end, and a missing leader too when one is required", async () => {
  const table: [boolean, number, string, string][] = [
    [false, CODE.permissionDenied, "no", "PermissionDenied no"],
    [true, CODE.unavailable, "etcdserver: no leader", "Unavailable etcdserver: no leader"],
  ];
  for (const [requireLeader, code, text, expected] of table) {
    const server = new FakeServer();
    const user = recorder();
    new WatchStream(server, requireLeader).add({ key: Uint8Array.of(97) }, user.target);
    (await server.opened(0)).end(code, text);
    await user.ended;
    assert.deepEqual(user.seen, [expected]);
  }
});

test("fragments come as one response", async () => {
  const server = new FakeServer();
  const stream = new WatchStream(server, false);
  const user = recorder();
  stream.add({ key: Uint8Array.of(97) }, user.target);
  const first = await server.opened(0);
  first.say({ watch_id: 1n, created: true, header: { revision: 1 } });
  first.event(1n, 5, { fragment: true });
  first.event(1n, 5, { fragment: true });
  first.event(1n, 5);
  assert.deepEqual(user.seen, ["created", "5,5,5"]);
  stream.close();
});

test("a refused creation goes to the oldest watch that waits, a compaction says its revision", async () => {
  const server = new FakeServer();
  const stream = new WatchStream(server, false);
  const [one, two] = [recorder(), recorder()];
  let compacted: EtcdError | undefined;
  stream.add({ key: Uint8Array.of(97) }, one.target);
  stream.add({ key: Uint8Array.of(98) }, { ...two.target, onEnd: (error) => (compacted = error) });
  const first = await server.opened(0);
  first.say({ watch_id: -1n, created: true, canceled: true, cancel_reason: "mvcc: watcher range is empty" });
  assert.deepEqual(one.seen, ["Unknown mvcc: watcher range is empty"]);
  first.say({ watch_id: 2n, created: true, header: { revision: 9 } });
  first.say({ watch_id: 2n, canceled: true, compact_revision: 7 });
  assert.ok(compacted instanceof WatchCompactedError);
  assert.equal(compacted.compactRevision, 7);
});

test("a paused watch is cancelled at the server and comes back where it was", async () => {
  const server = new FakeServer();
  const stream = new WatchStream(server, false);
  const user = recorder();
  const handle = stream.add({ key: Uint8Array.of(97) }, user.target);
  const first = await server.opened(0);
  first.say({ watch_id: 1n, created: true, header: { revision: 1 } });
  first.event(1n, 3);
  handle.pause();
  first.event(1n, 4); // was on its way: dropped, and comes again
  handle.resume();
  assert.equal(first.requests[1]?.cancel_request?.watch_id, 1n);
  const again = first.requests[2]?.create_request;
  assert.deepEqual([again?.watch_id, again?.start_revision], [2n, 4]);
  first.say({ watch_id: 2n, created: true, header: { revision: 4 } });
  first.event(2n, 4);
  assert.deepEqual(user.seen, ["created", "3", "4"]);
  stream.close();
});
