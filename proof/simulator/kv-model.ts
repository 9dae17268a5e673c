// The store's meaning, slow and obvious: every version of every key in plain lists. Written from the facts about etcd's
// API (ranges, puts, deletes, transactions, leases), not from core/mvcc, so that the two can be held against each other.
//
// Keys and values are texts with one character per byte. History is never dropped: a compaction only moves a number.

import type * as m from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import { OK, STATUS, type Status } from "../../core/wire/status.ts";
import { textOf } from "./canonical.ts";

export interface Version {
  readonly key: string;
  readonly revision: number;
  readonly createRevision: number;
  /** 0: deleted here. */
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
}

export interface ModelEvent {
  readonly version: Version;
  /** The key before this revision; undefined when it was not there. */
  readonly previous: Version | undefined;
}

/** How a request ends: a status, and the response message when that is OK. */
export interface Outcome {
  readonly status: Status;
  readonly response: Readonly<Record<string, unknown>> | undefined;
}

type RangeRequest = MessageOf<typeof m.RangeRequest>;
type PutRequest = MessageOf<typeof m.PutRequest>;
type DeleteRequest = MessageOf<typeof m.DeleteRangeRequest>;
type Compare = MessageOf<typeof m.Compare>;

interface Lease {
  readonly ttlSeconds: number;
  readonly keys: Set<string>;
}

const SORT_TARGETS = ["key", "version", "createRevision", "revision", "value"] as const;

export class KvModel {
  revision = 1;
  compactedRevision = -1;
  readonly leases = new Map<bigint, Lease>();
  /** Members whose alarm says that there is no space. */
  readonly noSpace = new Set<bigint>();
  readonly #versions = new Map<string, Version[]>();
  /** Ascending. */
  readonly #keys: string[] = [];
  readonly #events: ModelEvent[][] = [[], []];

  /** What one revision changed, in order. */
  eventsOf(revision: number): readonly ModelEvent[] {
    return this.#events[revision] ?? [];
  }

  // Requests, as they are applied in the log's order.

  put(request: PutRequest): Outcome {
    const key = textOf(request.key);
    const refusal = this.noSpace.size > 0 ? STATUS.noSpace : this.#refusalOfPut(request);
    if (refusal !== undefined) return failed(refusal);
    const change = new Change(this);
    const response = this.#put(change, key, request);
    change.end();
    return ok({ ...response, header: { revision: this.revision } });
  }

  deleteRange(request: DeleteRequest): Outcome {
    const change = new Change(this);
    const response = this.#delete(change, request);
    change.end();
    return ok({ ...response, header: { revision: this.revision } });
  }

  txn(request: m.TxnRequestMessage): Outcome {
    if (this.noSpace.size > 0 && hasPut(request)) return failed(STATUS.noSpace);
    const path = this.#pathOf(request);
    const refusal = this.#refusalOfPath(path);
    if (refusal !== undefined) return failed(refusal);
    const change = new Change(this);
    const responses = this.#runPath(change, path);
    change.end();
    return ok({ header: { revision: this.revision }, succeeded: path.succeeded, responses });
  }

  compact(revision: number): Outcome {
    if (revision <= this.compactedRevision) return failed(STATUS.compacted);
    if (revision > this.revision) return failed(STATUS.futureRevision);
    this.compactedRevision = revision;
    return ok({ header: { revision: this.revision } });
  }

  grant(id: bigint, ttlSeconds: number): Outcome {
    if (this.noSpace.size > 0) return failed(STATUS.noSpace);
    if (this.leases.has(id)) return failed(STATUS.leaseExists);
    this.leases.set(id, { ttlSeconds, keys: new Set() });
    return ok({ header: { revision: this.revision }, ID: id, TTL: ttlSeconds });
  }

  revoke(id: bigint): Outcome {
    const lease = this.leases.get(id);
    if (lease === undefined) return failed(STATUS.leaseNotFound);
    const change = new Change(this);
    for (const key of [...lease.keys].sort()) change.add({ ...DELETED, key, revision: change.revision });
    change.end();
    this.leases.delete(id);
    return ok({ header: { revision: this.revision } });
  }

  // Reads, at any revision that was ever there.

  /** A range as a member answers it whose current revision is `current`; `request.revision` 0 reads that one. */
  range(request: RangeRequest, current: number): Outcome {
    if (request.revision > current) return failed(STATUS.futureRevision);
    return ok({
      ...this.#range(request, request.revision > 0 ? request.revision : current),
      header: { revision: current },
    });
  }

  /** A transaction of ranges only, answered from the state of `current`. */
  readTxn(request: m.TxnRequestMessage, current: number): Outcome {
    const path = this.#pathOf(request, current);
    const responses = path.ops.map((op) => {
      const range = op.range!;
      const at = range.revision > 0 ? range.revision : current;
      return { response_range: { ...this.#range(range, at), header: { revision: current } } };
    });
    return ok({ header: { revision: current }, succeeded: path.succeeded, responses });
  }

  /** The key as of `revision`; undefined when it is not there. */
  get(key: string, revision: number): Version | undefined {
    const found = this.#lastAtMost(key, revision);
    return found === undefined || found.version === 0 ? undefined : found;
  }

  /** Live keys of the interval at `revision`, ascending. */
  live(key: string, rangeEnd: string, revision: number): Version[] {
    const found: Version[] = [];
    for (const name of this.#keysWithin(key, rangeEnd)) {
      const version = this.get(name, revision);
      if (version !== undefined) found.push(version);
    }
    return found;
  }

  // For Change.

  last(key: string): Version | undefined {
    return this.#versions.get(key)?.at(-1);
  }

  append(version: Version): void {
    const { key } = version;
    const before = this.last(key);
    const previous = this.get(key, version.revision - 1);
    let list = this.#versions.get(key);
    if (list === undefined) {
      this.#versions.set(key, (list = []));
      this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    }
    list.push(version);
    if (before !== undefined && before.version > 0) this.leases.get(before.lease)?.keys.delete(key);
    if (version.version > 0) this.leases.get(version.lease)?.keys.add(key);
    (this.#events[version.revision] ??= []).push({ version, previous });
  }

  // Parts of requests.

  #refusalOfPut(request: PutRequest): Status | undefined {
    if (request.lease !== 0n && !this.leases.has(request.lease)) return STATUS.leaseNotFound;
    const isThere = this.get(textOf(request.key), this.revision) !== undefined;
    return (request.ignore_value || request.ignore_lease) && !isThere ? STATUS.keyNotFound : undefined;
  }

  #put(change: Change, key: string, request: PutRequest): Record<string, unknown> {
    const last = this.last(key);
    const previous = last === undefined || last.version === 0 ? undefined : last;
    change.add({
      key,
      revision: change.revision,
      createRevision: previous?.createRevision ?? change.revision,
      version: (previous?.version ?? 0) + 1,
      value: request.ignore_value ? previous!.value : textOf(request.value),
      lease: request.ignore_lease ? previous!.lease : request.lease,
    });
    const shown = request.prev_kv && previous !== undefined ? keyValueOf(previous) : undefined;
    return { header: { revision: change.revision }, prev_kv: shown };
  }

  #delete(change: Change, request: DeleteRequest): Record<string, unknown> {
    const found = this.live(textOf(request.key), textOf(request.range_end), Number.MAX_SAFE_INTEGER);
    for (const version of found) change.add({ ...DELETED, key: version.key, revision: change.revision });
    const revision = change.count > 0 ? change.revision : this.revision;
    return {
      header: { revision },
      deleted: found.length,
      prev_kvs: request.prev_kv ? found.map(keyValueOf) : [],
    };
  }

  #range(request: RangeRequest, revision: number): Record<string, unknown> {
    const all = this.live(textOf(request.key), textOf(request.range_end), revision);
    const { limit } = request;
    if (request.count_only) return { count: all.length };
    const passes = (value: number, first: number, last: number): boolean =>
      (first === 0 || value >= first) && (last === 0 || value <= last);
    const { min_mod_revision, max_mod_revision, min_create_revision, max_create_revision } = request;
    const hasFilter = min_mod_revision + max_mod_revision + min_create_revision + max_create_revision > 0;
    let found = all.filter(
      (one) =>
        passes(one.revision, min_mod_revision, max_mod_revision) &&
        passes(one.createRevision, min_create_revision, max_create_revision),
    );
    const isSorted = request.sort_order !== 0 || request.sort_target !== 0;
    // Without an order the limit comes first, in the order of keys, with one key more, which says whether there are more;
    // then these are sorted by the other target, and cut.
    const more = limit > 0 && found.length > limit;
    if (more && request.sort_order === 0 && !hasFilter) found = found.slice(0, limit + 1);
    if (isSorted) found = sorted(found, request);
    if (more) found = found.slice(0, limit);
    const kvs = found.map((one) => (request.keys_only ? { ...keyValueOf(one), value: "" } : keyValueOf(one)));
    return { kvs, more, count: all.length };
  }

  // Transactions: the path is chosen on the state before, then all its operations run in order.

  #pathOf(request: m.TxnRequestMessage, revision = this.revision): Path {
    const succeeded = request.compare.every((compare) => this.#holds(compare, revision));
    const ops = (succeeded ? request.success : request.failure).map((op) => ({
      range: op.request_range,
      put: op.request_put,
      deleteRange: op.request_delete_range,
      txn: op.request_txn === undefined ? undefined : this.#pathOf(op.request_txn, revision),
    }));
    return { succeeded, ops };
  }

  #refusalOfPath(path: Path): Status | undefined {
    for (const op of path.ops) {
      let refusal: Status | undefined;
      if (op.range !== undefined) {
        if (op.range.revision > this.revision) refusal = STATUS.futureRevision;
        else if (op.range.revision !== 0 && op.range.revision < this.compactedRevision)
          refusal = STATUS.compacted;
      } else if (op.put !== undefined) refusal = this.#refusalOfPut(op.put);
      else if (op.txn !== undefined) refusal = this.#refusalOfPath(op.txn);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #runPath(change: Change, path: Path): Record<string, unknown>[] {
    return path.ops.map((op) => {
      if (op.put !== undefined) return { response_put: this.#put(change, textOf(op.put.key), op.put) };
      if (op.deleteRange !== undefined)
        return { response_delete_range: this.#delete(change, op.deleteRange) };
      if (op.txn !== undefined) {
        return { response_txn: { succeeded: op.txn.succeeded, responses: this.#runPath(change, op.txn) } };
      }
      const range = op.range!;
      const current = change.count > 0 ? change.revision : this.revision;
      const at = range.revision > 0 ? range.revision : Number.MAX_SAFE_INTEGER;
      return { response_range: { ...this.#range(range, at), header: { revision: current } } };
    });
  }

  #holds(compare: Compare, revision: number): boolean {
    const found = this.live(textOf(compare.key), textOf(compare.range_end), revision);
    if (found.length > 0) return found.every((version) => compares(compare, version));
    return compare.target !== 3 && compares(compare, { ...DELETED, key: "", revision: 0 });
  }

  #lastAtMost(key: string, revision: number): Version | undefined {
    const list = this.#versions.get(key);
    if (list === undefined) return undefined;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : list[low - 1];
  }

  #keysWithin(key: string, rangeEnd: string): readonly string[] {
    if (rangeEnd === "") return this.#versions.has(key) ? [key] : [];
    const first = lowerBound(this.#keys, key === "\0" && rangeEnd === "\0" ? "" : key);
    const last = rangeEnd === "\0" ? this.#keys.length : lowerBound(this.#keys, rangeEnd);
    return first < last ? this.#keys.slice(first, last) : [];
  }
}

interface Path {
  readonly succeeded: boolean;
  readonly ops: readonly {
    readonly range: RangeRequest | undefined;
    readonly put: PutRequest | undefined;
    readonly deleteRange: DeleteRequest | undefined;
    readonly txn: Path | undefined;
  }[];
}

const DELETED = { createRevision: 0, version: 0, value: "", lease: 0n } as const;

/** All that one request changes: one revision, or none when nothing changed. */
class Change {
  readonly revision: number;
  count = 0;
  readonly #model: KvModel;

  constructor(model: KvModel) {
    this.#model = model;
    this.revision = model.revision + 1;
  }

  add(version: Version): void {
    this.count++;
    this.#model.append(version);
  }

  end(): void {
    if (this.count > 0) this.#model.revision = this.revision;
  }
}

/** Whether any branch of it puts, also one that does not run. */
function hasPut(request: m.TxnRequestMessage): boolean {
  return [...request.success, ...request.failure].some(
    (op) => op.request_put !== undefined || (op.request_txn !== undefined && hasPut(op.request_txn)),
  );
}

function ok(response: Readonly<Record<string, unknown>>): Outcome {
  return { status: OK, response };
}

function failed(status: Status): Outcome {
  return { status, response: undefined };
}

/** As the messages of the API show a version. */
export function keyValueOf(version: Version): Record<string, unknown> {
  return {
    key: version.key,
    create_revision: version.createRevision,
    mod_revision: version.revision,
    version: version.version,
    value: version.value,
    lease: version.lease,
  };
}

function compares(compare: Compare, version: Version): boolean {
  const order = orderOf(compare, version);
  switch (compare.result) {
    case 0:
      return order === 0;
    case 1:
      return order > 0;
    case 2:
      return order < 0;
    default:
      return order !== 0;
  }
}

function orderOf(compare: Compare, version: Version): number {
  switch (compare.target) {
    case 0:
      return version.version - (compare.version ?? 0);
    case 1:
      return version.createRevision - (compare.create_revision ?? 0);
    case 2:
      return version.revision - (compare.mod_revision ?? 0);
    case 3:
      return order(version.value, compare.value === undefined ? "" : textOf(compare.value));
    default:
      return order(version.lease, compare.lease ?? 0n);
  }
}

function order<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sorted(versions: readonly Version[], request: RangeRequest): Version[] {
  const target = SORT_TARGETS[request.sort_target] ?? "key";
  const list = [...versions].sort((a, b) => order(a[target] as string, b[target] as string));
  return request.sort_order === 2 ? list.reverse() : list;
}

function lowerBound(list: readonly string[], key: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
