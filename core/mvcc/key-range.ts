// The range that key and range_end of a request mean, and the walk over it.
//
//   range_end absent    the key alone
//   range_end "\0"      from the key on
//   otherwise           [key, range_end); empty when range_end is not above the key

import { compareBytes } from "../base/bytes.ts";
import type { NumberList } from "./column.ts";
import { DELETED_BIT, ID_MASK } from "./key-tree.ts";
import type { RecordRef } from "./record.ts";
import { RecordView } from "./record.ts";
import type { Store } from "./store.ts";

/** Set with `set`, used for one walk. */
export class KeyRange {
  bytes: Uint8Array = new Uint8Array(0);
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  isSingle = false;
  hasNoEnd = false;

  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  set(bytes: Uint8Array, keyStart: number, keyEnd: number, rangeEndStart: number, rangeEndEnd: number): void {
    this.bytes = bytes;
    this.keyStart = keyStart;
    this.keyEnd = keyEnd;
    this.rangeEndStart = rangeEndStart;
    this.rangeEndEnd = rangeEndEnd;
    this.isSingle = rangeEndEnd === rangeEndStart;
    this.hasNoEnd = rangeEndEnd - rangeEndStart === 1 && bytes[rangeEndStart] === 0;
  }

  /** Whether a key lies in a range that is not single. */
  includes(bytes: Uint8Array, start: number, end: number): boolean {
    if (compareBytes(bytes, start, end, this.bytes, this.keyStart, this.keyEnd) < 0) return false;
    return (
      this.hasNoEnd || compareBytes(bytes, start, end, this.bytes, this.rangeEndStart, this.rangeEndEnd) < 0
    );
  }

  get isEmpty(): boolean {
    if (this.isSingle || this.hasNoEnd) return false;
    return (
      compareBytes(
        this.bytes,
        this.keyStart,
        this.keyEnd,
        this.bytes,
        this.rangeEndStart,
        this.rangeEndEnd,
      ) >= 0
    );
  }
}

/** How many keys of the range there are at the current revision (changes of an open one included). */
export function countLive(store: Store, range: KeyRange): number {
  if (range.isSingle) return store.findLive(range.bytes, range.keyStart, range.keyEnd) === 0 ? 0 : 1;
  if (range.isEmpty) return 0;
  const { tree } = store;
  const below = tree.rank(range.bytes, range.keyStart, range.keyEnd);
  if (range.hasNoEnd) return tree.liveCount - below;
  return tree.rank(range.bytes, range.rangeEndStart, range.rangeEndEnd) - below;
}

/** Appends the newest versions of the range's first `countMax` keys, in key order. */
export function collectLive(store: Store, range: KeyRange, countMax: number, refs: NumberList): void {
  if (range.isSingle) {
    const ref = store.findLive(range.bytes, range.keyStart, range.keyEnd);
    if (ref !== 0) refs.push(ref);
    return;
  }
  if (range.isEmpty) return;
  const { tree } = store;
  const { newest } = store.keys;
  seekEnd(store, range);
  const lastLeaf = tree.leaf;
  const lastPosition = tree.position;
  tree.seek(range.bytes, range.keyStart, range.keyEnd);
  let { leaf, position } = tree;
  for (let left = countMax; ;) {
    const isLast = leaf === lastLeaf;
    const words = tree.leafWords(leaf);
    const base = tree.leafBase(leaf);
    const to = isLast ? lastPosition : tree.countOf(leaf);
    for (; position < to; position++) {
      const entry = words[base + position]!;
      if ((entry & DELETED_BIT) !== 0) continue;
      if (left-- === 0) return;
      refs.push(newest.get(entry));
    }
    if (isLast) return;
    leaf = tree.nextOf(leaf);
    position = 0;
  }
}

/** Appends the versions, at an older revision, of the first `countMax` keys that the range had then, in key order. */
export function collectAt(
  store: Store,
  range: KeyRange,
  revision: number,
  options: { readonly countMax: number; readonly refs: NumberList },
): void {
  const { countMax, refs } = options;
  if (countMax === 0) return;
  if (range.isSingle) {
    const ref = store.findAt(range.bytes, range.keyStart, range.keyEnd, revision);
    if (ref !== 0) refs.push(ref);
    return;
  }
  walkAt(store, range, revision, (ref) => {
    refs.push(ref);
    return refs.length < countMax;
  });
}

/**
 * How many keys the range had at an older revision. From today's count and the changes since, when these are few (the
 * next page of a list is asked for at the revision of the first); else by a walk over the range.
 */
export function countAt(store: Store, range: KeyRange, revision: number): number {
  if (range.isSingle) return store.findAt(range.bytes, range.keyStart, range.keyEnd, revision) === 0 ? 0 : 1;
  const count = countLive(store, range);
  const difference = differenceSince(store, range, { revision, recordCountMax: store.tree.keyCount / 4 });
  if (difference !== undefined) return count + difference;
  let walked = 0;
  walkAt(store, range, revision, () => {
    walked++;
    return true;
  });
  return walked;
}

/** Keys that the range had at a revision less those that it has; undefined when more records would have to be read. */
function differenceSince(
  store: Store,
  range: KeyRange,
  since: { readonly revision: number; readonly recordCountMax: number },
): number | undefined {
  let difference = 0;
  let left = since.recordCountMax;
  let ref = 0;
  const { revisions, keys } = store;
  const view = new RecordView();
  for (let next = since.revision + 1; ref === 0 && next < revisions.next; next++) ref = revisions.first(next);
  for (; ref !== 0; ref = store.nextRecord(ref)) {
    if (left-- <= 0) return undefined;
    const previous = store.previousOf(ref);
    // Every changed key is looked at once, at its first change.
    if (previous !== 0 && store.modRevisionOf(previous) > since.revision) continue;
    store.load(ref, view);
    if (!range.includes(view.bytes, view.keyStart, view.keyEnd)) continue;
    const existed = previous !== 0 && !store.isTombstone(previous);
    const exists = !store.isTombstone(keys.newest.get(view.keyId));
    if (existed !== exists) difference += existed ? 1 : -1;
  }
  return difference;
}

/** Calls `visit` with the version of each key of the range at a revision, in key order, while it says true. */
function walkAt(store: Store, range: KeyRange, revision: number, visit: (ref: RecordRef) => boolean): void {
  if (range.isEmpty) return;
  const { tree } = store;
  seekEnd(store, range);
  const lastLeaf = tree.leaf;
  const lastPosition = tree.position;
  tree.seek(range.bytes, range.keyStart, range.keyEnd);
  let { leaf, position } = tree;
  for (;;) {
    const isLast = leaf === lastLeaf;
    const words = tree.leafWords(leaf);
    const base = tree.leafBase(leaf);
    const to = isLast ? lastPosition : tree.countOf(leaf);
    for (; position < to; position++) {
      const ref = store.versionAt(words[base + position]! & ID_MASK, revision);
      if (ref !== 0 && !visit(ref)) return;
    }
    if (isLast) return;
    leaf = tree.nextOf(leaf);
    position = 0;
  }
}

function seekEnd(store: Store, range: KeyRange): void {
  if (range.hasNoEnd) store.tree.seekEnd();
  else store.tree.seek(range.bytes, range.rangeEndStart, range.rangeEndEnd);
}
