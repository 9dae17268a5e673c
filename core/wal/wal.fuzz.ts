// Bytes of any kind: readers say no, they never run away, read outside, or throw anything but WalError.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { Prng } from "../base/prng.ts";
import {
  decodeEntry,
  decodeMetadata,
  decodeSnapshotMarker,
  decodeState,
  EntryFields,
  StateFields,
} from "./payload.ts";
import { RecordReader } from "./record.ts";
import { recoverWal } from "./recover.ts";
import { Wal } from "./wal.ts";
import { WalError } from "./wal-error.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
const DIRECTORY = "wal";

test("frames and payloads of any bytes stay within their bounds", () => {
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, start) => {
    const reader = new RecordReader();
    const from = Math.min(start, bytes.length);
    if (reader.read(bytes, from, bytes.length) === "record") {
      assert.ok(reader.dataStart >= from && reader.dataEnd <= bytes.length && reader.next <= bytes.length);
      assert.ok(reader.dataStart <= reader.dataEnd && reader.next > from);
    }
    const entry = new EntryFields();
    if (decodeEntry(bytes, from, bytes.length, entry))
      assert.ok(entry.dataEnd <= bytes.length && entry.index > 0);
    decodeState(bytes, from, bytes.length, new StateFields());
    decodeMetadata(bytes, from, bytes.length);
    decodeSnapshotMarker(bytes, from, bytes.length);
  });
  fc.assert(property, { seed: SEED, numRuns: 20_000 });
});

/** A small log to damage. */
function makeDisk(): { disk: SimulatedDisk; segment: string; end: number } {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk({ clock, prng: new Prng(SEED) });
  const options = { disk, directory: DIRECTORY, segmentSizeBytes: 8192, clock };
  const identity = {
    metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
    logId: { hi: 5, lo: 6 },
  };
  const wal = Wal.create(options, identity);
  for (let index = 1; index <= 20; index++) {
    wal.beginBatch({ term: index, vote: { hi: 0, lo: 1 }, commit: index - 1 });
    wal.entry(0, index, index, new Uint8Array(index).fill(index), 0, index);
    wal.commitBatch(() => {});
  }
  const segment = `${DIRECTORY}/${disk.list(DIRECTORY)[0]!}`;
  return {
    disk,
    segment,
    end: recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!.tail.replay.offset,
  };
}

test("a log with any bytes written over it is refused or read as it was up to there, never anything else", () => {
  const { disk, segment, end } = makeDisk();
  const property = fc.property(
    fc.nat(end + 200),
    fc.uint8Array({ minLength: 1, maxLength: 64 }),
    (offset, bytes) => {
      const damaged = disk.copy();
      const file = damaged.open(segment, "log");
      file.write(bytes, 0, bytes.length, offset);
      try {
        const recovery = recoverWal({ disk: damaged, directory: DIRECTORY, checkpointIndex: 0 })!;
        for (let index = 1; index <= recovery.lastIndex; index++)
          assert.equal(recovery.entries.log.term(index), index);
      } catch (error) {
        if (!(error instanceof WalError)) throw error;
      }
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 2_000 });
});
