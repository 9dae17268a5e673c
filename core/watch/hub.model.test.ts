// The hub against an obvious model: clients that keep what they got, a log of what happened. Streams are slow, limits are
// small, history is compacted and replaced by snapshots at random. After every message: ordered, unique, atomic (W8), true
// values (W10), progress that is no lie (W1), nothing after a cancel (W9). At the end: complete (W4, W5, W7).

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import type { Change, FakeRecord, Response } from "./fakes.ts";
import { create, FakeCall, FakeStore, request } from "./fakes.ts";
import { WatchHub } from "./hub.ts";

interface Client {
  readonly id: bigint;
  readonly key: string;
  readonly end: string | undefined;
  readonly filters: number[];
  readonly prevKv: boolean;
  readonly fragment: boolean;
  /** The first revision it wants. */
  readonly start: number;
  /** Everything of its range below it has arrived. */
  next: number;
  /** Events that came in fragments so far. */
  partial: Response["events"];
}

class Stream {
  readonly call = new FakeCall();
  readonly clients = new Map<bigint, Client>();
  /** Of watchers that a compaction ended: taken until they are cancelled as well. */
  readonly endedIds = new Set<bigint>();
  lastHeader = 0;
}

const KEYS = ["a", "aa", "ab", "b", "ba", "c", "d"];

class Simulation {
  readonly random: Prng;
  readonly log: Change[][] = [];
  store = new FakeStore();
  readonly hub: WatchHub;
  readonly streams: Stream[] = [];
  seen = 0;
  compacted = 0;
  readonly #why: string;

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.#why = `seed ${seed}`;
    const { random } = this;
    this.hub = new WatchHub({
      store: this.store,
      header: { clusterHi: 0, clusterLo: 1, memberHi: 0, memberLo: 1, term: 1 },
      limits: {
        ...DEFAULT_LIMITS,
        watchSliceUnits: random.between(1, 60),
        watchBatchBytes: random.between(1, 400),
        watchGroupCount: random.between(1, 6),
        watchPassRevisionCount: random.between(1, 12),
        requestSizeBytesMax: random.between(50, 300),
        grpcOverheadBytes: 0,
      },
      progressMs: 1e9,
      seed,
    });
  }

  step(): void {
    const { random } = this;
    const kind = random.below(100);
    if (kind < 40) this.#change();
    else if (kind < 50) this.#create();
    else if (kind < 53) this.#cancel();
    else if (kind < 57) this.#progress();
    else if (kind < 67) this.#makeRoom();
    else if (kind < 69) this.#open();
    else if (kind < 70) this.#close();
    else if (kind < 73) this.#compact();
    else if (kind < 74) this.#restore();
    else this.hub.turn(0);
    this.check();
    this.hub.assertConserved();
  }

  /** Everybody reads everything. */
  finish(): void {
    for (const stream of this.streams) this.#setRoom(stream, Infinity);
    while (this.hub.turn(0)) this.check();
    this.check();
    this.hub.assertConserved();
    for (const stream of this.streams) {
      for (const client of stream.clients.values()) {
        const missing = this.#wantedFrom(client, client.next, this.store.revision);
        assert.deepEqual(missing, [], `incomplete, ${this.#why}`);
      }
    }
    assert.equal(this.hub.laggingCount, 0, this.#why);
  }

  check(): void {
    for (const stream of this.streams)
      for (const response of stream.call.take()) this.#receive(stream, response);
  }

  #change(): void {
    const changes: Change[] = [];
    for (let i = this.random.between(1, 4); i > 0; i--) {
      const key = this.random.pick(KEYS);
      if (changes.some((change) => change[0] === key)) continue;
      changes.push([key, this.random.chance(0.3) ? null : `${this.random.below(1000)}`]);
    }
    this.log.push(changes);
    this.store.change(...changes);
  }

  #create(): void {
    if (this.streams.length === 0) return;
    const { random, store } = this;
    const stream = random.pick(this.streams);
    const key = random.pick(KEYS);
    const end = random.pick([undefined, undefined, "\0", `${key}~`, "c"]);
    if (end !== undefined && end !== "\0" && end <= key) return;
    const start = random.chance(0.4) ? 0 : Math.max(1, store.revision - random.below(30) + 8);
    const options = {
      start,
      filters: random.pick([[], [], [0], [1]]),
      prevKv: random.chance(0.5),
      fragment: random.chance(0.3),
      id: random.chance(0.3) ? BigInt(random.between(1, 40)) : 0n,
    };
    this.check();
    if (stream.clients.has(options.id) || stream.endedIds.has(options.id)) return;
    create(this.hub, stream.call, end === undefined ? [key] : [key, end], options);
    // Fetch what came before, then the answer.
    const responses = stream.call.take();
    const at = responses.findIndex((response) => response.created);
    assert.ok(at >= 0, `created is answered at once, ${this.#why}`);
    for (const response of responses.slice(0, at)) this.#receive(stream, response);
    assert.equal(responses[at]!.canceled, false, this.#why);
    const first = start === 0 ? store.revision + 1 : start;
    const id = responses[at]!.watch_id;
    assert.ok(!stream.clients.has(id) && !stream.endedIds.has(id), `an id is given once, ${this.#why}`);
    stream.clients.set(id, { ...options, id, key, end, start: first, next: first, partial: [] });
    for (const response of responses.slice(at + 1)) this.#receive(stream, response);
  }

  #cancel(): void {
    const stream = this.streams[this.random.below(this.streams.length + 1)];
    if (stream === undefined) return;
    this.check();
    const ids = [...stream.clients.keys(), ...stream.endedIds];
    if (ids.length === 0) return;
    const id = this.random.pick(ids);
    request(this.hub, stream.call, { cancel_request: { watch_id: id } });
    const responses = stream.call.take();
    assert.deepEqual(
      responses.map((response) => [response.watch_id, response.canceled]),
      [[id, true]],
      this.#why,
    );
    stream.clients.delete(id);
    stream.endedIds.delete(id);
  }

  #progress(): void {
    const stream = this.streams[this.random.below(this.streams.length + 1)];
    if (stream !== undefined) request(this.hub, stream.call, { progress_request: {} });
  }

  #makeRoom(): void {
    const stream = this.streams[this.random.below(this.streams.length + 1)];
    if (stream !== undefined)
      this.#setRoom(stream, this.random.chance(0.3) ? Infinity : this.random.below(4));
  }

  #setRoom(stream: Stream, room: number): void {
    const wasWritable = stream.call.writable;
    stream.call.room = room;
    stream.call.writable = room > 0;
    if (!wasWritable && stream.call.writable) this.hub.onWritable(stream.call);
  }

  #open(): void {
    if (this.streams.length >= 6) return;
    const stream = new Stream();
    this.hub.open(stream.call);
    this.streams.push(stream);
  }

  #close(): void {
    if (this.streams.length < 2) return;
    const [stream] = this.streams.splice(this.random.below(this.streams.length), 1);
    this.hub.close(stream!.call);
  }

  #compact(): void {
    const { store } = this;
    const revision = store.revision - this.random.below(15);
    if (revision <= Math.max(1, store.compactedRevision)) return;
    this.hub.settle();
    store.compact(revision);
  }

  /** A snapshot of a member that was ahead. */
  #restore(): void {
    for (let i = this.random.below(8); i > 0; i--) this.#changeLogOnly();
    const store = new FakeStore();
    for (const changes of this.log) store.change(...changes);
    const compacted = Math.max(this.store.compactedRevision, store.revision - this.random.below(25));
    if (compacted > 1) store.compact(compacted);
    this.store = store;
    this.hub.restored(store);
  }

  #changeLogOnly(): void {
    this.log.push([[this.random.pick(KEYS), this.random.chance(0.3) ? null : `${this.random.below(1000)}`]]);
  }

  #receive(stream: Stream, response: Response): void {
    const revision = response.header?.revision ?? 0;
    assert.equal(stream.call.overrunCount, 0, `a full stream gets no events, ${this.#why}`);
    if (response.canceled) return this.#receiveCompacted(stream, response);
    assert.ok(
      revision >= stream.lastHeader || response.events.length > 0,
      `headers without events go up, ${this.#why}`,
    );
    if (response.watch_id === -1n && response.events.length === 0) {
      stream.lastHeader = revision;
      for (const client of stream.clients.values()) {
        assert.deepEqual(this.#wantedFrom(client, client.next, revision), [], `W1, ${this.#why}`);
        assert.ok(client.start <= revision + 1, `progress waits for the start, ${this.#why}`);
        client.next = Math.max(client.next, revision + 1);
      }
      return;
    }
    const client = stream.clients.get(response.watch_id);
    assert.ok(client !== undefined, `W9: a message to a watcher that is gone, ${this.#why}`);
    assert.ok(response.events.length > 0, `a message says something, ${this.#why}`);
    for (const other of stream.clients.values())
      assert.ok(other === client || other.partial.length === 0, `nothing between fragments, ${this.#why}`);
    client.partial.push(...response.events);
    if (response.fragment) {
      assert.ok(client.fragment, `fragments only for those who ask, ${this.#why}`);
      return;
    }
    this.#receiveEvents(client, client.partial, revision);
    client.partial = [];
  }

  /** Whole revisions, each exactly what the log says, all since the last. */
  #receiveEvents(client: Client, events: Response["events"], header: number): void {
    const last = events[events.length - 1]!.kv!.mod_revision;
    assert.ok(header >= last, `the header covers the events, ${this.#why}`);
    assert.ok(header <= this.store.revision, `the header is no promise, ${this.#why}`);
    const expected = this.#wantedFrom(client, client.next, last);
    assert.equal(events.length, expected.length, `ordered, unique, atomic, ${this.#why}`);
    for (const [i, event] of events.entries()) {
      const record = expected[i]!;
      assert.equal(decodeUtf8(event.kv!.key, 0, event.kv!.key.length), record.key, this.#why);
      assert.equal(event.kv!.mod_revision, record.revision, this.#why);
      assert.equal(event.type === 1, record.isTombstone, this.#why);
      assert.equal(event.kv!.version, record.version, this.#why);
      assert.equal(event.kv!.create_revision, record.createRevision, this.#why);
      assert.equal(decodeUtf8(event.kv!.value, 0, event.kv!.value.length), record.value, this.#why);
      this.#checkPrevious(client, event, record);
    }
    this.seen += events.length;
    client.next = last + 1;
  }

  #checkPrevious(client: Client, event: Response["events"][number], record: FakeRecord): void {
    const previous = event.prev_kv;
    if (!client.prevKv || record.previous === null)
      return assert.equal(previous, undefined, `W10, ${this.#why}`);
    // It may have been compacted between the change and the message, not before.
    if (previous === undefined)
      return assert.ok(record.revision - 1 < this.store.compactedRevision, `W10: it is there, ${this.#why}`);
    assert.equal(previous.mod_revision, record.previous.revision, `W10, ${this.#why}`);
    assert.equal(
      decodeUtf8(previous.value, 0, previous.value.length),
      record.previous.value,
      `W10, ${this.#why}`,
    );
  }

  #receiveCompacted(stream: Stream, response: Response): void {
    const client = stream.clients.get(response.watch_id);
    assert.ok(client !== undefined, `a watcher ends once, ${this.#why}`);
    assert.equal(response.header!.revision, 0, this.#why);
    assert.equal(response.cancel_reason, "", this.#why);
    assert.ok(response.compact_revision > client.next, `what it lacks is compacted, ${this.#why}`);
    assert.ok(response.compact_revision <= this.store.compactedRevision, this.#why);
    this.compacted++;
    stream.clients.delete(response.watch_id);
    stream.endedIds.add(response.watch_id);
  }

  #wantedFrom(client: Client, first: number, last: number): FakeRecord[] {
    return this.store.records.filter((record) => {
      if (record.revision < first || record.revision > last) return false;
      if (client.filters.includes(record.isTombstone ? 1 : 0)) return false;
      if (client.end === undefined) return record.key === client.key;
      return record.key >= client.key && (client.end === "\0" || record.key < client.end);
    });
  }
}

test("hub delivers exactly what the model says, with slow streams, compactions, snapshots and tiny limits", () => {
  const base = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  let seen = 0;
  let compacted = 0;
  for (let run = 0; run < 40; run++) {
    const simulation = new Simulation(base + run);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 150; i++) simulation.step();
      simulation.finish();
    }
    seen += simulation.seen;
    compacted += simulation.compacted;
  }
  assert.ok(seen > 3000, `the test tests something: ${seen} events, seed ${base}`);
  assert.ok(compacted > 10, `the test tests something: ${compacted} compacted, seed ${base}`);
});
