// Checks a store against itself: what the indexes say of each other and of the records. It walks everything, so it is for
// tests and the simulator, not for a member that serves.

import { assert } from "../base/assert.ts";
import { DELETED_BIT, ID_MASK } from "./key-tree.ts";
import { compareBytes } from "../base/bytes.ts";
import type { RecordRef } from "./record.ts";
import {
  FLAG_TOMBSTONE,
  WORD_KEY_SIZE,
  WORD_VALUE_SIZE,
  modRevisionAt,
  recordSizeBytesAt,
  subRevisionAt,
} from "./record.ts";
import type { Segment } from "./slabs.ts";
import { SEGMENT_HEAD_BYTES } from "./slabs.ts";
import type { Store } from "./store.ts";

/** Throws AssertionError for the first thing that does not fit. No compaction may be under way. */
export function verifyStore(store: Store): void {
  verifyKeys(store);
  verifySegments(store);
  verifySurvivors(store);
}

function verifyKeys(store: Store): void {
  const { tree, keys, table } = store;
  let previousId = -1;
  let keyCount = 0;
  let liveCount = 0;
  tree.seekFirst();
  for (let { leaf } = tree; leaf !== 0; leaf = tree.nextOf(leaf)) {
    for (let position = 0; position < tree.countOf(leaf); position++) {
      const entry = tree.entryOf(leaf, position);
      const id = entry & ID_MASK;
      const ref = keys.newest.get(id);
      assert(ref !== 0, "a key of the tree has a record");
      if (previousId >= 0) assert(store.compareKeys(previousId, id) < 0, "keys of the tree are in order");
      assert(
        store.isTombstone(ref) === ((entry & DELETED_BIT) !== 0),
        "a key is marked as deleted when it is",
      );
      const start = keys.keyStartOf(ref);
      const end = start + keys.keySizeOf(ref);
      assert(store.findKey(keys.bytesOf(ref), start, end) === id, "the table finds each key of the tree");
      const below = tree.rank(keys.bytesOf(ref), start, end);
      assert(below === liveCount, "as many live keys are counted below a key as there are");
      verifyVersions(store, id);
      previousId = id;
      keyCount++;
      if ((entry & DELETED_BIT) === 0) liveCount++;
    }
  }
  assert(keyCount === tree.keyCount, "the tree knows how many keys it has");
  assert(keyCount === table.count, "the table has the tree's keys");
  assert(liveCount === tree.liveCount, "the tree knows how many keys live");
}

/** From newest to oldest, none above the store's revision, all of the same key. */
function verifyVersions(store: Store, id: number): void {
  let newerMod = store.revision;
  let newerSub = Number.MAX_SAFE_INTEGER;
  const newest = store.keys.newest.get(id);
  assert(store.coldOf(newest) === undefined, "a key's newest record is in memory");
  const original = store.originalOf(newest);
  if (original !== newest) verifyCopy(store, newest, original);
  for (let ref = original; ref !== 0; ref = store.previousOf(ref)) {
    const { words, at } = store.locate(ref);
    assert(words[at] === id, "a record's key is the one that leads to it");
    const mod = modRevisionAt(words, at);
    const sub = subRevisionAt(words, at);
    assert(mod === store.modRevisionOf(ref), "what is kept of a cold record is what its file says");
    assert(mod < newerMod || (mod === newerMod && sub < newerSub), "versions go back in time");
    assert(!store.isDead(ref), "no dead record is led to");
    newerMod = mod;
    newerSub = sub;
  }
}

function verifyCopy(store: Store, copy: RecordRef, original: RecordRef): void {
  assert(store.coldOf(original) !== undefined, "a copy stands in for a cold record");
  const size = store.recordSizeBytes(original);
  assert(store.recordSizeBytes(copy) === size, "a copy is as long as its record");
  const { bytes, at } = store.locate(original);
  const start = (at + WORD_VALUE_SIZE) * 4;
  const copied = store.slabs.bytes[store.slabs.slotOf(copy)]!;
  const copyStart = (store.slabs.wordOf(copy) + WORD_VALUE_SIZE) * 4;
  const length = size - WORD_VALUE_SIZE * 4;
  const order = compareBytes(bytes, start, start + length, copied, copyStart, copyStart + length);
  assert(order === 0, "a copy says what its record says");
}

function verifySegments(store: Store): void {
  const { slabs } = store;
  let sizeBytes = 0;
  let liveBytes = 0;
  let memoryBytes = 0;
  let newestBytes = 0;
  for (const segment of slabs.segments) {
    if (segment === undefined) continue;
    if (segment.kind === "copies") assert(segment.liveBytes === 0, "what copies say is counted once");
    else {
      sizeBytes += segment.usedBytes;
      liveBytes += verifyLive(store, segment);
    }
    if (segment.cold === undefined) memoryBytes += segment.usedBytes;
    const newest = newestBytesIn(store, segment);
    assert(newest === segment.newestBytes, "a segment knows the bytes of newest records");
    newestBytes += newest;
  }
  assert(sizeBytes === store.sizeBytes, "the sizes of segments add up");
  assert(liveBytes === store.sizeInUseBytes, "the live bytes of segments add up");
  assert(memoryBytes === slabs.memoryBytes, "the segments in memory add up");
  assert(newestBytes === slabs.newestBytes, "the bytes of newest records add up");
}

function verifyLive(store: Store, segment: Segment): number {
  let live = 0;
  let offset = SEGMENT_HEAD_BYTES;
  while (offset < segment.usedBytes) {
    const ref = store.slabs.refAt(segment.slot, offset);
    const size = store.recordSizeBytes(ref);
    const { words, at } = store.locate(ref);
    assert(recordSizeBytesAt(words, at) === size, "the sizes of cold records are those of the file");
    const isTombstone = (words[at + WORD_KEY_SIZE]! & FLAG_TOMBSTONE) !== 0;
    assert(isTombstone === store.isTombstone(ref), "tombstones are known as such");
    if (!store.isDead(ref)) live += size;
    offset += size;
  }
  assert(offset === segment.usedBytes, "records fill a segment without gaps");
  assert(live === segment.liveBytes, "a segment knows its live bytes");
  return live;
}

function newestBytesIn(store: Store, segment: Segment): number {
  const { slabs, keys } = store;
  if (segment.cold !== undefined) return 0;
  let newest = 0;
  for (let offset = SEGMENT_HEAD_BYTES; offset < segment.usedBytes;) {
    const at = offset >>> 2;
    const size = recordSizeBytesAt(segment.words, at);
    const id = segment.words[at]!;
    if (id < keys.idCount && keys.newest.get(id) === slabs.refAt(segment.slot, offset)) newest += size;
    offset += size;
  }
  return newest;
}

function verifySurvivors(store: Store): void {
  const { survivors, survivorsDead, base } = store.revisions;
  let deadCount = 0;
  let previousMod = 0;
  let previousSub = 0;
  for (let i = 0; i < survivors.length; i++) {
    const ref = survivors.get(i);
    const { words, at } = store.locate(ref);
    const mod = modRevisionAt(words, at);
    const sub = subRevisionAt(words, at);
    assert(mod > previousMod || (mod === previousMod && sub > previousSub), "survivors are in order");
    assert(mod < base, "survivors lie below the base");
    if (store.isDead(ref)) deadCount++;
    else assert(!store.isTombstone(ref), "no tombstone survives");
    previousMod = mod;
    previousSub = sub;
  }
  assert(deadCount === survivorsDead, "dead survivors are counted");
}
