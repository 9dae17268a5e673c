// The keys in order: a B+tree of key ids with a fanout of 64, off the JavaScript heap. Ranges, counts and the order of
// deletions come from here; what names a single key goes through `KeyTable`.
//
//   leaf    64 slots of id (bit 31: the key is deleted at present) and digest; count, next, previous, prefix, checked
//   inner   64 slots of child, separator, digest and number of live keys below; count, prefix
//
// A digest is the four bytes of a key that follow the node's prefix: most comparisons end there and touch no record.
// The prefix of a leaf between two separators is what these have in common: every key that is led to the leaf has it,
// nothing to check. Other nodes take what their own keys have in common and check it ("checked").
//
// Slot i of an inner node leads to the keys from separator i (its own included) to separator i + 1; slot 0 has none.
// Counts of live keys per child answer `count` in the depth of the tree. Leaves are merged when two neighbours are
// small together; an emptied one is unlinked.

import { assert } from "../base/assert.ts";
import type { Keys } from "./keys.ts";
import { NodePool } from "./node-pool.ts";
import type { SeparatorRef } from "./separators.ts";
import { Separators } from "./separators.ts";

export const FANOUT = 64;
export const DELETED_BIT = 0x80000000;
export const ID_MASK = 0x7fffffff;
const HALF = FANOUT / 2;
/** Neighbours that have no more keys together than this become one leaf. */
const MERGE_COUNT_MAX = FANOUT / 2;
const DEPTH_MAX = 16;

const LEAF_DIGEST = FANOUT;
const LEAF_COUNT = 2 * FANOUT;
const LEAF_NEXT = LEAF_COUNT + 1;
const LEAF_PREVIOUS = LEAF_COUNT + 2;
const LEAF_PREFIX = LEAF_COUNT + 3;
const LEAF_CHECKED = LEAF_COUNT + 4;
/** Of LEAF_CHECKED: prefix and digests are made when the leaf is first needed, for that looks at every record. */
const NOT_READY = 2;
const LEAF_WORD_COUNT = LEAF_COUNT + 8;

const INNER_SEPARATOR = FANOUT;
const INNER_DIGEST = 2 * FANOUT;
const INNER_LIVE = 3 * FANOUT;
const INNER_COUNT = 4 * FANOUT;
const INNER_PREFIX = INNER_COUNT + 1;
const INNER_WORD_COUNT = INNER_COUNT + 8;

/** A filled leaf of a tree that is built from sorted keys: room for an eighth, so that the next key does not split it. */
const BUILD_COUNT = 56;

export class KeyTree {
  readonly #keys: Keys;
  readonly #leaves: NodePool = new NodePool(LEAF_WORD_COUNT);
  readonly #inners: NodePool = new NodePool(INNER_WORD_COUNT);
  readonly #separators: Separators = new Separators();
  /** A leaf while `#height` is 0, else an inner node. */
  #root: number;
  #height = 0;
  #firstLeaf: number;
  #lastLeaf: number;
  /** Keys that are not deleted at present. */
  liveCount = 0;
  /** All keys, deleted ones that are not compacted yet included. */
  keyCount = 0;

  /** Where the last `seek`, or a change, ended. */
  leaf = 0;
  position = 0;
  found = false;
  /** The way there: inner nodes and slots by level, 0 just above the leaves. */
  readonly #pathNode = new Int32Array(DEPTH_MAX);
  readonly #pathSlot = new Int32Array(DEPTH_MAX);
  /** The separators that bound the leaf, 0 where there is none. */
  #low: SeparatorRef = 0;
  #high: SeparatorRef = 0;
  /** On the way down: so many first bytes are the key's and those of all separators below. */
  #known = 0;
  /** Where the last insertion was: two in a row at the end of a leaf are taken for a sequence. */
  #insertedLeaf = 0;
  #insertedPosition = 0;

  constructor(keys: Keys) {
    this.#keys = keys;
    this.#root = this.#firstLeaf = this.#lastLeaf = this.#leaves.allocate();
  }

  // ---- reading

  /** Sets `leaf` and `position` to the first key that is not below `bytes[start, end)`, and `found` if it is that key. */
  seek(bytes: Uint8Array, start: number, end: number): void {
    this.#descend(bytes, start, end);
    this.#searchLeaf(bytes, start, end);
  }

  /** Sets `leaf` and `position` to the first key of all. */
  seekFirst(): void {
    this.leaf = this.#firstLeaf;
    this.position = 0;
  }

  /** Sets `leaf` and `position` behind the last key. */
  seekEnd(): void {
    this.leaf = this.#lastLeaf;
    this.position = this.countOf(this.#lastLeaf);
  }

  countOf(leaf: number): number {
    return this.#leaves.words(leaf)[this.#leaves.base(leaf) + LEAF_COUNT]!;
  }

  /** The next leaf, 0 behind the last. */
  nextOf(leaf: number): number {
    return this.#leaves.words(leaf)[this.#leaves.base(leaf) + LEAF_NEXT]!;
  }

  /** The slot's id, with DELETED_BIT. */
  entryOf(leaf: number, position: number): number {
    return this.#leaves.words(leaf)[this.#leaves.base(leaf) + position]!;
  }

  /** The entries of a leaf are `leafWords(leaf)[leafBase(leaf) + position]`: for loops over many keys. */
  leafWords(leaf: number): Uint32Array {
    return this.#leaves.words(leaf);
  }

  leafBase(leaf: number): number {
    return this.#leaves.base(leaf);
  }

  /** Live keys below `bytes[start, end)`. */
  rank(bytes: Uint8Array, start: number, end: number): number {
    this.seek(bytes, start, end);
    let rank = 0;
    for (let level = 0; level < this.#height; level++) {
      const node = this.#pathNode[level]!;
      const words = this.#inners.words(node);
      const from = this.#inners.base(node) + INNER_LIVE;
      for (let at = from + this.#pathSlot[level]! - 1; at >= from; at--) rank += words[at]!;
    }
    const words = this.#leaves.words(this.leaf);
    const from = this.#leaves.base(this.leaf);
    for (let at = from + this.position - 1; at >= from; at--) rank += (words[at]! >>> 31) ^ 1;
    return rank;
  }

  // ---- changes

  /** Adds a key that is not in the tree, as live. Its newest record is there already. */
  insert(id: number, bytes: Uint8Array, start: number, end: number): void {
    const last = this.#lastLeaf;
    const lastCount = this.countOf(last);
    if (
      lastCount > 0 &&
      this.#keys.compare(this.entryOf(last, lastCount - 1) & ID_MASK, bytes, start, end, 0) < 0
    ) {
      this.#descendLast();
      this.position = lastCount;
      if (this.#leaves.words(last)[this.#leaves.base(last) + LEAF_CHECKED] === NOT_READY) this.#refreshLeaf();
    } else {
      this.#descend(bytes, start, end);
      this.#searchLeaf(bytes, start, end);
      assert(!this.found, "a key that is inserted is not there yet");
    }
    this.liveCount++;
    this.keyCount++;
    this.#addLive(1);
    const count = this.countOf(this.leaf);
    if (count === FANOUT) this.#splitFor(bytes, start, end);
    this.#insertHere(id, bytes, start, end);
  }

  /** Marks a key as live or deleted, and keeps the counts. */
  setLive(isLive: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.seek(bytes, start, end);
    assert(this.found, "a key that is marked is in the tree");
    const at = this.#leaves.base(this.leaf) + this.position;
    const words = this.#leaves.words(this.leaf);
    assert(words[at]! >>> 31 === (isLive ? 1 : 0), "a mark is changed, not repeated");
    words[at] = isLive ? words[at]! & ID_MASK : words[at]! | DELETED_BIT;
    this.liveCount += isLive ? 1 : -1;
    this.#addLive(isLive ? 1 : -1);
  }

  /** Accounts for `count` live keys of a leaf whose entries the caller has marked as deleted. */
  countDeleted(leaf: number, count: number): void {
    this.#descendTo(leaf);
    this.liveCount -= count;
    this.#addLive(-count);
  }

  /** Removes a key that is deleted and compacted. */
  remove(bytes: Uint8Array, start: number, end: number): void {
    this.seek(bytes, start, end);
    assert(this.found, "a key that is removed is in the tree");
    const leaf = this.leaf;
    const words = this.#leaves.words(leaf);
    const base = this.#leaves.base(leaf);
    const count = words[base + LEAF_COUNT]! - 1;
    assert((words[base + this.position]! & DELETED_BIT) !== 0, "a live key is not removed");
    for (let i = this.position; i < count; i++) {
      words[base + i] = words[base + i + 1]!;
      words[base + LEAF_DIGEST + i] = words[base + LEAF_DIGEST + i + 1]!;
    }
    words[base + LEAF_COUNT] = count;
    this.keyCount--;
    this.#insertedLeaf = 0;
    if (this.#height === 0) {
      if (count === 0) words[base + LEAF_PREFIX] = words[base + LEAF_CHECKED] = 0;
      return;
    }
    if (count === 0) this.#unlinkLeaf();
    else if (!this.#mergeWithNext()) return;
    // The leaf that the key would be led to now has wider bounds than before.
    this.#descend(bytes, start, end);
    this.#refreshLeaf();
  }

  /** Builds the tree of these ids, which are in key order; only in an empty tree. `entry(i)` is id and DELETED_BIT. */
  build(count: number, entry: (index: number) => number): void {
    assert(this.keyCount === 0, "only an empty tree is built");
    for (let from = 0; from < count; from += BUILD_COUNT) {
      if (from > 0) this.#buildNextLeaf(entry(from) & ID_MASK);
      this.#descendLast();
      const words = this.#leaves.words(this.leaf);
      const base = this.#leaves.base(this.leaf);
      const to = Math.min(count, from + BUILD_COUNT);
      let liveCount = 0;
      for (let i = from; i < to; i++) {
        const value = entry(i);
        words[base + i - from] = value;
        liveCount += (value >>> 31) ^ 1;
      }
      words[base + LEAF_COUNT] = to - from;
      words[base + LEAF_CHECKED] = NOT_READY;
      this.keyCount += to - from;
      this.liveCount += liveCount;
      this.#addLive(liveCount);
    }
  }

  // ---- descent

  #descend(bytes: Uint8Array, start: number, end: number): void {
    let node = this.#root;
    this.#low = 0;
    this.#high = 0;
    this.#known = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      const words = this.#inners.words(node);
      const base = this.#inners.base(node);
      const slot = this.#searchInner(words, base, bytes, start, end);
      this.#pathNode[level] = node;
      this.#pathSlot[level] = slot;
      if (slot > 0) this.#low = words[base + INNER_SEPARATOR + slot]!;
      if (slot + 1 < words[base + INNER_COUNT]!) this.#high = words[base + INNER_SEPARATOR + slot + 1]!;
      node = words[base + slot]!;
    }
    this.leaf = node;
  }

  /** The way to the last leaf, without a comparison. */
  #descendLast(): void {
    let node = this.#root;
    this.#low = 0;
    this.#high = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      const words = this.#inners.words(node);
      const base = this.#inners.base(node);
      const slot = words[base + INNER_COUNT]! - 1;
      this.#pathNode[level] = node;
      this.#pathSlot[level] = slot;
      if (slot > 0) this.#low = words[base + INNER_SEPARATOR + slot]!;
      node = words[base + slot]!;
    }
    this.leaf = node;
  }

  /** The slot whose keys include this one: the last whose separator is not above it. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  #searchInner(words: Uint32Array, base: number, bytes: Uint8Array, start: number, end: number): number {
    const count = words[base + INNER_COUNT]!;
    if (count === 1) return 0;
    const prefix = words[base + INNER_PREFIX]!;
    const separators = this.#separators;
    const known = this.#known;
    if (prefix > known) {
      const order = comparePrefix(
        bytes,
        start + known,
        end,
        separators.bytesOf(words[base + INNER_SEPARATOR + 1]!),
        separators.startOf(words[base + INNER_SEPARATOR + 1]!) + known,
        prefix - known,
      );
      if (order !== 0) return order < 0 ? 0 : count - 1;
    }
    const digest = digestAt(bytes, start + prefix, end);
    let low = 1;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = words[base + INNER_DIGEST + middle]!;
      let isAbove = other > digest;
      if (other === digest) {
        isAbove = separators.compare(words[base + INNER_SEPARATOR + middle]!, bytes, start, end, prefix) > 0;
      }
      if (isAbove) high = middle;
      else low = middle + 1;
    }
    // Between two separators that begin as the key does, everything does.
    if (low > 1 && low < count) this.#known = prefix;
    return low - 1;
  }

  #searchLeaf(bytes: Uint8Array, start: number, end: number): void {
    const words = this.#leaves.words(this.leaf);
    const base = this.#leaves.base(this.leaf);
    if (words[base + LEAF_CHECKED] === NOT_READY) this.#refreshLeaf();
    const prefix = words[base + LEAF_PREFIX]!;
    const count = words[base + LEAF_COUNT]!;
    this.found = false;
    if (words[base + LEAF_CHECKED] === 1) {
      const order = this.#checkPrefix(words[base]! & ID_MASK, bytes, start, end, prefix);
      if (order !== 0) {
        this.position = order < 0 ? 0 : count;
        return;
      }
    }
    const digest = digestAt(bytes, start + prefix, end);
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = words[base + LEAF_DIGEST + middle]!;
      let order = other - digest;
      if (order === 0) order = this.#keys.compare(words[base + middle]! & ID_MASK, bytes, start, end, prefix);
      if (order < 0) low = middle + 1;
      else {
        high = middle;
        if (order === 0) {
          low = middle;
          this.found = true;
        }
      }
    }
    this.position = low;
  }

  /** Order of `bytes` against the first `prefix` bytes of a key. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  #checkPrefix(id: number, bytes: Uint8Array, start: number, end: number, prefix: number): number {
    const ref = this.#keys.newest.get(id);
    return comparePrefix(bytes, start, end, this.#keys.bytesOf(ref), this.#keys.keyStartOf(ref), prefix);
  }

  #addLive(delta: number): void {
    for (let level = this.#height - 1; level >= 0; level--) {
      const node = this.#pathNode[level]!;
      const at = this.#inners.base(node) + INNER_LIVE + this.#pathSlot[level]!;
      this.#inners.words(node)[at]! += delta;
    }
  }

  // ---- leaves

  #insertHere(id: number, bytes: Uint8Array, start: number, end: number): void {
    const words = this.#leaves.words(this.leaf);
    const base = this.#leaves.base(this.leaf);
    const count = words[base + LEAF_COUNT]!;
    const position = this.position;
    if (words[base + LEAF_CHECKED] === 1 && count > 0) this.#narrowPrefix(bytes, start, end);
    for (let i = count; i > position; i--) {
      words[base + i] = words[base + i - 1]!;
      words[base + LEAF_DIGEST + i] = words[base + LEAF_DIGEST + i - 1]!;
    }
    words[base + position] = id;
    words[base + LEAF_DIGEST + position] = digestAt(bytes, start + words[base + LEAF_PREFIX]!, end);
    words[base + LEAF_COUNT] = count + 1;
    this.#insertedLeaf = this.leaf;
    this.#insertedPosition = position;
  }

  /** A leaf whose prefix is its own keys' takes a key that may not have it. */
  #narrowPrefix(bytes: Uint8Array, start: number, end: number): void {
    const words = this.#leaves.words(this.leaf);
    const base = this.#leaves.base(this.leaf);
    const ref = this.#keys.newest.get(words[base]! & ID_MASK);
    const prefix = words[base + LEAF_PREFIX]!;
    const common = commonPrefix(
      bytes,
      start,
      Math.min(end, start + prefix),
      this.#keys.bytesOf(ref),
      this.#keys.keyStartOf(ref),
      prefix,
    );
    if (common === prefix) return;
    words[base + LEAF_PREFIX] = common;
    words[base + LEAF_CHECKED] = common > 0 ? 1 : 0;
    this.#digestLeaf(this.leaf);
  }

  /** Parts the full leaf that the path leads to, and goes to the half in which the key belongs. */
  #splitFor(bytes: Uint8Array, start: number, end: number): void {
    const left = this.leaf;
    const isSequence =
      this.position === FANOUT && (left === this.#lastLeaf || this.#followsInsertion(left, this.position));
    // A sequence leaves full leaves behind and goes on in an empty one.
    const splitAt = isSequence ? FANOUT : HALF;
    const right = this.#leaves.allocate();
    const words = this.#leaves.words(left);
    const base = this.#leaves.base(left);
    const rightWords = this.#leaves.words(right);
    const rightBase = this.#leaves.base(right);
    const lastId = words[base + splitAt - 1]! & ID_MASK;
    const separator = isSequence
      ? this.#separatorAfter(lastId, bytes, start, end)
      : this.#separatorBetween(lastId, words[base + splitAt]! & ID_MASK);
    // The key to come is counted on the way already, so that it moves with the keys of its side.
    let movedLive = this.#separators.compare(separator, bytes, start, end, 0) <= 0 ? 1 : 0;
    for (let i = splitAt; i < FANOUT; i++) {
      rightWords[rightBase + i - splitAt] = words[base + i]!;
      rightWords[rightBase + LEAF_DIGEST + i - splitAt] = words[base + LEAF_DIGEST + i]!;
      movedLive += (words[base + i]! >>> 31) ^ 1;
    }
    // The bounds only become narrower, so that prefix and digests hold for both halves.
    rightWords[rightBase + LEAF_PREFIX] = words[base + LEAF_PREFIX]!;
    rightWords[rightBase + LEAF_CHECKED] = words[base + LEAF_CHECKED]!;
    words[base + LEAF_COUNT] = splitAt;
    rightWords[rightBase + LEAF_COUNT] = FANOUT - splitAt;
    this.#linkAfter(left, right);
    this.#insertChild(right, separator, movedLive, 0);
    if (!this.#isDistinct(left)) this.#refreshAt(left);
    if (!isSequence && !this.#isDistinct(right)) this.#refreshAt(right);
    this.#descend(bytes, start, end);
    if (isSequence) this.#refreshLeaf();
    this.#searchLeaf(bytes, start, end);
    assert(!this.found, "a split does not bring a key about");
  }

  /** Whether the leaf's digests tell its keys apart well enough: new ones cost a look at every record. */
  #isDistinct(leaf: number): boolean {
    const words = this.#leaves.words(leaf);
    const from = this.#leaves.base(leaf) + LEAF_DIGEST;
    const count = words[this.#leaves.base(leaf) + LEAF_COUNT]!;
    let equalCount = 0;
    for (let at = from + 1; at < from + count; at++) if (words[at] === words[at - 1]) equalCount++;
    return equalCount * 16 <= count;
  }

  #followsInsertion(leaf: number, position: number): boolean {
    return leaf === this.#insertedLeaf && position === this.#insertedPosition + 1;
  }

  #linkAfter(left: number, right: number): void {
    const next = this.nextOf(left);
    this.#leaves.words(left)[this.#leaves.base(left) + LEAF_NEXT] = right;
    this.#leaves.words(right)[this.#leaves.base(right) + LEAF_PREVIOUS] = left;
    this.#leaves.words(right)[this.#leaves.base(right) + LEAF_NEXT] = next;
    if (next === 0) this.#lastLeaf = right;
    else this.#leaves.words(next)[this.#leaves.base(next) + LEAF_PREVIOUS] = right;
  }

  #unlink(leaf: number): void {
    const words = this.#leaves.words(leaf);
    const base = this.#leaves.base(leaf);
    const next = words[base + LEAF_NEXT]!;
    const previous = words[base + LEAF_PREVIOUS]!;
    if (previous === 0) this.#firstLeaf = next;
    else this.#leaves.words(previous)[this.#leaves.base(previous) + LEAF_NEXT] = next;
    if (next === 0) this.#lastLeaf = previous;
    else this.#leaves.words(next)[this.#leaves.base(next) + LEAF_PREVIOUS] = previous;
    this.#leaves.release(leaf);
  }

  /** Takes the empty leaf at the end of the path out of the tree. */
  #unlinkLeaf(): void {
    this.#unlink(this.leaf);
    this.#removeChild(0);
  }

  /** Moves the next leaf's keys into this one when both are small and have the same parent. */
  #mergeWithNext(): boolean {
    const parent = this.#pathNode[0]!;
    const slot = this.#pathSlot[0]!;
    const parentWords = this.#inners.words(parent);
    const parentBase = this.#inners.base(parent);
    if (slot + 1 >= parentWords[parentBase + INNER_COUNT]!) return false;
    const left = this.leaf;
    const right = parentWords[parentBase + slot + 1]!;
    const count = this.countOf(left);
    const rightCount = this.countOf(right);
    if (count + rightCount > MERGE_COUNT_MAX) return false;
    const words = this.#leaves.words(left);
    const base = this.#leaves.base(left);
    const rightWords = this.#leaves.words(right);
    const rightBase = this.#leaves.base(right);
    for (let i = 0; i < rightCount; i++) words[base + count + i] = rightWords[rightBase + i]!;
    words[base + LEAF_COUNT] = count + rightCount;
    parentWords[parentBase + INNER_LIVE + slot]! += parentWords[parentBase + INNER_LIVE + slot + 1]!;
    parentWords[parentBase + INNER_LIVE + slot + 1] = 0;
    this.#unlink(right);
    this.#pathSlot[0] = slot + 1;
    this.#removeChild(0);
    return true;
  }

  /** Finds the way to a leaf, through its first key. */
  #descendTo(leaf: number): void {
    const ref = this.#keys.newest.get(this.entryOf(leaf, 0) & ID_MASK);
    const start = this.#keys.keyStartOf(ref);
    this.#descend(this.#keys.bytesOf(ref), start, start + this.#keys.keySizeOf(ref));
    assert(this.leaf === leaf, "a leaf's first key leads to it");
  }

  #refreshAt(leaf: number): void {
    this.#descendTo(leaf);
    this.#refreshLeaf();
  }

  /** Computes prefix and digests of the leaf at the end of the path. */
  #refreshLeaf(): void {
    const words = this.#leaves.words(this.leaf);
    const base = this.#leaves.base(this.leaf);
    const count = words[base + LEAF_COUNT]!;
    let prefix = 0;
    let isChecked = 0;
    if (this.#low !== 0 && this.#high !== 0) {
      prefix = this.#commonOfSeparators(this.#low, this.#high);
    } else if (count > 0) {
      prefix = this.#commonOfKeys(words[base]! & ID_MASK, words[base + count - 1]! & ID_MASK);
      isChecked = prefix > 0 ? 1 : 0;
    }
    words[base + LEAF_PREFIX] = prefix;
    words[base + LEAF_CHECKED] = isChecked;
    this.#digestLeaf(this.leaf);
  }

  #digestLeaf(leaf: number): void {
    const words = this.#leaves.words(leaf);
    const base = this.#leaves.base(leaf);
    const count = words[base + LEAF_COUNT]!;
    const prefix = words[base + LEAF_PREFIX]!;
    const keys = this.#keys;
    for (let i = 0; i < count; i++) {
      const ref = keys.newest.get(words[base + i]! & ID_MASK);
      const start = keys.keyStartOf(ref);
      words[base + LEAF_DIGEST + i] = digestAt(
        keys.bytesOf(ref),
        start + prefix,
        start + keys.keySizeOf(ref),
      );
    }
  }

  // ---- inner nodes

  /** Adds `child` behind the path's slot at this level; `movedLive` of that slot's live keys are the child's. */
  #insertChild(child: number, separator: SeparatorRef, movedLive: number, level: number): void {
    if (level === this.#height) return this.#growRoot(child, separator, movedLive);
    const node = this.#pathNode[level]!;
    const slot = this.#pathSlot[level]!;
    const words = this.#inners.words(node);
    const base = this.#inners.base(node);
    words[base + INNER_LIVE + slot]! -= movedLive;
    if (words[base + INNER_COUNT] === FANOUT)
      this.#splitInner(level, slot + 1 === FANOUT ? FANOUT - 1 : HALF, movedLive);
    // The split may have moved the slot to another node.
    this.#placeChild(this.#pathNode[level]!, this.#pathSlot[level]! + 1, child, separator, movedLive);
  }

  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  #placeChild(node: number, slot: number, child: number, separator: SeparatorRef, live: number): void {
    const words = this.#inners.words(node);
    const base = this.#inners.base(node);
    const count = words[base + INNER_COUNT]!;
    for (let from = base; from < base + INNER_COUNT; from += FANOUT) {
      for (let i = count; i > slot; i--) words[from + i] = words[from + i - 1]!;
    }
    words[base + slot] = child;
    words[base + INNER_SEPARATOR + slot] = separator;
    words[base + INNER_LIVE + slot] = live;
    words[base + INNER_COUNT] = count + 1;
    this.#refreshInner(node, slot);
  }

  /** Moves the children from `splitAt` on to a new node beside it, and the path with them. */
  #splitInner(level: number, splitAt: number, pendingLive: number): void {
    const node = this.#pathNode[level]!;
    const slot = this.#pathSlot[level]!;
    const right = this.#inners.allocate();
    const words = this.#inners.words(node);
    const base = this.#inners.base(node);
    const rightWords = this.#inners.words(right);
    const rightBase = this.#inners.base(right);
    // The new child's live keys belong to the side it will be placed on, and to no child yet.
    let movedLive = slot >= splitAt ? pendingLive : 0;
    for (let i = splitAt; i < FANOUT; i++) {
      for (let column = 0; column < INNER_COUNT; column += FANOUT) {
        rightWords[rightBase + column + i - splitAt] = words[base + column + i]!;
      }
      movedLive += words[base + INNER_LIVE + i]!;
    }
    const separator = words[base + INNER_SEPARATOR + splitAt]!;
    rightWords[rightBase + INNER_SEPARATOR] = 0;
    words[base + INNER_COUNT] = splitAt;
    rightWords[rightBase + INNER_COUNT] = FANOUT - splitAt;
    this.#refreshInner(node);
    this.#refreshInner(right);
    this.#insertChild(right, separator, movedLive, level + 1);
    if (slot < splitAt) return;
    this.#pathNode[level] = right;
    this.#pathSlot[level] = slot - splitAt;
  }

  #growRoot(child: number, separator: SeparatorRef, movedLive: number): void {
    assert(this.#height < DEPTH_MAX, "the tree is not deeper than its path");
    const root = this.#inners.allocate();
    const words = this.#inners.words(root);
    const base = this.#inners.base(root);
    words[base] = this.#root;
    words[base + INNER_LIVE] = this.liveCount - movedLive;
    words[base + INNER_COUNT] = 1;
    this.#root = root;
    this.#height++;
    this.#placeChild(root, 1, child, separator, movedLive);
  }

  /** Takes the child at the path's slot out of its parent; a parent without children goes too. */
  #removeChild(level: number): void {
    const node = this.#pathNode[level]!;
    const slot = this.#pathSlot[level]!;
    const words = this.#inners.words(node);
    const base = this.#inners.base(node);
    const count = words[base + INNER_COUNT]! - 1;
    assert(words[base + INNER_LIVE + slot] === 0, "a child with live keys is not removed");
    if (count === 0) return this.#removeInner(level);
    // Slot 0 has no separator: if it goes, its successor loses its own.
    this.#separators.release(words[base + INNER_SEPARATOR + Math.max(slot, 1)]!);
    for (let column = 0; column < INNER_COUNT; column += FANOUT) {
      for (let i = slot; i < count; i++) words[base + column + i] = words[base + column + i + 1]!;
    }
    words[base + INNER_SEPARATOR] = 0;
    words[base + INNER_COUNT] = count;
    this.#refreshInner(node);
    while (this.#height > 0) {
      const rootWords = this.#inners.words(this.#root);
      const rootBase = this.#inners.base(this.#root);
      if (rootWords[rootBase + INNER_COUNT] !== 1) return;
      this.#inners.release(this.#root);
      this.#root = rootWords[rootBase]!;
      this.#height--;
    }
  }

  #removeInner(level: number): void {
    this.#inners.release(this.#pathNode[level]!);
    if (level + 1 < this.#height) return this.#removeChild(level + 1);
    // It was the root: the tree is empty, and starts again with one leaf.
    this.#height = 0;
    this.#root = this.#firstLeaf = this.#lastLeaf = this.#leaves.allocate();
  }

  /** Makes a node's prefix and digests; when only the child in slot `placed` is new (not 0), no more of them than are needed. */
  #refreshInner(node: number, placed = 0): void {
    const words = this.#inners.words(node);
    const base = this.#inners.base(node);
    const count = words[base + INNER_COUNT]!;
    const from = base + INNER_SEPARATOR;
    const separators = this.#separators;
    const prefix = count > 1 ? this.#commonOfSeparators(words[from + 1]!, words[from + count - 1]!) : 0;
    // As long as the prefix stays, so do the other digests, which have moved with their children.
    const isKept = placed > 0 && count > 2 && prefix === words[base + INNER_PREFIX];
    words[base + INNER_PREFIX] = prefix;
    const end = isKept ? placed + 1 : count;
    for (let i = isKept ? placed : 1; i < end; i++) {
      const ref = words[from + i]!;
      const start = separators.startOf(ref);
      words[base + INNER_DIGEST + i] = digestAt(
        separators.bytesOf(ref),
        start + prefix,
        start + separators.sizeOf(ref),
      );
    }
  }

  // ---- separators

  /** The shortest bytes above `left` and not above `right`, which are neighbours in this order. */
  #separatorBetween(left: number, right: number): SeparatorRef {
    const ref = this.#keys.newest.get(right);
    const start = this.#keys.keyStartOf(ref);
    return this.#separatorAfter(left, this.#keys.bytesOf(ref), start, start + this.#keys.keySizeOf(ref));
  }

  #separatorAfter(left: number, bytes: Uint8Array, start: number, end: number): SeparatorRef {
    const ref = this.#keys.newest.get(left);
    const common = commonPrefix(
      bytes,
      start,
      end,
      this.#keys.bytesOf(ref),
      this.#keys.keyStartOf(ref),
      this.#keys.keySizeOf(ref),
    );
    assert(start + common < end, "of two neighbours the right one is greater");
    return this.#separators.add(bytes, start, start + common + 1);
  }

  #commonOfSeparators(a: SeparatorRef, b: SeparatorRef): number {
    const separators = this.#separators;
    const start = separators.startOf(a);
    const end = start + separators.sizeOf(a);
    const other = separators.startOf(b);
    return commonPrefix(
      separators.bytesOf(a),
      start,
      end,
      separators.bytesOf(b),
      other,
      separators.sizeOf(b),
    );
  }

  #commonOfKeys(a: number, b: number): number {
    const keys = this.#keys;
    const aRef = keys.newest.get(a);
    const bRef = keys.newest.get(b);
    const start = keys.keyStartOf(aRef);
    const end = start + keys.keySizeOf(aRef);
    return commonPrefix(
      keys.bytesOf(aRef),
      start,
      end,
      keys.bytesOf(bRef),
      keys.keyStartOf(bRef),
      keys.keySizeOf(bRef),
    );
  }

  // ---- building

  /** Starts a new last leaf whose first key will be this one. */
  #buildNextLeaf(id: number): void {
    this.#descendLast();
    const left = this.leaf;
    const right = this.#leaves.allocate();
    this.#linkAfter(left, right);
    const separator = this.#separatorBetween(this.entryOf(left, this.countOf(left) - 1) & ID_MASK, id);
    this.#insertChild(right, separator, 0, 0);
  }
}

/** Four bytes from `at` on, the first one uppermost; zeros behind `end`. */
function digestAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) {
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
  let digest = 0;
  for (let i = 0; i < 4; i++) digest = (digest << 8) | (at + i < end ? bytes[at + i]! : 0);
  return digest >>> 0;
}

/** Order of `bytes[start, end)` against `prefix` bytes of another array: 0 if it begins with them. */
// oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
function comparePrefix(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: Uint8Array,
  otherStart: number,
  prefix: number,
): number {
  const length = Math.min(prefix, end - start);
  for (let i = 0; i < length; i++) {
    const difference = bytes[start + i]! - other[otherStart + i]!;
    if (difference !== 0) return difference;
  }
  return length === prefix ? 0 : -1;
}

/** How many bytes `bytes[start, end)` has in common with the `otherSize` bytes from `otherStart` on. */
// oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
function commonPrefix(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: Uint8Array,
  otherStart: number,
  otherSize: number,
): number {
  const length = Math.min(end - start, otherSize);
  let i = 0;
  while (i < length && bytes[start + i] === other[otherStart + i]) i++;
  return i;
}
