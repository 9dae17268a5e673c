import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import { EntryBatch, EntryCursor } from "./entry-batch.ts";
import { RaftLog } from "./log.ts";

interface Row {
  readonly term: number;
  readonly type: number;
  readonly data: string;
}

/** The slow obvious model: an array of everything, and where the log and the memory start. */
class Model {
  readonly rows: Row[] = [];
  compacted = 0;
  compactedTerm = 0;
  memoryFirst = 1;

  term(index: number): number {
    return index === 0 ? 0 : this.rows[index - 1]!.term;
  }
}

function payload(log: RaftLog, index: number): string {
  return Buffer.from(log.bytes(index).subarray(log.start(index), log.end(index))).toString();
}

const actions = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("append" as const),
        rise: fc.nat(1),
        size: fc.nat(90),
        conf: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const), at: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), at: fc.nat(100) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("trim" as const), at: fc.nat(100), bytes: fc.nat(500) }),
    },
  ),
  { maxLength: 200 },
);

test("the log equals the slow model over appends, truncations, compactions and evictions", () => {
  fc.assert(
    fc.property(actions, (steps) => {
      const log = new RaftLog({ arenaBytes: 100, compactedIndex: 0, compactedTerm: 0 });
      const model = new Model();
      let count = 0;
      for (const step of steps) {
        if (step.kind === "append") {
          const term =
            Math.max(1, model.term(model.rows.length)) + (step.rise === 1 && count % 5 === 0 ? 1 : 0);
          const data = `${++count}`.padEnd(step.size, ".");
          const bytes = Buffer.from(data);
          const type = step.conf && count % 7 === 0 ? 1 : 0;
          model.rows.push({ term, type, data });
          assert.equal(log.append(type, term, bytes, 0, bytes.length), model.rows.length);
        } else if (step.kind === "truncate") {
          const at = Math.max(model.memoryFirst - 1, step.at);
          if (at >= model.rows.length) continue;
          log.truncateAfter(at);
          model.rows.length = at;
        } else if (step.kind === "compact") {
          const at = Math.min(step.at, model.rows.length);
          if (at <= model.compacted) continue;
          log.compact(at);
          model.compacted = at;
          model.memoryFirst = Math.max(model.memoryFirst, at + 1);
        } else {
          log.trim(Math.min(step.at, model.rows.length), step.bytes);
          assert.ok(log.memoryFirst >= model.memoryFirst, "trimming never brings back");
          model.memoryFirst = log.memoryFirst;
        }
        compare(log, model);
      }
    }),
    { numRuns: 150 },
  );
});

function compare(log: RaftLog, model: Model): void {
  assert.equal(log.lastIndex, model.rows.length);
  assert.equal(log.compactedIndex, model.compacted);
  assert.equal(log.memoryFirst, model.memoryFirst);
  assert.equal(log.lastTerm, model.term(model.rows.length));
  let bytes = 0;
  for (let index = model.compacted; index <= model.rows.length; index++)
    assert.equal(log.term(index), model.term(index));
  for (let index = model.memoryFirst; index <= model.rows.length; index++) {
    assert.equal(payload(log, index), model.rows[index - 1]!.data);
    assert.equal(log.type(index), model.rows[index - 1]!.type);
    bytes += 12 + model.rows[index - 1]!.data.length;
  }
  assert.equal(log.memoryBytes, bytes);
  if (model.memoryFirst > model.rows.length) return;
  // What travels is what was appended.
  const writer = new ByteWriter(16);
  log.writeEntries(writer, model.memoryFirst, model.rows.length);
  const batch = new EntryBatch();
  batch.set(writer.bytes, 0, writer.position, model.rows.length - model.memoryFirst + 1);
  const cursor = new EntryCursor();
  cursor.reset(batch);
  for (let index = model.memoryFirst; cursor.next(); index++) {
    assert.equal(
      Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString(),
      model.rows[index - 1]!.data,
    );
    assert.equal(cursor.term, model.rows[index - 1]!.term);
  }
  assert.equal(cursor.end, writer.position);
}

function logOfTerms(terms: readonly number[]): RaftLog {
  const log = new RaftLog({ arenaBytes: 100, compactedIndex: 0, compactedTerm: 0 });
  for (const term of terms) log.append(0, term, new Uint8Array(0), 0, 0);
  return log;
}

test("lastIndexWithTermAtMost equals the slow model", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2), { maxLength: 20 }), fc.nat(22), fc.nat(20), (rises, index, term) => {
      let current = 1;
      const terms = rises.map((rise) => (current += rise));
      let expected = 0;
      for (let i = 1; i <= Math.min(index, terms.length); i++) if (terms[i - 1]! <= term) expected = i;
      assert.equal(logOfTerms(terms).lastIndexWithTermAtMost(index, term), expected);
    }),
  );
});

test("a log is up to date by its last term first, then by its length (Raft 5.4.1; R23)", () => {
  const log = logOfTerms([1, 2, 2]);
  assert.equal(log.isUpToDate(1, 3), true, "a later term beats a longer log");
  assert.equal(log.isUpToDate(9, 1), false, "a longer log of an older term does not");
  assert.equal(log.isUpToDate(3, 2), true);
  assert.equal(log.isUpToDate(2, 2), false);
});

test("lastWithin gives the longest run within the bytes, and always one entry", () => {
  const log = new RaftLog({ arenaBytes: 1000, compactedIndex: 0, compactedTerm: 0 });
  for (let i = 0; i < 10; i++) log.append(0, 1, new Uint8Array(88), 0, 88); // 100 bytes each
  assert.equal(log.lastWithin(1, 10, 350), 3);
  assert.equal(log.lastWithin(4, 10, 300), 6);
  assert.equal(log.lastWithin(4, 10, 1), 4);
  assert.equal(log.lastWithin(4, 10, 10_000), 10);
});

test("memory is freed with the entries, and steady traffic reuses it", () => {
  const log = new RaftLog({ arenaBytes: 1024, compactedIndex: 0, compactedTerm: 0 });
  const bytes = new Uint8Array(100);
  for (let i = 1; i <= 5000; i++) {
    log.append(0, 1, bytes, 0, 100);
    log.trim(i, 2048);
    assert.ok(log.memoryBytes <= 2048, "the tail is bounded");
    assert.ok(log.chunkCount <= 4, "chunks behind the tail are freed");
  }
});

test("an entry larger than a chunk gets one of its own", () => {
  const log = new RaftLog({ arenaBytes: 64, compactedIndex: 0, compactedTerm: 0 });
  const bytes = new Uint8Array(1000).fill(7);
  log.append(0, 1, new Uint8Array(3), 0, 3);
  log.append(0, 1, bytes, 0, 1000);
  log.append(0, 1, new Uint8Array(3), 0, 3);
  assert.equal(log.end(2) - log.start(2), 1000);
  assert.equal(log.bytes(2)[log.start(2)], 7);
});
