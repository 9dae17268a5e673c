// The store's semantics written down as plainly as possible, without any thought of speed: what tests compare with.
// Every version is in one array; every question walks all of it. Keys and values are texts of one character per byte.

import { crc32c } from "../base/crc32c.ts";
import type { MessageOf } from "../wire/schema.ts";
import type * as m from "../wire/messages.ts";
import { STATUS } from "../wire/status.ts";
import type { Status } from "../wire/status.ts";

export type RangeRequest = Partial<MessageOf<typeof m.RangeRequest>>;
export type PutRequest = Partial<MessageOf<typeof m.PutRequest>>;
export type DeleteRequest = Partial<MessageOf<typeof m.DeleteRangeRequest>>;
export type Compare = Partial<MessageOf<typeof m.Compare>>;

export interface RequestOp {
  request_range?: RangeRequest;
  request_put?: PutRequest;
  request_delete_range?: DeleteRequest;
  request_txn?: TxnRequest;
}

export interface TxnRequest {
  compare?: Compare[];
  success?: RequestOp[];
  failure?: RequestOp[];
}

export interface Version {
  key: string;
  value: string;
  create: number;
  mod: number;
  sub: number;
  version: number;
  lease: bigint;
  tombstone: boolean;
}

/** A plain form of every answer, to be compared as a whole. */
export interface KeyValueAnswer {
  key: string;
  value: string;
  create: number;
  mod: number;
  version: number;
  lease: bigint;
}

export interface Answer {
  revision: number;
  kvs?: KeyValueAnswer[];
  more?: boolean;
  count?: number;
  prevKv?: KeyValueAnswer | undefined;
  deleted?: number;
  prevKvs?: KeyValueAnswer[];
  succeeded?: boolean;
  responses?: Answer[];
}

export function text(bytes: Uint8Array | undefined): string {
  return String.fromCharCode(...(bytes ?? []));
}

export function isStatus(value: Answer | Status): value is Status {
  return "code" in value;
}

export class SlowModel {
  versions: Version[] = [];
  revision = 1;
  compacted = -1;
  leases: Set<bigint> = new Set();
  #changes = 0;

  // ---- state

  /** Versions that exist at a revision, by key, in key order; `undefined`: now, an open transaction included. */
  visible(revision = Infinity): Version[] {
    const newest = new Map<string, Version>();
    for (const version of this.versions) if (version.mod <= revision) newest.set(version.key, version);
    return [...newest.values()].filter((it) => !it.tombstone).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  within(request: { key?: Uint8Array; range_end?: Uint8Array }, revision?: number): Version[] {
    const key = text(request.key);
    const end = text(request.range_end);
    return this.visible(revision).filter((it) =>
      end === "" ? it.key === key : it.key >= key && (end === "\0" || it.key < end),
    );
  }

  get now(): number {
    return this.revision + (this.#changes > 0 ? 1 : 0);
  }

  // ---- requests

  range(request: RangeRequest): Answer | Status {
    const asked = request.revision ?? 0;
    if (asked > this.now) return STATUS.futureRevision;
    if (asked > 0 && asked < this.compacted) return STATUS.compacted;
    let kvs = this.within(request, asked > 0 ? asked : undefined);
    const count = kvs.length;
    if (request.count_only) return { revision: this.now, kvs: [], more: false, count };
    const order = request.sort_order ?? 0;
    const target = request.sort_target ?? 0;
    const { min_mod_revision, max_mod_revision, min_create_revision, max_create_revision } = request;
    const isFiltered = min_mod_revision || max_mod_revision || min_create_revision || max_create_revision;
    const limit = request.limit ?? 0;
    if (limit > 0 && order === 0 && !isFiltered) kvs = kvs.slice(0, limit + 1);
    if (min_mod_revision) kvs = kvs.filter((it) => it.mod >= min_mod_revision);
    if (max_mod_revision) kvs = kvs.filter((it) => it.mod <= max_mod_revision);
    if (min_create_revision) kvs = kvs.filter((it) => it.create >= min_create_revision);
    if (max_create_revision) kvs = kvs.filter((it) => it.create <= max_create_revision);
    const by = [
      (it: Version) => it.key,
      (it: Version) => it.version,
      (it: Version) => it.create,
      (it: Version) => it.mod,
      (it: Version) => it.value,
    ][target]!;
    if (order !== 0 || target !== 0) {
      const sign = order === 2 ? -1 : 1;
      kvs = [...kvs].sort((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0));
    }
    const more = limit > 0 && kvs.length > limit;
    if (more) kvs = kvs.slice(0, limit);
    return { revision: this.now, kvs: kvs.map((it) => plain(it, request.keys_only)), more, count };
  }

  put(request: PutRequest): Answer | Status {
    if (request.lease && !this.leases.has(request.lease)) return STATUS.leaseNotFound;
    const previous = this.within({ key: request.key! })[0];
    if ((request.ignore_value || request.ignore_lease) && previous === undefined) return STATUS.keyNotFound;
    this.#put(request);
    const answer = {
      revision: this.#end(),
      prevKv: request.prev_kv && previous ? plain(previous) : undefined,
    };
    return answer;
  }

  delete(request: DeleteRequest): Answer {
    const { deleted, prevKvs } = this.#delete(request);
    return { revision: this.#end(), deleted, prevKvs };
  }

  txn(request: TxnRequest): Answer | Status {
    const path: boolean[] = [];
    this.#choose(request, path);
    const failed = this.#check([...path], request);
    if (failed) return failed;
    const answer = this.#carryOut([...path], request);
    answer.revision = this.#end();
    return answer;
  }

  compact(revision: number): Status | undefined {
    if (revision <= this.compacted) return STATUS.compacted;
    if (revision > this.revision) return STATUS.futureRevision;
    this.compacted = revision;
    const newest = new Map<string, Version>();
    for (const version of this.versions) if (version.mod <= revision) newest.set(version.key, version);
    this.versions = this.versions.filter(
      (it) => it.mod > revision || (newest.get(it.key) === it && (!it.tombstone || it.mod === revision)),
    );
    return undefined;
  }

  /** What watchers from a revision on are told. */
  history(revision: number): string[] {
    return this.versions
      .filter((it) => it.mod >= revision)
      .map((it) => {
        const isReadable = it.mod - 1 >= this.compacted;
        const before = isReadable
          ? this.visible(it.mod - 1).find((other) => other.key === it.key)
          : undefined;
        return `${it.mod}/${it.sub} ${it.key} ${it.tombstone} ${before?.mod ?? 0}`;
      });
  }

  /** HashKV over the rows that are there, as facts §7.6 has it. */
  hash(revision: number): number {
    const keep = new Set(this.visible(revision));
    let hash = crc32c(Uint8Array.of(107, 101, 121), 0, 3);
    for (const row of this.versions) {
      if (row.mod > revision) continue;
      if (row.mod <= this.compacted && keep.size > 0 && !keep.has(row)) continue;
      if (row.mod === this.compacted && row.tombstone) continue;
      for (const bytes of [rowKey(row), rowValue(row)]) hash = crc32c(bytes, 0, bytes.length, hash);
    }
    return hash;
  }

  // ---- inside

  #end(): number {
    if (this.#changes > 0) this.revision++;
    this.#changes = 0;
    return this.revision;
  }

  #put(request: PutRequest): Version | undefined {
    const previous = this.within({ key: request.key! })[0];
    this.versions.push({
      key: text(request.key),
      value: request.ignore_value ? (previous?.value ?? "") : text(request.value),
      create: previous?.create ?? this.revision + 1,
      mod: this.revision + 1,
      sub: this.#changes++,
      version: (previous?.version ?? 0) + 1,
      lease: request.ignore_lease ? (previous?.lease ?? 0n) : (request.lease ?? 0n),
      tombstone: false,
    });
    return previous;
  }

  #delete(request: DeleteRequest): { deleted: number; prevKvs: KeyValueAnswer[] } {
    const gone = this.within(request);
    for (const { key } of gone) {
      const mod = this.revision + 1;
      this.versions.push({
        key,
        value: "",
        create: 0,
        mod,
        sub: this.#changes++,
        version: 0,
        lease: 0n,
        tombstone: true,
      });
    }
    return { deleted: gone.length, prevKvs: request.prev_kv ? gone.map((it) => plain(it)) : [] };
  }

  #choose(request: TxnRequest, path: boolean[]): void {
    const succeeded = (request.compare ?? []).every((it) => this.#holds(it));
    path.push(succeeded);
    for (const op of (succeeded ? request.success : request.failure) ?? []) {
      if (op.request_txn) this.#choose(op.request_txn, path);
    }
  }

  #holds(compare: Compare): boolean {
    const target = compare.target ?? 0;
    const kvs: Partial<Version>[] = this.within(compare as RangeRequest);
    if (kvs.length === 0) {
      if (target === 3) return false;
      kvs.push({ version: 0, create: 0, mod: 0, lease: 0n });
    }
    return kvs.every((it) => {
      const left = [it.version, it.create, it.mod, it.value, it.lease][target]!;
      const right = [
        compare.version ?? 0,
        compare.create_revision ?? 0,
        compare.mod_revision ?? 0,
        text(compare.value),
        compare.lease ?? 0n,
      ][target]!;
      return [left === right, left > right, left < right, left !== right][compare.result ?? 0]!;
    });
  }

  #check(path: boolean[], request: TxnRequest): Status | undefined {
    const ops = (path.shift() ? request.success : request.failure) ?? [];
    for (const op of ops) {
      const { request_put: put, request_range: range } = op;
      const failed = op.request_txn
        ? this.#check(path, op.request_txn)
        : put
          ? this.#checkPut(put)
          : range && this.#checkRange(range.revision ?? 0);
      if (failed) return failed;
    }
    return undefined;
  }

  #checkPut(put: PutRequest): Status | undefined {
    if ((put.ignore_value || put.ignore_lease) && this.within({ key: put.key! }).length === 0)
      return STATUS.keyNotFound;
    return put.lease && !this.leases.has(put.lease) ? STATUS.leaseNotFound : undefined;
  }

  #checkRange(revision: number): Status | undefined {
    if (revision === 0) return undefined;
    if (revision > this.revision) return STATUS.futureRevision;
    return revision < this.compacted ? STATUS.compacted : undefined;
  }

  #carryOut(path: boolean[], request: TxnRequest): Answer {
    const succeeded = path.shift()!;
    const responses: Answer[] = [];
    for (const op of (succeeded ? request.success : request.failure) ?? []) {
      if (op.request_range) responses.push(this.range(op.request_range) as Answer);
      else if (op.request_put) {
        const previous = this.#put(op.request_put);
        responses.push({
          revision: this.now,
          prevKv: op.request_put.prev_kv && previous ? plain(previous) : undefined,
        });
      } else if (op.request_delete_range) {
        const { deleted, prevKvs } = this.#delete(op.request_delete_range);
        responses.push({ revision: this.now, deleted, prevKvs });
      } else if (op.request_txn) responses.push(this.#carryOut(path, op.request_txn));
    }
    return { revision: 0, succeeded, responses };
  }
}

function plain(version: Version, keysOnly = false): KeyValueAnswer {
  const { key, value, create, mod, lease } = version;
  return { key, value: keysOnly ? "" : value, create, mod, version: version.version, lease };
}

function rowKey(row: Version): Uint8Array {
  const bytes = new Uint8Array(row.tombstone ? 18 : 17);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(row.mod));
  bytes[8] = 0x5f;
  view.setBigInt64(9, BigInt(row.sub));
  if (row.tombstone) bytes[17] = 0x74;
  return bytes;
}

function rowValue(row: Version): Uint8Array {
  const out: number[] = [];
  const varint = (value: bigint): void => {
    for (; value >= 128n; value >>= 7n) out.push(Number(value & 127n) | 128);
    out.push(Number(value));
  };
  const chunk = (tag: number, chars: string): void => {
    out.push(tag);
    varint(BigInt(chars.length));
    for (const char of chars) out.push(char.charCodeAt(0));
  };
  const number = (tag: number, value: bigint): void => {
    if (value === 0n) return;
    out.push(tag);
    varint(BigInt.asUintN(64, value));
  };
  chunk(0x0a, row.key);
  number(0x10, BigInt(row.create));
  number(0x18, row.tombstone ? 0n : BigInt(row.mod));
  number(0x20, BigInt(row.version));
  if (row.value !== "") chunk(0x2a, row.value);
  number(0x30, row.lease);
  return Uint8Array.from(out);
}
