// Latency of a durable batch on a real disk: `npx tsx core/wal/wal.bench.ts [directory]`. One caller, one batch at a time;
// the rows of D4: one entry of 400 bytes, and a hundred. Compare with the bare write beneath it, taken in the same run.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { systemClock } from "../../io/clock.ts";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { recoverWal } from "./recover.ts";
import { Wal } from "./wal.ts";

const ENTRY_BYTES = 400;
const DIRECTORY = "member/wal";

function quantile(sorted: readonly number[], fraction: number): string {
  return `${(1000 * sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))]!).toFixed(0)} us`;
}

function report(name: string, times: number[]): void {
  times.sort((a, b) => a - b);
  const figures = [0.5, 0.9, 0.99]
    .map((fraction) => `p${fraction * 100} ${quantile(times, fraction)}`)
    .join("  ");
  process.stdout.write(`${name.padEnd(44)} ${figures}  max ${quantile(times, 1)}\n`);
}

async function measureBatches(
  wal: Wal,
  options: { entryCount: number; batchCount: number },
): Promise<number[]> {
  const data = new Uint8Array(ENTRY_BYTES).map((_, i) => i * 7);
  const times: number[] = [];
  for (let batch = 0; batch < options.batchCount; batch++) {
    const start = performance.now();
    wal.beginBatch(undefined);
    for (let i = 0; i < options.entryCount; i++) wal.entry(0, 1, wal.lastIndex + 1, data, 0, data.length);
    await new Promise<void>((resolve, reject) => {
      if (wal.commitBatch((error) => (error === undefined ? resolve() : reject(error)))) resolve();
    });
    times.push(performance.now() - start);
    wal.onDeadline(performance.now());
  }
  return times;
}

function measureBare(root: string, direct: boolean): number[] {
  const disk = new NodeDisk(root, { direct });
  const file = disk.create(`bare-${direct}`, "log");
  const block = disk.allocate(4096);
  file.truncate(1 << 24);
  for (let offset = 0; offset < 1 << 24; offset += 4096) file.write(block, 0, 4096, offset);
  file.sync();
  const times: number[] = [];
  const alignment = disk.alignmentBytes;
  const size = Math.ceil(488 / alignment) * alignment;
  for (let i = 0; i < 1000; i++) {
    const start = performance.now();
    file.write(block, 0, size, alignment * Math.floor((i * 488) / alignment));
    file.sync();
    times.push(performance.now() - start);
  }
  file.close();
  return times;
}

const base = process.argv[2] ?? os.tmpdir();
const root = fs.mkdtempSync(path.join(base, "holdfast-wal-bench-"));
try {
  for (const direct of [true, false]) {
    const name = direct ? "O_DIRECT|O_DSYNC" : "O_DSYNC";
    report(`bare ${name}`, measureBare(root, direct));
    const disk = new NodeDisk(path.join(root, name), { direct });
    const options = { disk, directory: DIRECTORY, segmentSizeBytes: 64_000_000, clock: systemClock };
    const identity = {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: 5, lo: 6 },
    };
    const wal = Wal.create(options, identity);
    report(`${name}, batch of 1`, await measureBatches(wal, { entryCount: 1, batchCount: 3000 }));
    report(`${name}, batch of 100`, await measureBatches(wal, { entryCount: 100, batchCount: 300 }));
    process.stdout.write(`  ${JSON.stringify(wal.stats)}\n`);
    wal.close();
    const start = performance.now();
    const recovery = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!;
    process.stdout.write(
      `  recovery of ${recovery.lastIndex} entries: ${(performance.now() - start).toFixed(0)} ms\n`,
    );
    await disk.close();
  }
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}
