// ZooKeeper behind the point workloads, with a client as cheap as the one that the rival gets: the npm client takes a few
// promises and closures an operation and would be the bottleneck of its own store (`--store zookeeper-npm` uses it).
//
// The protocol (jute over TCP): every packet is an int32 length and that many bytes.
//
//   connect request   int32 version 0, int64 last zxid 0, int32 timeout ms, int64 session 0, buffer password
//   request           int32 xid, int32 type, payload       create 1, getData 4, setData 5, ping 11 (xid -2), close -11
//   reply             int32 xid, int64 zxid, int32 error, payload
//
// Replies come in the order of requests, so a connection needs a queue of slots and no table.

import * as net from "node:net";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { readBytes } from "../../io/net/read-bytes.ts";
import type { ForeignStore, KeyValueSink } from "./workload.ts";

const CREATE = 1;
const GET_DATA = 4;
const SET_DATA = 5;
const PING = 11;
const NODE_EXISTS = -110;
const SESSION_TIMEOUT_MS = 30_000;
const PING_MS = 8000;
const SESSION_WAIT_MS = 1000;
/** Unanswered requests of one connection; a power of two. */
const QUEUE_ROOM = 65_536;

export async function openZooKeeper(
  endpoints: readonly string[],
  connectionCount: number,
): Promise<ForeignStore> {
  const connections: Connection[] = [];
  const store = new ZooKeeperStore(connections);
  for (let i = 0; i < connectionCount; i++) {
    const connection = new Connection(store);
    connections.push(connection);
    await connection.open(endpoints[i % endpoints.length]!);
  }
  return store;
}

class ZooKeeperStore implements ForeignStore {
  readonly version = "zookeeper";
  sink: KeyValueSink = { onEnd: () => {} };
  readonly #connections: readonly Connection[];
  // By slot: given up on, so that a late reply is dropped.
  readonly abandoned: boolean[] = [];

  constructor(connections: readonly Connection[]) {
    this.#connections = connections;
  }

  // oxlint-disable-next-line max-params -- as KeyValueStore has it, for the hot path
  put(
    slot: number,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    this.abandoned[slot] = false;
    this.#connections[slot % this.#connections.length]!.put({
      slot,
      key,
      keySize,
      value,
      valueStart,
      valueEnd,
    });
  }

  get(slot: number, key: Uint8Array, keySize: number): void {
    this.abandoned[slot] = false;
    this.#connections[slot % this.#connections.length]!.get(slot, key, keySize);
  }

  abandon(slot: number): void {
    this.abandoned[slot] = true;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close();
  }
}

interface Put {
  readonly slot: number;
  readonly key: Uint8Array;
  readonly keySize: number;
  readonly value: Uint8Array;
  readonly valueStart: number;
  readonly valueEnd: number;
}

class Connection {
  readonly #store: ZooKeeperStore;
  readonly #out = new ByteWriter(64 * 1024);
  readonly #slots = new Int32Array(QUEUE_ROOM);
  /** Requests that answered "exists" are written again as setData: the put's bytes, while it is under way. */
  readonly #retries = new Map<number, Uint8Array>();
  #head = 0;
  #tail = 0;
  #xid = 0;
  #socket: net.Socket | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #scheduled = false;
  #ready: ((error?: Error) => void) | undefined;
  #pings: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(store: ZooKeeperStore) {
    this.#store = store;
  }

  async open(endpoint: string): Promise<void> {
    const [host, port] = endpoint.split(":");
    const socket = net.connect({ host: host ?? "127.0.0.1", port: Number(port), noDelay: true });
    this.#socket = socket;
    const ready = new Promise<void>(
      (resolve, reject) => (this.#ready = (error) => (error ? reject(error) : resolve())),
    );
    socket.once("connect", () => {
      readBytes(socket, (bytes, end) => this.#receive(Buffer.from(bytes.buffer, bytes.byteOffset, end)));
    });
    socket.on("error", (error) => this.#fail(`ZooKeeper ${endpoint}: ${error.message}`));
    socket.on("close", () => this.#fail(`ZooKeeper ${endpoint} closed the connection`));
    const out = this.#out;
    this.#begin();
    for (const word of [0, 0, 0, SESSION_TIMEOUT_MS, 0, 0, 16, 0, 0, 0, 0]) out.uint32Be(word);
    this.#end();
    // A server that is still starting may take the connection and forget the session that was asked for.
    const timer = setTimeout(() => {
      this.#fail(`ZooKeeper ${endpoint}: no session in time`);
      socket.destroy();
    }, SESSION_WAIT_MS);
    await ready.finally(() => clearTimeout(timer));
    this.#pings = setInterval(() => this.#ping(), PING_MS);
  }

  put(put: Put): void {
    this.#request(put.slot, CREATE);
    this.#path(put.key, put.keySize);
    this.#buffer(put);
    // One access right: everything (31) to anyone ("world", "anyone"); flags 0: persistent.
    this.#out.uint32Be(1);
    this.#out.uint32Be(31);
    this.#text("world");
    this.#text("anyone");
    this.#out.uint32Be(0);
    this.#end();
  }

  get(slot: number, key: Uint8Array, keySize: number): void {
    this.#request(slot, GET_DATA);
    this.#path(key, keySize);
    this.#out.byte(0); // no watch
    this.#end();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#pings);
    this.#socket?.destroy();
  }

  #ping(): void {
    this.#begin();
    this.#out.uint32Be(-2);
    this.#out.uint32Be(PING);
    this.#end();
  }

  /** A set after a create that found its node there: the path and value are those of the create. */
  #setAgain(slot: number, pathAndValue: Uint8Array): void {
    this.#request(slot, SET_DATA);
    this.#out.raw(pathAndValue, 0, pathAndValue.length);
    this.#out.uint32Be(-1); // any version
    this.#end();
  }

  #start = 0;
  #payloadStart = 0;

  #begin(): void {
    this.#start = this.#out.position;
    this.#out.uint32Be(0);
  }

  #request(slot: number, type: number): void {
    this.#begin();
    this.#out.uint32Be(++this.#xid & 0x7fffffff);
    this.#out.uint32Be(type);
    this.#payloadStart = this.#out.position;
    this.#slots[this.#tail++ & (QUEUE_ROOM - 1)] = slot;
    // Nobody will answer: the end comes all the same, later.
    if (this.#closed && this.#tail - this.#head === 1)
      setImmediate(() => this.#endAll("the connection is closed"));
    if (this.#tail - this.#head > QUEUE_ROOM)
      throw new Error("Too many requests under way on one ZooKeeper connection");
  }

  #end(): void {
    const out = this.#out;
    const end = out.position;
    out.position = this.#start;
    out.uint32Be(end - this.#start - 4);
    out.position = end;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (!this.#closed) this.#socket?.write(this.#out.copy());
    this.#out.reset();
  };

  /** Keys become nodes below the root: a slash inside would need parents. */
  #path(key: Uint8Array, keySize: number): void {
    this.#out.uint32Be(keySize + 1);
    this.#out.byte(47);
    const start = this.#out.position;
    this.#out.raw(key, 0, keySize);
    for (let i = start; i < this.#out.position; i++) if (this.#out.bytes[i] === 47) this.#out.bytes[i] = 45;
  }

  #buffer(put: Put): void {
    this.#out.uint32Be(put.valueEnd - put.valueStart);
    this.#out.raw(put.value, put.valueStart, put.valueEnd);
    if (this.keepForRetry)
      this.#retries.set(put.slot, this.#out.bytes.slice(this.#payloadStart, this.#out.position));
  }

  /** Copies are kept only once a create has met an existing node. */
  keepForRetry = false;

  #text(text: string): void {
    this.#out.uint32Be(text.length);
    this.#out.utf8(text);
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 4) {
      const size = bytes.readInt32BE(at);
      if (bytes.length - at - 4 < size) break;
      this.#packet(bytes, at + 4);
      at += 4 + size;
    }
    this.#rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  #packet(bytes: Buffer, at: number): void {
    if (this.#ready) {
      const ready = this.#ready;
      this.#ready = undefined;
      ready(bytes.readInt32BE(at + 4) > 0 ? undefined : new Error("ZooKeeper refused the session"));
      return;
    }
    if (bytes.readInt32BE(at) < 0) return; // a ping's reply, a notification
    const slot = this.#slots[this.#head++ & (QUEUE_ROOM - 1)]!;
    const error = bytes.readInt32BE(at + 12);
    if (this.#store.abandoned[slot]) return;
    if (error === 0) {
      this.#store.sink.onEnd(slot, undefined);
    } else if (error === NODE_EXISTS) {
      const again = this.#retries.get(slot);
      this.keepForRetry = true;
      if (again) this.#setAgain(slot, again);
      else this.#store.sink.onEnd(slot, "node exists (the next ones are set)");
    } else this.#store.sink.onEnd(slot, `ZooKeeper error ${error}`);
  }

  #fail(text: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pings);
    if (this.#ready) this.#ready(new Error(text));
    this.#ready = undefined;
    this.#endAll(text);
  }

  #endAll(text: string): void {
    // Those that are started by an end wait for their own turn.
    for (const last = this.#tail; this.#head < last;)
      this.#store.sink.onEnd(this.#slots[this.#head++ & (QUEUE_ROOM - 1)]!, text);
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
