// A log on a simulated disk, for tests.

import assert from "node:assert/strict";
import { SimulatedClock } from "./clock.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "./disk.ts";
import type { DiskError } from "../../core/base/ports.ts";
import { Prng } from "../../core/base/prng.ts";
import type { HardState } from "../../core/wal/payload.ts";
import { recoverWal, type Recovery } from "../../core/wal/recover.ts";
import { Wal, type WalOptions } from "../../core/wal/wal.ts";

export const DIRECTORY = "member/wal";
export const NEVER = (): void => assert.fail("a batch that is durable at once has no callback");

export class LogWorld {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly options: WalOptions;
  wal: Wal;

  constructor(options: Partial<SimulatedDiskOptions> & { segmentSizeBytes?: number } = {}) {
    const { clock } = this;
    this.disk = new SimulatedDisk({ clock, prng: new Prng(1), ...options });
    this.options = {
      disk: this.disk,
      directory: DIRECTORY,
      segmentSizeBytes: options.segmentSizeBytes ?? 1 << 20,
      clock,
    };
    this.wal = Wal.create(this.options, {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: 5, lo: 6 },
    });
  }

  recover(checkpointIndex = 0): Recovery {
    // As a restart finds it: on the disk in use names may be changing.
    return recoverWal({ disk: this.disk.copy(), directory: DIRECTORY, checkpointIndex })!;
  }

  /** One batch with the entries from `first` on, each its index as data. */
  append(
    first: number,
    count: number,
    options: { term?: number; done?: (error: DiskError | undefined) => void; state?: HardState } = {},
  ): boolean {
    const { term = 1, done = NEVER, state } = options;
    this.wal.beginBatch(state);
    for (let index = first; index < first + count; index++) {
      const data = dataOf(index, term);
      this.wal.entry(0, term, index, data, 0, data.length);
    }
    return this.wal.commitBatch(done);
  }

  /** Batches of one large entry. */
  appendLarge(count: number): void {
    const data = new Uint8Array(50_000).fill(3);
    for (let i = 0; i < count; i++) {
      this.wal.beginBatch(undefined);
      this.wal.entry(0, 1, this.wal.lastIndex + 1, data, 0, data.length);
      this.wal.commitBatch(() => {});
    }
  }

  /** Syncs take so long from now on that the log goes to the background. */
  toBackground(): void {
    let index = this.wal.lastIndex;
    for (let i = 0; i < 7; i++) assert.ok(this.append(++index, 1));
  }

  idle(): void {
    runIdle(this.clock, this.wal);
  }
}

/** Lets everything end that is under way in the background, and what is due then. */
export function runIdle(clock: SimulatedClock, wal: Wal): void {
  while (clock.step());
  for (let i = 0; i < 200 && wal.nextDeadlineMs() !== Infinity; i++) {
    clock.runUntil(wal.nextDeadlineMs());
    wal.onDeadline(clock.now());
    while (clock.step());
  }
}

export function sparesOf(disk: SimulatedDisk): string[] {
  return disk.list(DIRECTORY).filter((name) => name.startsWith("spare-"));
}

export function sizeOf(disk: SimulatedDisk, name: string): number {
  return disk.content(`${DIRECTORY}/${name}`).length;
}

export function dataOf(index: number, term: number): Uint8Array {
  return Buffer.from(`entry ${index} of term ${term} `.repeat(1 + (index % 20)));
}
