/**
 * Sessions, locks, elections, with the keys that etcd's own tools and Go library use, so that all of them contend for
 * the same lock: every contender has a key `<name>/<lease in hexadecimal>`; the one created first holds it, and
 * everybody else waits for the deletion of the youngest key before its own.
 */

import { CODE } from "../../core/wire/status.ts";
import type { CallOptions } from "./caller.ts";
import type { Client } from "./client.ts";
import { canceled, EtcdError } from "./errors.ts";
import type { GetResponse } from "./kv.ts";
import { compare, deleteOperation, getOperation, putOperation } from "./kv.ts";
import type { KeepAlive } from "./lease.ts";
import type { Bytes, Header, KeyValue } from "./types.ts";

/** A lease that is kept alive as long as this program lives. */
export class Session {
  readonly client: Client;
  readonly lease: bigint;
  readonly #keepAlive: KeepAlive;

  private constructor(client: Client, lease: bigint) {
    this.client = client;
    this.lease = lease;
    this.#keepAlive = client.lease.keepAlive(lease);
  }

  /** `ttlSeconds`: how long locks outlive a program that dies; 60 by default. */
  static async create(
    client: Client,
    options: { readonly ttlSeconds?: number } & CallOptions = {},
  ): Promise<Session> {
    const granted = await client.lease.grant(options.ttlSeconds ?? 60, options);
    return new Session(client, granted.id);
  }

  /** Resolves when the session is over: whatever it held may be another's now. */
  get ended(): Promise<EtcdError | undefined> {
    return this.#keepAlive.ended;
  }

  /** Gives everything back at once. */
  async close(options: CallOptions = {}): Promise<void> {
    this.#keepAlive.close();
    await this.client.lease.revoke(this.lease, options);
  }
}

export interface WaitOptions {
  /** Aborting it gives up waiting, and the place in the queue. */
  readonly signal?: AbortSignal | undefined;
}

/** Where a contender stands in the queue. */
interface Place {
  readonly key: string;
  readonly createRevision: number;
  readonly header: Header;
}

export class Mutex {
  readonly #session: Session;
  readonly #prefix: string;
  #place: Place | undefined;

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#prefix = `${name}/`;
  }

  /** The contender's key; empty while nothing is held or waited for. */
  get key(): string {
    return this.#place?.key ?? "";
  }

  /** Waits for the lock. The header's revision is the fencing token: later holders have larger ones. */
  async lock(options: WaitOptions = {}): Promise<Header> {
    const { place, isFirst } = await enqueue(this.#session, this.#prefix, "");
    this.#place = place;
    if (isFirst) return place.header;
    try {
      await waitForTurn(this.#session.client, this.#prefix, place, options);
    } catch (error) {
      await this.unlock();
      throw error;
    }
    const own = await this.#session.client.kv.get(place.key);
    if (own.kvs.length === 0) throw new EtcdError(CODE.unknown, "mutex: session is expired");
    return own.header;
  }

  async unlock(options: CallOptions = {}): Promise<void> {
    const place = this.#place;
    if (place === undefined) return;
    this.#place = undefined;
    await this.#session.client.kv.delete(place.key, options);
  }
}

export class Election {
  readonly #session: Session;
  readonly #prefix: string;
  #place: Place | undefined;

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#prefix = `${name}/`;
  }

  /** The leader's key; empty while this session does not lead. */
  get key(): string {
    return this.#place?.key ?? "";
  }

  /** Waits until this session leads; `value` is what observers see. */
  async campaign(value: Bytes, options: WaitOptions = {}): Promise<Header> {
    const { place, isFirst, hasExisted } = await enqueue(this.#session, this.#prefix, value);
    this.#place = place;
    if (hasExisted) await this.proclaim(value);
    if (isFirst) return place.header;
    try {
      await waitForTurn(this.#session.client, this.#prefix, place, options);
    } catch (error) {
      await this.resign();
      throw error;
    }
    if (await isInQueue(this.#session.client, place)) return place.header;
    this.#place = undefined;
    throw new EtcdError(CODE.unknown, "election: session is expired");
  }

  /** Changes the value without an election. Unknown, "election: not leader", when the leadership is lost. */
  async proclaim(value: Bytes): Promise<Header> {
    const place = this.#place;
    if (place === undefined) throw new EtcdError(CODE.unknown, "election: not leader");
    const answer = await this.#session.client.kv.txn({
      compare: [compare(place.key, "create", "=", place.createRevision)],
      success: [putOperation(place.key, value, { lease: this.#session.lease })],
    });
    if (answer.succeeded) return answer.header;
    this.#place = undefined;
    throw new EtcdError(CODE.unknown, "election: not leader");
  }

  async resign(): Promise<void> {
    const place = this.#place;
    if (place === undefined) return;
    this.#place = undefined;
    await this.#session.client.kv.txn({
      compare: [compare(place.key, "create", "=", place.createRevision)],
      success: [deleteOperation(place.key)],
    });
  }

  /** The leader now, or undefined. */
  async leader(): Promise<KeyValue | undefined> {
    return (await oldest(this.#session.client, this.#prefix)).kvs[0];
  }

  /** Every leader and every value it proclaims, from the present one on; ends when `signal` is aborted. */
  observe(options: WaitOptions = {}): AsyncGenerator<GetResponse, void, undefined> {
    return observe(this.#session.client, this.#prefix, options);
  }
}

async function* observe(
  client: Client,
  prefix: string,
  options: WaitOptions,
): AsyncGenerator<GetResponse, void, undefined> {
  while (options.signal?.aborted !== true) {
    const now = await oldest(client, prefix, options);
    const leader = now.kvs[0];
    if (leader === undefined) {
      await waitForEvent(client, prefix, {
        ...options,
        prefix: true,
        startRevision: now.header.revision + 1,
        type: "put",
      });
      continue;
    }
    yield now;
    const watch = client.watch.watch(leader.key, {
      startRevision: now.header.revision + 1,
      signal: options.signal,
    });
    let isGone = false;
    for await (const { header, events } of watch) {
      for (const { type, kv } of events) {
        if (type === "delete") isGone = true;
        else yield { header, kvs: [kv], more: false, count: 1 };
      }
      if (isGone) break;
    }
  }
}

function oldest(client: Client, prefix: string, options: WaitOptions = {}): Promise<GetResponse> {
  return client.kv.get(prefix, { prefix: true, order: "ascend", sortBy: "create", limit: 1, ...options });
}

async function enqueue(
  session: Session,
  prefix: string,
  value: Bytes,
): Promise<{ place: Place; isFirst: boolean; hasExisted: boolean }> {
  const key = prefix + session.lease.toString(16);
  const owner = getOperation(prefix, { prefix: true, order: "ascend", sortBy: "create", limit: 1 });
  const answer = await session.client.kv.txn({
    compare: [compare(key, "create", "=", 0)],
    success: [putOperation(key, value, { lease: session.lease }), owner],
    // The session is in the queue already: it keeps its place.
    failure: [getOperation(key), owner],
  });
  const [own, first] = answer.responses;
  let createRevision = answer.header.revision;
  if (!answer.succeeded && own?.kind === "get") createRevision = own.kvs[0]?.createRevision ?? createRevision;
  const holder = first?.kind === "get" ? first.kvs[0] : undefined;
  const isFirst = holder === undefined || holder.createRevision === createRevision;
  return { place: { key, createRevision, header: answer.header }, isFirst, hasExisted: !answer.succeeded };
}

/** Whoever waited may have lost its lease meanwhile, and with it its place (trap L3). */
async function isInQueue(client: Client, place: Place): Promise<boolean> {
  const { kvs } = await client.kv.get(place.key);
  return kvs[0]?.createRevision === place.createRevision;
}

/** Waits until no key of the queue is older: for each in turn, the youngest of them, to be deleted. */
async function waitForTurn(
  client: Client,
  prefix: string,
  place: Place,
  options: WaitOptions,
): Promise<void> {
  for (;;) {
    const before = await client.kv.get(prefix, {
      prefix: true,
      order: "descend",
      sortBy: "create",
      limit: 1,
      maxCreateRevision: place.createRevision - 1,
      ...options,
    });
    const last = before.kvs[0];
    if (last === undefined) return;
    const startRevision = before.header.revision + 1;
    await waitForEvent(client, last.key, { ...options, startRevision, type: "delete" });
  }
}

async function waitForEvent(
  client: Client,
  key: Bytes,
  options: WaitOptions & { prefix?: boolean; startRevision: number; type: "put" | "delete" },
): Promise<void> {
  for await (const { events } of client.watch.watch(key, options)) {
    if (events.some((it) => it.type === options.type)) return;
  }
  throw canceled(options.signal?.reason);
}
