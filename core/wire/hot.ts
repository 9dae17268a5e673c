// Hand-written readers of the requests that come by the thousand. A reader is made once and used for every request: its
// parse() overwrites all fields, makes no objects, and leaves offsets into the bytes that it was given (`keyStart`,
// `keyEnd`: half open, an absent field is empty). Transactions are read by txn.ts.
//
// Unknown fields are passed over, of a repeated occurrence the last one counts, malformed bytes throw WireError.
// int64 quantities saturate at +-(2^53 - 1); leases and watch ids are unsigned halves.

import { ProtoReader } from "./reader.ts";

// Field numbers are those of messages.ts; there every one has its name beside it.

/** PutRequest. */
export class PutFields {
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  leaseHi = 0;
  leaseLo = 0;
  prevKv = false;
  ignoreValue = false;
  ignoreLease = false;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.leaseHi = this.leaseLo = 0;
    this.prevKv = this.ignoreValue = this.ignoreLease = false;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      switch (number) {
        case 1:
          reader.chunk();
          this.keyStart = reader.chunkStart;
          this.keyEnd = reader.chunkEnd;
          break;
        case 2:
          reader.chunk();
          this.valueStart = reader.chunkStart;
          this.valueEnd = reader.chunkEnd;
          break;
        case 3:
          reader.varint64();
          this.leaseHi = reader.hi;
          this.leaseLo = reader.lo;
          break;
        case 4:
          this.prevKv = reader.bool();
          break;
        case 5:
          this.ignoreValue = reader.bool();
          break;
        case 6:
          this.ignoreLease = reader.bool();
          break;
        default:
          reader.skip();
      }
    }
  }
}

export const SORT_NONE = 0;
export const SORT_ASCEND = 1;
export const SORT_DESCEND = 2;

export const SORT_BY_KEY = 0;
export const SORT_BY_VERSION = 1;
export const SORT_BY_CREATE = 2;
export const SORT_BY_MOD = 3;
export const SORT_BY_VALUE = 4;

/** RangeRequest. Orders and targets are the client's numbers, also unknown ones. */
export class RangeFields {
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  limit = 0;
  revision = 0;
  sortOrder = 0;
  sortTarget = 0;
  serializable = false;
  keysOnly = false;
  countOnly = false;
  minModRevision = 0;
  maxModRevision = 0;
  minCreateRevision = 0;
  maxCreateRevision = 0;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.#clear(start);
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      switch (number) {
        case 1:
          reader.chunk();
          this.keyStart = reader.chunkStart;
          this.keyEnd = reader.chunkEnd;
          break;
        case 2:
          reader.chunk();
          this.rangeEndStart = reader.chunkStart;
          this.rangeEndEnd = reader.chunkEnd;
          break;
        case 3:
          this.limit = reader.int64();
          break;
        case 4:
          this.revision = reader.int64();
          break;
        default:
          this.#option(reader, number);
      }
    }
  }

  #clear(start: number): void {
    this.keyStart = this.keyEnd = this.rangeEndStart = this.rangeEndEnd = start;
    this.limit = this.revision = 0;
    this.sortOrder = this.sortTarget = 0;
    this.serializable = this.keysOnly = this.countOnly = false;
    this.minModRevision = this.maxModRevision = 0;
    this.minCreateRevision = this.maxCreateRevision = 0;
  }

  #option(reader: ProtoReader, number: number): void {
    switch (number) {
      case 5:
        this.sortOrder = reader.int32();
        return;
      case 6:
        this.sortTarget = reader.int32();
        return;
      case 7:
        this.serializable = reader.bool();
        return;
      case 8:
        this.keysOnly = reader.bool();
        return;
      case 9:
        this.countOnly = reader.bool();
        return;
      case 10:
        this.minModRevision = reader.int64();
        return;
      case 11:
        this.maxModRevision = reader.int64();
        return;
      case 12:
        this.minCreateRevision = reader.int64();
        return;
      case 13:
        this.maxCreateRevision = reader.int64();
        return;
      default:
        reader.skip();
    }
  }
}

/** DeleteRangeRequest. */
export class DeleteFields {
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  prevKv = false;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.keyStart = this.keyEnd = this.rangeEndStart = this.rangeEndEnd = start;
    this.prevKv = false;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      switch (number) {
        case 1:
          reader.chunk();
          this.keyStart = reader.chunkStart;
          this.keyEnd = reader.chunkEnd;
          break;
        case 2:
          reader.chunk();
          this.rangeEndStart = reader.chunkStart;
          this.rangeEndEnd = reader.chunkEnd;
          break;
        case 3:
          this.prevKv = reader.bool();
          break;
        default:
          reader.skip();
      }
    }
  }
}

/** CompactionRequest. */
export class CompactFields {
  revision = 0;
  physical = false;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.revision = 0;
    this.physical = false;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === 1) this.revision = reader.int64();
      else if (number === 2) this.physical = reader.bool();
      else reader.skip();
    }
  }
}

export const WATCH_NOTHING = 0;
export const WATCH_CREATE = 1;
export const WATCH_CANCEL = 2;
export const WATCH_PROGRESS = 3;

/** WatchRequest: which member of its oneof, and where. */
export class WatchRequestFields {
  /** WATCH_NOTHING when the union is empty; etcd ignores such a request. */
  kind = WATCH_NOTHING;
  payloadStart = 0;
  payloadEnd = 0;
  /** Of a WATCH_CANCEL. */
  watchHi = 0;
  watchLo = 0;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.kind = WATCH_NOTHING;
    this.payloadStart = this.payloadEnd = start;
    this.watchHi = this.watchLo = 0;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number > WATCH_PROGRESS) {
        reader.skip();
        continue;
      }
      reader.chunk();
      this.kind = number;
      this.payloadStart = reader.chunkStart;
      this.payloadEnd = reader.chunkEnd;
    }
    if (this.kind === WATCH_CANCEL) this.#parseCancel(bytes);
  }

  #parseCancel(bytes: Uint8Array): void {
    const reader = this.#reader;
    reader.reset(bytes, this.payloadStart, this.payloadEnd);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number !== 1) {
        reader.skip();
        continue;
      }
      reader.varint64();
      this.watchHi = reader.hi;
      this.watchLo = reader.lo;
    }
  }
}

/** WatchCreateRequest. */
export class WatchCreateFields {
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  startRevision = 0;
  progressNotify = false;
  /** The two filters; unknown ones are ignored, as etcd does. */
  noPut = false;
  noDelete = false;
  prevKv = false;
  watchHi = 0;
  watchLo = 0;
  fragment = false;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.#clear(start);
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      switch (number) {
        case 1:
          reader.chunk();
          this.keyStart = reader.chunkStart;
          this.keyEnd = reader.chunkEnd;
          break;
        case 2:
          reader.chunk();
          this.rangeEndStart = reader.chunkStart;
          this.rangeEndEnd = reader.chunkEnd;
          break;
        case 3:
          this.startRevision = reader.int64();
          break;
        case 7:
          reader.varint64();
          this.watchHi = reader.hi;
          this.watchLo = reader.lo;
          break;
        default:
          this.#option(reader, number);
      }
    }
  }

  #clear(start: number): void {
    this.keyStart = this.keyEnd = this.rangeEndStart = this.rangeEndEnd = start;
    this.startRevision = 0;
    this.progressNotify = this.noPut = this.noDelete = this.prevKv = this.fragment = false;
    this.watchHi = this.watchLo = 0;
  }

  #option(reader: ProtoReader, number: number): void {
    switch (number) {
      case 4:
        this.progressNotify = reader.bool();
        return;
      case 5:
        this.#filters(reader);
        return;
      case 6:
        this.prevKv = reader.bool();
        return;
      case 8:
        this.fragment = reader.bool();
        return;
      default:
        reader.skip();
    }
  }

  /** A repeated enumeration: packed into one run of bytes, or one by one. */
  #filters(reader: ProtoReader): void {
    if (reader.wireType === 0) {
      this.#filter(reader.int32());
      return;
    }
    reader.chunk();
    const { end, chunkStart, chunkEnd } = reader;
    reader.position = chunkStart;
    reader.end = chunkEnd;
    while (reader.position < chunkEnd) {
      reader.bareVarint64();
      this.#filter(reader.lo);
    }
    reader.end = end;
  }

  #filter(filter: number): void {
    if (filter === 0) this.noPut = true;
    else if (filter === 1) this.noDelete = true;
  }
}

/** LeaseGrantRequest. */
export class LeaseGrantFields {
  ttlSeconds = 0;
  leaseHi = 0;
  leaseLo = 0;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.ttlSeconds = 0;
    this.leaseHi = this.leaseLo = 0;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === 1) this.ttlSeconds = reader.int64();
      else if (number === 2) {
        reader.varint64();
        this.leaseHi = reader.hi;
        this.leaseLo = reader.lo;
      } else reader.skip();
    }
  }
}

/** LeaseRevokeRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest: the id first, and whether keys are wanted. */
export class LeaseIdFields {
  leaseHi = 0;
  leaseLo = 0;
  /** LeaseTimeToLiveRequest only. */
  keys = false;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.leaseHi = this.leaseLo = 0;
    this.keys = false;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number === 1) {
        reader.varint64();
        this.leaseHi = reader.hi;
        this.leaseLo = reader.lo;
      } else if (number === 2 && reader.wireType === 0) this.keys = reader.bool();
      else reader.skip();
    }
  }
}
