// For tests: a store of plain objects that forgets what is compacted, and a call that keeps what was written to it.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import type { RecordRef, RecordView } from "../mvcc/record.ts";
import { WatchRequest, WatchResponse } from "../wire/messages.ts";
import type { Input, MessageOf } from "../wire/schema.ts";
import { decode, encode } from "../wire/schema.ts";
import type { Status } from "../wire/status.ts";
import type { WatchCall, WatchSource } from "./watch-call.ts";
import type { WatchHub } from "./hub.ts";

export interface FakeRecord {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly isTombstone: boolean;
  /** Null when there was none. */
  readonly previous: FakeRecord | null;
  isGone: boolean;
}

/** A change: a put, or a deletion when the value is null. */
export type Change = readonly [key: string, value: string | null];

export class FakeStore implements WatchSource {
  revision = 1;
  compactedRevision = -1;
  coldReadCount = 0;
  /** Set to have every record read from disk. */
  isCold = false;
  readonly records: FakeRecord[] = [];
  readonly #live = new Map<string, FakeRecord>();
  readonly #firstOf = new Map<number, number>();

  get(key: string): FakeRecord | undefined {
    return this.#live.get(key);
  }

  /** All changes in one revision; deletions of missing keys are none. */
  change(...changes: Change[]): number {
    const revision = this.revision + 1;
    const before = this.records.length;
    const old = new Map(this.#live);
    for (const [key, value] of changes) {
      const current = this.#live.get(key);
      if (value === null && current === undefined) continue;
      const record: FakeRecord = {
        key,
        value: value ?? "",
        revision,
        createRevision: value === null ? 0 : (current?.createRevision ?? revision),
        version: value === null ? 0 : (current?.version ?? 0) + 1,
        isTombstone: value === null,
        previous: old.get(key) ?? null,
        isGone: false,
      };
      this.records.push(record);
      if (value === null) this.#live.delete(key);
      else this.#live.set(key, record);
    }
    if (this.records.length === before) return this.revision;
    this.#firstOf.set(revision, before);
    this.revision = revision;
    return revision;
  }

  /** Keeps what a read at the revision or later needs, and all records of the revision itself. */
  compact(revision: number): void {
    this.compactedRevision = revision;
    const seen = new Set<string>();
    for (let i = this.records.length - 1; i >= 0; i--) {
      const record = this.records[i]!;
      if (record.revision > revision) continue;
      if (record.revision < revision && (seen.has(record.key) || record.isTombstone)) record.isGone = true;
      seen.add(record.key);
    }
  }

  firstRecordOf(revision: number): RecordRef {
    assert(revision >= this.compactedRevision, "compacted revisions are not read");
    const index = this.#firstOf.get(revision);
    return index === undefined ? 0 : index + 1;
  }

  nextRecord(ref: RecordRef): RecordRef {
    return ref < this.records.length ? ref + 1 : 0;
  }

  load(ref: RecordRef, view: RecordView): void {
    if (this.isCold) this.coldReadCount++;
    const record = this.records[ref - 1]!;
    assert(!record.isGone, "a record that was compacted is not read");
    fill(view, record, ref);
  }

  previousVersion(view: RecordView, out: RecordView): boolean {
    const record = this.records[view.ref - 1]!;
    if (record.previous === null || view.modRevision - 1 < this.compactedRevision) return false;
    fill(out, record.previous, 0);
    return true;
  }
}

function fill(view: RecordView, record: FakeRecord, ref: RecordRef): void {
  const key = encodeUtf8(record.key);
  const value = encodeUtf8(record.value);
  view.bytes = new Uint8Array([...key, ...value]);
  view.ref = ref;
  view.keyStart = 0;
  view.keyEnd = view.valueStart = key.length;
  view.valueEnd = key.length + value.length;
  view.modRevision = record.revision;
  view.createRevision = record.createRevision;
  view.version = record.version;
  view.isTombstone = record.isTombstone;
  view.leaseHi = view.leaseLo = 0;
}

export type Response = MessageOf<typeof WatchResponse>;

export class FakeCall implements WatchCall {
  state: unknown = undefined;
  cancelled = false;
  writable = true;
  readonly headers: Record<string, string>;
  readonly responses: Response[] = [];
  /** How the call ended: "finished", a status, or undefined while it runs. */
  end: Status | "finished" | undefined = undefined;
  /** After so many messages it is not writable. */
  room = Infinity;
  /** Messages with events (fragments but the first left out) written while it was not writable. */
  overrunCount = 0;
  /** How many messages were there at each flush(). */
  readonly flushedCounts: number[] = [];
  /** What happens within a flush(). */
  onFlush: (() => void) | undefined = undefined;
  readonly #writer = new ByteWriter();
  #isWriting = false;

  constructor(headers: Record<string, string> = {}) {
    this.headers = headers;
  }

  metadata(name: string): string | undefined {
    return this.headers[name];
  }

  beginMessage(): ByteWriter {
    assert(!this.#isWriting, "messages do not overlap");
    assert(this.end === undefined, "nothing is written after the end");
    this.#isWriting = true;
    this.#writer.reset();
    return this.#writer;
  }

  endMessage(): void {
    this.#isWriting = false;
    this.responses.push(decode(WatchResponse, this.#writer.copy(), 0, this.#writer.position));
    const { length } = this.responses;
    const isContinued = length > 1 && this.responses[length - 2]!.fragment;
    if (!this.writable && !isContinued && this.responses[length - 1]!.events.length > 0) this.overrunCount++;
    if (--this.room <= 0) this.writable = false;
  }

  flush(): void {
    this.flushedCounts.push(this.responses.length);
    this.onFlush?.();
  }

  finish(): void {
    assert(this.end === undefined, "a call ends once");
    this.end = "finished";
  }

  fail(status: Status): void {
    assert(this.end === undefined, "a call ends once");
    this.end = status;
  }

  /** Removes and returns what was written so far. */
  take(): Response[] {
    return this.responses.splice(0);
  }
}

export function request(hub: WatchHub, call: FakeCall, message: Input<MessageOf<typeof WatchRequest>>): void {
  const writer = new ByteWriter();
  encode(WatchRequest, message, writer);
  // Requests lie somewhere in a larger buffer, which is overwritten afterwards: nobody may keep it.
  const bytes = new Uint8Array(writer.position + 7).fill(0xff);
  bytes.set(writer.bytes.subarray(0, writer.position), 3);
  hub.onMessage(call, bytes, 3, 3 + writer.position);
  bytes.fill(0xee);
}

export interface CreateOptions {
  readonly id?: bigint;
  readonly start?: number;
  readonly prevKv?: boolean;
  readonly progressNotify?: boolean;
  readonly fragment?: boolean;
  /** 0: no puts, 1: no deletions. */
  readonly filters?: number[];
}

/** Asks for a watcher of a key, a range, or (end "\0") everything from the key on. */
export function create(
  hub: WatchHub,
  call: FakeCall,
  range: readonly [string, string?],
  options: CreateOptions = {},
): void {
  request(hub, call, {
    create_request: {
      key: encodeUtf8(range[0]),
      range_end: encodeUtf8(range[1] ?? ""),
      start_revision: options.start ?? 0,
      progress_notify: options.progressNotify ?? false,
      filters: options.filters ?? [],
      prev_kv: options.prevKv ?? false,
      watch_id: options.id ?? 0n,
      fragment: options.fragment ?? false,
    },
  });
}

/** "+key=value@revision" or "-key@revision", with "<old" when the previous value is there. */
export function textOf(response: Response): string {
  return response.events
    .map((event) => {
      const kv = event.kv!;
      const key = decodeUtf8(kv.key, 0, kv.key.length);
      const value = decodeUtf8(kv.value, 0, kv.value.length);
      const old =
        event.prev_kv === undefined
          ? ""
          : `<${decodeUtf8(event.prev_kv.value, 0, event.prev_kv.value.length)}`;
      return event.type === 1
        ? `-${key}@${kv.mod_revision}${old}`
        : `+${key}=${value}@${kv.mod_revision}${old}`;
    })
    .join(" ");
}
