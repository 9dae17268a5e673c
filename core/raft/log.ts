// The Raft log in memory: a tail of entries in columns, and the terms of everything that is not compacted.
//
//   compactedIndex      memoryFirst - 1          durableIndex    lastIndex
//        |                     |                      |              |
//   gone | only in storage     | in memory, durable   | not durable  |
//
// An entry is a row: chunk number, payload offset, payload size, type, and where it ends when the bytes of all entries
// since the start are counted. Differences of that last column are exact sizes of any run, so that nobody keeps a
// counter of bytes that could leak (traps R26, R27). Terms are kept as runs, because a log has few of them: an entry's term is
// known even when its bytes are only in storage.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { ENTRY_HEADER_BYTES, EntryArena } from "./arena.ts";

/** Types of entries, as etcd's log numbers them. */
export const ENTRY_NORMAL = 0;
export const ENTRY_CONF_CHANGE = 1;
export const ENTRY_CONF_CHANGE_V2 = 2;

export interface RaftLogOptions {
  /** Size of a chunk of the arena. */
  readonly arenaBytes: number;
  /** Entries up to here are only in a snapshot; 0 for a log from its start. */
  readonly compactedIndex: number;
  readonly compactedTerm: number;
}

export class RaftLog {
  /** Entries up to here are gone; the term of this one is still known. */
  compactedIndex: number;
  /** First entry whose bytes are in memory; compactedIndex < memoryFirst <= lastIndex + 1. */
  memoryFirst: number;
  lastIndex: number;

  #arena: EntryArena;
  readonly #arenaBytes: number;
  // The columns, rings of a power of two; row of an entry: index & #mask.
  #mask: number;
  #chunk: Int32Array;
  #start: Int32Array;
  #size: Int32Array;
  #type: Uint8Array;
  /** Bytes, headers included, of all entries up to and including this one. */
  #total: Float64Array;
  /** The same up to memoryFirst - 1. */
  #totalBeforeMemory = 0;
  /** Runs of equal terms: run i starts at #runFirst[i] and lasts until the next one. Run 0 covers compactedIndex. */
  readonly #runFirst: number[];
  readonly #runTerm: number[];
  /** Indexes of configuration changes that are not applied, ascending. */
  readonly #confIndexes: number[] = [];

  constructor(options: RaftLogOptions) {
    assert(options.compactedIndex >= 0, "a log starts at 0 or later");
    this.compactedIndex = options.compactedIndex;
    this.memoryFirst = options.compactedIndex + 1;
    this.lastIndex = options.compactedIndex;
    this.#arenaBytes = options.arenaBytes;
    this.#arena = new EntryArena(options.arenaBytes);
    const rows = 64; // doubles as needed
    this.#mask = rows - 1;
    this.#chunk = new Int32Array(rows);
    this.#start = new Int32Array(rows);
    this.#size = new Int32Array(rows);
    this.#type = new Uint8Array(rows);
    this.#total = new Float64Array(rows);
    // A double from the beginning, as all that will be stored there: what is compiled for a log meanwhile stays valid.
    this.#totalBeforeMemory = this.#total[0]!;
    this.#runFirst = [options.compactedIndex];
    this.#runTerm = [options.compactedTerm];
  }

  get lastTerm(): number {
    return this.#runTerm[this.#runTerm.length - 1]!;
  }

  /** Bytes, headers included, of the entries in memory. */
  get memoryBytes(): number {
    return this.totalBytes(this.lastIndex) - this.#totalBeforeMemory;
  }

  /** Chunks of memory held. */
  get chunkCount(): number {
    return this.#arena.chunkCount;
  }

  /** Copies an entry to the end; returns its index. */
  append(type: number, term: number, bytes: Uint8Array, start: number, end: number): number {
    const last = this.lastIndex;
    const runs = this.#runTerm.length;
    if (this.#runTerm[runs - 1] !== term) {
      assert(term > this.#runTerm[runs - 1]!, "terms in a log never fall (Raft 5.3)");
      this.#runFirst.push(last + 1);
      this.#runTerm.push(term);
    }
    if (last + 1 - this.memoryFirst > this.#mask) this.#grow();
    const before = last < this.memoryFirst ? this.#totalBeforeMemory : this.#total[last & this.#mask]!;
    const payload = this.#arena.write(type, term, bytes, start, end);
    const row = (last + 1) & this.#mask;
    this.#chunk[row] = this.#arena.lastChunk;
    this.#start[row] = payload;
    this.#size[row] = end - start;
    this.#type[row] = type;
    this.#total[row] = before + (end - start) + ENTRY_HEADER_BYTES;
    this.lastIndex = last + 1;
    if (type !== ENTRY_NORMAL) this.#confIndexes.push(last + 1);
    return last + 1;
  }

  /** Drops every entry after `index`. Their bytes stay in the arena until it moves on. */
  truncateAfter(index: number): void {
    assert(index >= this.compactedIndex, "what is compacted is never truncated");
    assert(index >= this.memoryFirst - 1, "entries that are only in storage are applied and never truncated");
    if (index >= this.lastIndex) return;
    this.lastIndex = index;
    while (this.#runFirst[this.#runFirst.length - 1]! > index) {
      this.#runFirst.pop();
      this.#runTerm.pop();
    }
    const conf = this.#confIndexes;
    while (conf.length > 0 && conf[conf.length - 1]! > index) conf.pop();
    assert(this.#runFirst.length > 0, "the run of the compacted entry stays");
  }

  /** Forgets everything: the log now starts behind a snapshot. */
  reset(index: number, term: number): void {
    assert(index >= this.compactedIndex, "a snapshot never lies before the log's start");
    this.compactedIndex = index;
    this.memoryFirst = index + 1;
    this.lastIndex = index;
    this.#arena = new EntryArena(this.#arenaBytes);
    this.#totalBeforeMemory = 0;
    this.#runFirst.length = 0;
    this.#runTerm.length = 0;
    this.#runFirst.push(index);
    this.#runTerm.push(term);
    this.#confIndexes.length = 0;
  }

  /** Forgets entries up to `index`, which a snapshot covers. */
  compact(index: number): void {
    if (index <= this.compactedIndex) return;
    assert(index <= this.lastIndex, "only existing entries are compacted");
    const term = this.term(index);
    this.compactedIndex = index;
    while (this.#runFirst.length > 1 && this.#runFirst[1]! <= index) {
      this.#runFirst.shift();
      this.#runTerm.shift();
    }
    this.#runFirst[0] = index;
    assert(this.#runTerm[0] === term, "compaction keeps the term of its last entry");
    if (index >= this.memoryFirst) this.evictTo(index);
  }

  /** Frees the memory of entries up to `index`; their terms stay known. */
  evictTo(index: number): void {
    assert(index <= this.lastIndex, "only existing entries are evicted");
    if (index < this.memoryFirst) return;
    this.#totalBeforeMemory = this.#total[index & this.#mask]!;
    this.memoryFirst = index + 1;
    const first = index < this.lastIndex ? this.#chunk[(index + 1) & this.#mask]! : this.#arena.lastChunk;
    this.#arena.freeBefore(first);
  }

  /** Evicts entries up to `floor` at most, oldest first, while there are more than `bytesMax` bytes in memory. */
  trim(floor: number, bytesMax: number): void {
    const excess = this.memoryBytes - bytesMax;
    if (excess <= 0) return;
    const target = this.#totalBeforeMemory + excess;
    let index = this.memoryFirst - 1;
    while (index < floor && this.totalBytes(index) < target) index++;
    this.evictTo(index);
  }

  /** Term of an entry from compactedIndex to lastIndex. */
  term(index: number): number {
    assert(index >= this.compactedIndex, "the term of a compacted entry is not known");
    assert(index <= this.lastIndex, "an entry after the last has no term");
    const first = this.#runFirst;
    let run = first.length - 1;
    // Nearly always the last run, or the one before.
    while (first[run]! > index) run--;
    return this.#runTerm[run]!;
  }

  /** Whether the log has this very entry; compacted ones (beyond the last) are not known. */
  matches(index: number, term: number): boolean {
    if (index > this.lastIndex || index < this.compactedIndex) return false;
    return this.term(index) === term;
  }

  /** The last index up to `index` whose term is at most `term`; compactedIndex at least (Raft 5.3, the quick way back). */
  lastIndexWithTermAtMost(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    const first = this.#runFirst;
    for (let run = first.length - 1; run >= 0; run--) {
      if (first[run]! > at) continue;
      if (this.#runTerm[run]! <= term) return at;
      at = first[run]! - 1;
    }
    return this.compactedIndex;
  }

  /** Whether a log that ends so is at least as up to date as this one (Raft 5.4.1): the term counts before the index. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const own = this.lastTerm;
    return lastTerm > own || (lastTerm === own && lastIndex >= this.lastIndex);
  }

  type(index: number): number {
    this.#assertInMemory(index);
    return this.#type[index & this.#mask]!;
  }

  /** The arena chunk that holds an entry; the payload is at [start(index), end(index)). Do not keep it over a call that compacts. */
  bytes(index: number): Uint8Array {
    this.#assertInMemory(index);
    return this.#arena.chunk(this.#chunk[index & this.#mask]!);
  }

  start(index: number): number {
    this.#assertInMemory(index);
    return this.#start[index & this.#mask]!;
  }

  end(index: number): number {
    this.#assertInMemory(index);
    const row = index & this.#mask;
    return this.#start[row]! + this.#size[row]!;
  }

  /** Bytes of all entries up to `index`, headers included, from memoryFirst - 1 on; only differences mean anything. */
  totalBytes(index: number): number {
    assert(index >= this.memoryFirst - 1, "sizes are known for entries in memory");
    assert(index <= this.lastIndex, "sizes are known for entries that exist");
    return index < this.memoryFirst ? this.#totalBeforeMemory : this.#total[index & this.#mask]!;
  }

  /** The last entry from `first` on so that the run is at most `bytesMax` long; at least `first`, at most `last`. */
  lastWithin(first: number, last: number, bytesMax: number): number {
    const bound = this.totalBytes(first - 1) + bytesMax;
    if (this.totalBytes(last) <= bound) return last;
    let low = first;
    let high = last;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.totalBytes(middle) <= bound) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Copies entries first..last, in the form in which they travel, one piece per chunk. */
  writeEntries(writer: ByteWriter, first: number, last: number): void {
    this.#assertInMemory(first);
    assert(last <= this.lastIndex, "only existing entries are sent");
    let index = first;
    while (index <= last) {
      const row = index & this.#mask;
      const chunk = this.#chunk[row]!;
      let end = index;
      while (end < last && this.#follows(end)) end++;
      const endRow = end & this.#mask;
      writer.raw(
        this.#arena.chunk(chunk),
        this.#start[row]! - ENTRY_HEADER_BYTES,
        this.#start[endRow]! + this.#size[endRow]!,
      );
      index = end + 1;
    }
  }

  /** The first configuration change that is not applied; 0 when there is none. */
  get firstUnappliedConfIndex(): number {
    return this.#confIndexes.length > 0 ? this.#confIndexes[0]! : 0;
  }

  get unappliedConfCount(): number {
    return this.#confIndexes.length;
  }

  /** Configuration changes up to `index` are applied. */
  confApplied(index: number): void {
    const conf = this.#confIndexes;
    while (conf.length > 0 && conf[0]! <= index) conf.shift();
  }

  /** Whether the entry after `index` lies right behind it in the same chunk (a truncation leaves gaps). */
  #follows(index: number): boolean {
    const row = index & this.#mask;
    const next = (index + 1) & this.#mask;
    if (this.#chunk[row] !== this.#chunk[next]) return false;
    return this.#start[row]! + this.#size[row]! + ENTRY_HEADER_BYTES === this.#start[next]!;
  }

  #assertInMemory(index: number): void {
    assert(index >= this.memoryFirst, "the entry's bytes are still in memory");
    assert(index <= this.lastIndex, "the entry exists");
  }

  #grow(): void {
    const rows = (this.#mask + 1) * 2;
    const mask = rows - 1;
    const chunk = new Int32Array(rows);
    const start = new Int32Array(rows);
    const size = new Int32Array(rows);
    const type = new Uint8Array(rows);
    const total = new Float64Array(rows);
    for (let index = this.memoryFirst; index <= this.lastIndex; index++) {
      const from = index & this.#mask;
      const to = index & mask;
      chunk[to] = this.#chunk[from]!;
      start[to] = this.#start[from]!;
      size[to] = this.#size[from]!;
      type[to] = this.#type[from]!;
      total[to] = this.#total[from]!;
    }
    this.#mask = mask;
    this.#chunk = chunk;
    this.#start = start;
    this.#size = size;
    this.#type = type;
    this.#total = total;
  }
}
