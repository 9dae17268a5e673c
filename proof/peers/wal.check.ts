/** etcd's own reader on the logs that we write: whole, over several segments, truncated, and after a torn tail. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { crc32 } from "node:zlib";
import { recoverWal } from "../../core/wal/recover.ts";
import { Wal } from "../../core/wal/wal.ts";
import { systemClock } from "../../io/clock.ts";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { claim, runPeer } from "./conversation.ts";
import { findPeer } from "./peers.ts";

type Found = {
  readonly member: string;
  readonly cluster: string;
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
  readonly entries: number;
  readonly first: number;
  readonly last: number;
  readonly hash: number;
  readonly snapshots: number;
};

const directory = "member/wal";
const root = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-walcheck-"));
const program = findPeer("walcheck");

class Log {
  readonly #disk: NodeDisk;
  readonly #wal: Wal;
  readonly #entries = new Map<number, { type: number; term: number; data: Buffer }>();

  constructor(disk: NodeDisk) {
    this.#disk = disk;
    const options = { disk, directory, segmentSizeBytes: 64 * 1024, clock: systemClock };
    this.#wal = Wal.create(options, {
      metadata: {
        memberId: { hi: 0x8e9e05c5, lo: 0x2164694d },
        clusterId: { hi: 0xcdf81819, lo: 0x4e3a8c32 },
      },
      logId: { hi: 7, lo: 7 },
    });
  }

  async append(first: number, count: number, term: number): Promise<void> {
    for (let index = first; index < first + count; index++) {
      const data = Buffer.from(index % 7 === 0 ? "" : `entry ${index} of term ${term} `.repeat(index % 40));
      const commit = Math.max(0, first - 2);
      this.#wal.beginBatch({ term, vote: { hi: 0x8e9e05c5, lo: 0x2164694d }, commit });
      this.#wal.entry(index % 11 === 0 ? 1 : 0, term, index, data, 0, data.length);
      this.#entries.set(index, { type: index % 11 === 0 ? 1 : 0, term, data });
      await this.#committed();
    }
  }

  async checkpoint(index: number, term: number): Promise<void> {
    const confState = new Uint8Array([0x08, 1, 0x28, 0]);
    await new Promise<void>((resolve) => {
      if (this.#wal.saveSnapshotMarker({ index, term, confState }, () => resolve())) resolve();
    });
    this.#wal.truncateBefore(index + 1);
  }

  /** What etcd's reader finds, compared with what was written. */
  async check(first: number, last: number, args: readonly string[] = []): Promise<Found> {
    await this.#disk.settled();
    const said = await runPeer(program!, [path.join(root, directory), ...args]);
    assert.equal(said.exitCode, 0, said.stderr);
    const found = JSON.parse(said.stdout) as Found;
    assert.deepEqual([found.first, found.last, found.entries], [first, last, last - first + 1]);
    let hash = 0;
    for (let index = first; index <= last; index++) {
      const { type, term, data } = this.#entries.get(index)!;
      hash = crc32(data, crc32(`${type} ${term} ${index} `, hash));
    }
    assert.equal(found.hash, hash, "the entries' hash");
    assert.deepEqual(
      [found.member, found.cluster, found.vote],
      ["8e9e05c52164694d", "cdf818194e3a8c32", "8e9e05c52164694d"],
    );
    return found;
  }

  lastSegment(): string {
    const names = this.#disk.list(directory).filter((name) => name.endsWith(".wal"));
    return path.join(root, directory, names.at(-1)!);
  }

  #committed(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#wal.commitBatch((error) => (error === undefined ? resolve() : reject(error)))) resolve();
    });
  }
}

if (program === undefined) {
  console.log("left out - walcheck: not built, because Go 1.24 or newer is not here");
} else {
  const disk = new NodeDisk(root);
  const log = new Log(disk);
  await claim(
    "wal: etcd reads what we wrote over several segments, with entries that were overwritten",
    async () => {
      await log.append(1, 150, 2);
      await log.append(148, 60, 3);
      const found = await log.check(1, 207);
      assert.deepEqual([found.term, found.commit], [3, 146]);
    },
  );
  await claim(
    "wal: etcd finds the snapshot marker in a log whose start was given up and recycled",
    async () => {
      await log.append(208, 1, 3);
      await log.checkpoint(146, 2);
      await log.append(209, 300, 3);
      await log.check(147, 508, ["146", "2"]);
    },
  );
  await claim("wal: after the repair of a torn tail etcd reads up to it", async () => {
    await disk.settled();
    const recovery = recoverWal({ disk, directory, checkpointIndex: 146 })!;
    const handle = fs.openSync(log.lastSegment(), "r+");
    fs.writeSync(
      handle,
      Buffer.from([200, 1, 0, 0, 0, 0, 0, 0, 8, 2, 16, 77]),
      0,
      12,
      recovery.tail.replay.offset,
    );
    fs.closeSync(handle);
    const torn = recoverWal({ disk, directory, checkpointIndex: 146 })!;
    assert.notEqual(torn.tornTail, undefined);
    Wal.resume({ disk, directory, segmentSizeBytes: 64 * 1024, clock: systemClock }, torn).close();
    await log.check(147, 508, ["146", "2"]);
  });
  await disk.close();
}
fs.rmSync(root, { recursive: true, force: true });
