// Checks a store against itself: what the indexes say of each other and of the records. It walks everything, so it is for
// tests and the simulator, not for a member that serves.

import { assert } from "../base/assert.ts";
import { DELETED_BIT, ID_MASK } from "./key-tree.ts";
import {
  FLAG_DEAD,
  FLAG_TOMBSTONE,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
  modRevisionAt,
  recordSizeBytesAt,
  subRevisionAt,
} from "./record.ts";
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
  for (let ref = store.keys.newest.get(id); ref !== 0;) {
    const words = store.wordsOf(ref);
    const at = store.slabs.wordOf(ref);
    assert(words[at] === id, "a record's key is the one that leads to it");
    const mod = modRevisionAt(words, at);
    const sub = subRevisionAt(words, at);
    assert(mod < newerMod || (mod === newerMod && sub < newerSub), "versions go back in time");
    assert((words[at + WORD_KEY_SIZE]! & FLAG_DEAD) === 0, "no dead record is led to");
    newerMod = mod;
    newerSub = sub;
    ref = words[at + WORD_PREVIOUS]!;
  }
}

function verifySegments(store: Store): void {
  let sizeBytes = 0;
  let liveBytes = 0;
  for (const segment of store.slabs.segments) {
    if (segment === undefined) continue;
    let live = 0;
    let offset = SEGMENT_HEAD_BYTES;
    while (offset < segment.usedBytes) {
      const size = recordSizeBytesAt(segment.words, offset >>> 2);
      if ((segment.words[(offset >>> 2) + WORD_KEY_SIZE]! & FLAG_DEAD) === 0) live += size;
      offset += size;
    }
    assert(offset === segment.usedBytes, "records fill a segment without gaps");
    assert(live === segment.liveBytes, "a segment knows its live bytes");
    sizeBytes += segment.usedBytes;
    liveBytes += live;
  }
  assert(sizeBytes === store.sizeBytes, "the sizes of segments add up");
  assert(liveBytes === store.sizeInUseBytes, "the live bytes of segments add up");
}

function verifySurvivors(store: Store): void {
  const { survivors, survivorsDead, base } = store.revisions;
  let deadCount = 0;
  let previousMod = 0;
  let previousSub = 0;
  for (let i = 0; i < survivors.length; i++) {
    const words = store.wordsOf(survivors.get(i));
    const at = store.slabs.wordOf(survivors.get(i));
    const mod = modRevisionAt(words, at);
    const sub = subRevisionAt(words, at);
    assert(mod > previousMod || (mod === previousMod && sub > previousSub), "survivors are in order");
    assert(mod < base, "survivors lie below the base");
    const flags = words[at + WORD_KEY_SIZE]!;
    if ((flags & FLAG_DEAD) !== 0) deadCount++;
    else assert((flags & FLAG_TOMBSTONE) === 0, "no tombstone survives");
    previousMod = mod;
    previousSub = sub;
  }
  assert(deadCount === survivorsDead, "dead survivors are counted");
}
