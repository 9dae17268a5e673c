import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS, type Limits } from "../base/limits.ts";
import { Metrics } from "../base/metrics.ts";
import { RawPeer, grpcFields, grpcMessage } from "../grpc/raw-peer.ts";
import type { ServerCall, ServerHandler } from "../grpc/server-call.ts";
import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_HEADERS,
  FRAME_RST_STREAM,
  FRAME_WINDOW_UPDATE,
} from "../http2/frames.ts";
import type { TransportLimits } from "../http2/limits.ts";
import { Housekeeping } from "../mvcc/housekeeping.ts";
import { KvMachine } from "../mvcc/kv-machine.ts";
import { Store } from "../mvcc/store.ts";
import { RangeRequest } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { LargeAnswers, PulledRange, StreamedRange } from "./large-answers.ts";
import type { Member } from "./member.ts";
import { RangeTimes } from "./range-times.ts";
import { Reading } from "./reading.ts";
import type { ReadQueue } from "./reads.ts";

const SETTING_INITIAL_WINDOW_SIZE = 4;
const KEY_COUNT = 100;
const VALUE = new Uint8Array(2000).fill(118);
const KIB = 1024;

/** A store of 200 KB behind a real transport, and a peer that can say anything. */
class Hostile {
  readonly limits: Limits;
  readonly store = new Store({ segmentSizeBytes: 64 * KIB, hashSeed: 1 });
  readonly answers: LargeAnswers;
  readonly peer: RawPeer;
  /** How often the connection said that it has output. */
  told = 0;
  readonly #housekeeping: Housekeeping;
  #streamId = -1;

  constructor(limits: Partial<Limits> = {}, transportLimits: Partial<TransportLimits> = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    const { store } = this;
    const header = { clusterHi: 0, clusterLo: 1, memberHi: 0, memberLo: 1, term: 1 };
    this.#housekeeping = new Housekeeping(store, this.limits);
    this.answers = new LargeAnswers(this.limits, () => store.slabs);
    const now = (): number => this.peer.nowMs;
    const member = {
      kv: new KvMachine({ store, header, limits: this.limits }),
      rangeTimes: new RangeTimes({ now: () => 0, unixSeconds: () => 0 }, new Metrics()),
      housekeeping: { largeAnswers: this.answers },
      raft: { lastIndex: 0 },
      get nowMs() {
        return now();
      },
    };
    const reading = new Reading(member as unknown as Member, {} as ReadQueue);
    this.peer = RawPeer.connected({
      handler: handlerOf(reading),
      limits: this.limits,
      transportLimits: { streamOutputBytesMax: 16 * KIB, ...transportLimits },
      onOutput: () => void this.told++,
    });
    this.overwrite();
  }

  /** Replaces all values, and drops what was replaced. */
  overwrite(): void {
    const { store } = this;
    for (let i = 0; i < KEY_COUNT; i++) {
      const key = Uint8Array.of(107, i);
      store.beginRevision();
      store.put(key, 0, key.length, VALUE, 0, VALUE.length, 0, 0);
      store.endRevision();
    }
    store.compactedRevision = store.revision;
    while (this.#housekeeping.slice());
  }

  /** Asks for everything; the peer takes what its windows allow. */
  ask(method: { readonly path: string }, timeout = ""): number {
    const id = (this.#streamId += 2);
    const message = new ByteWriter();
    encode(RangeRequest, { key: Uint8Array.of(0), range_end: Uint8Array.of(0), serializable: true }, message);
    const more: [string, string][] = timeout === "" ? [] : [["grpc-timeout", timeout]];
    this.peer.headers(id, grpcFields(method.path, more), FLAG_END_HEADERS);
    this.peer.data(id, grpcMessage(message.copy()), true);
    return id;
  }

  turn(nowMs: number): void {
    this.peer.nowMs = nowMs;
    this.answers.turn(nowMs);
    this.peer.server.onDeadline(nowMs);
    this.peer.read();
  }

  hasEnded(id: number): boolean {
    return this.peer.frames.some(
      (frame) => frame.id === id && frame.type === FRAME_HEADERS && (frame.flags & FLAG_END_STREAM) !== 0,
    );
  }
}

function handlerOf(reading: Reading): ServerHandler {
  return {
    onUnary: (call, bytes, start, end) => reading.serve(call, bytes, start, end),
    onStreamOpen: () => undefined,
    onStreamMessage: (call, bytes, start, end) => reading.serve(call, bytes, start, end),
    onStreamHalfClose: () => undefined,
    onCancel: ({ state }: ServerCall) => {
      assert.ok(state instanceof PulledRange || state instanceof StreamedRange);
      state.cancel();
    },
    onWritable: ({ state }: ServerCall) => {
      if (state instanceof StreamedRange) state.go();
    },
  };
}

const METHODS = [METHOD.range, METHOD.rangeStream];

test("readers that take nothing hold memory for a bounded time", () => {
  for (const method of METHODS) {
    const hostile = new Hostile({ largeAnswerMsMax: 1000 });
    const { slabs } = hostile.store;
    const memoryBytes = slabs.memoryBytes;
    hostile.peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
    const ids = Array.from({ length: 50 }, () => hostile.ask(method));
    hostile.overwrite();
    assert.ok(slabs.pinnedBytes > memoryBytes, `${slabs.pinnedBytes} bytes are held`);
    hostile.turn(999);
    assert.equal(hostile.answers.count, 50);
    hostile.turn(1000);
    assert.equal(hostile.answers.count, 0);
    assert.equal(slabs.pinnedBytes, 0);
    assert.ok(slabs.memoryBytes < memoryBytes + slabs.segmentSizeBytes);
    assert.equal(hostile.peer.server.callCount, 0);
    assert.ok(ids.every((id) => hostile.hasEnded(id)));
  }
});

test("a reader that takes a byte now and then is ended in time as well", () => {
  for (const method of METHODS) {
    const hostile = new Hostile({ largeAnswerMsMax: 1000 });
    hostile.peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
    const id = hostile.ask(method);
    hostile.overwrite();
    for (let nowMs = 0; nowMs < 1000; nowMs += 100) {
      hostile.peer.frame(FRAME_WINDOW_UPDATE, 0, id, [0, 0, 0, 1]);
      hostile.turn(nowMs);
      assert.equal(hostile.answers.count, 1);
    }
    hostile.turn(1000);
    assert.equal(hostile.answers.count, 0);
    assert.equal(hostile.store.slabs.pinnedBytes, 0);
  }
});

test("when readers hold more than the budget the oldest answers are ended", () => {
  for (const method of METHODS) {
    const hostile = new Hostile({ pinnedBytesMax: 1000 * KIB });
    const { slabs } = hostile.store;
    hostile.peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
    const ids: number[] = [];
    for (let i = 0; i < 20; i++) {
      ids.push(hostile.ask(method));
      hostile.overwrite();
      hostile.turn(i);
      assert.ok(slabs.pinnedBytes <= hostile.limits.pinnedBytesMax, `${slabs.pinnedBytes} bytes are held`);
    }
    assert.ok(hostile.answers.count > 0);
    const openCount = hostile.answers.count;
    assert.deepEqual(
      ids.map((id) => hostile.hasEnded(id)),
      ids.map((_, i) => i < ids.length - openCount),
    );
  }
});

test("a deadline ends a large answer that is not taken", () => {
  for (const method of METHODS) {
    const hostile = new Hostile();
    hostile.peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
    const id = hostile.ask(method, "1S");
    hostile.overwrite();
    hostile.turn(2000);
    assert.ok(hostile.hasEnded(id));
    assert.equal(hostile.answers.count, 0);
    assert.equal(hostile.store.slabs.pinnedBytes, 0);
  }
});

test("a reader that goes away gives back what it held, and one that takes all gets all", () => {
  for (const method of METHODS) {
    const hostile = new Hostile();
    hostile.peer.settings([[SETTING_INITIAL_WINDOW_SIZE, 0]]);
    hostile.ask(method);
    const taken = hostile.ask(method);
    hostile.overwrite();
    hostile.peer.frame(FRAME_RST_STREAM, 0, 1, [0, 0, 0, 8]);
    assert.equal(hostile.answers.count, 1);
    hostile.peer.frame(FRAME_WINDOW_UPDATE, 0, 0, [0, 16, 0, 0]);
    hostile.peer.frame(FRAME_WINDOW_UPDATE, 0, taken, [0, 16, 0, 0]);
    hostile.turn(1);
    assert.ok(hostile.hasEnded(taken));
    assert.equal(hostile.answers.count, 0);
    assert.equal(hostile.store.slabs.pinnedBytes, 0);
    assert.equal(hostile.peer.server.callCount, 0);
  }
});

test("an answer that ends while it is pulled leaves its connection heard", () => {
  // The answer and its trailers leave in one piece.
  const hostile = new Hostile({}, { streamOutputBytesMax: 1024 * KIB, outputSliceBytes: 1024 * KIB });
  const { server } = hostile.peer;
  // As a socket does it: what goes out is taken while there is more, and not once too often.
  const take = (): void => {
    while (server.hasOutput) server.takeOutput();
  };
  const { read } = hostile.peer;
  hostile.peer.read = take;
  const id = hostile.ask(METHOD.range);
  assert.equal(hostile.answers.count, 1, "the windows let no more out");
  for (const target of [0, id]) hostile.peer.frame(FRAME_WINDOW_UPDATE, 0, target, [0, 16, 0, 0]);
  assert.equal(hostile.answers.count, 0, "all of it is taken");
  hostile.told = 0;
  hostile.ask(METHOD.range);
  assert.ok(hostile.told > 0, "the next answer is told of");
  hostile.peer.read = read;
});
