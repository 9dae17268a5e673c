// The log: what a durable batch costs, appended to our own log, to a plain file, and to databases used as a log. A
// contender returns when the batch is durable.

import * as fs from "node:fs";
import * as path from "node:path";
import { recoverWal } from "../../core/wal/recover.ts";
import { Wal } from "../../core/wal/wal.ts";
import { systemClock } from "../../io/clock.ts";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import { lmdbAt, levelAt, type LevelLike, rocksAt, sqliteAt } from "./databases.ts";
import { cpuUs, quantile, type Row } from "./measure.ts";

const ENTRY_BYTES = 400;
const PASSES_PER_ROUND = 12;
const WARM_UP_PASSES = 8;
const PLAIN_FILE_BYTES = 64 * 1024 * 1024;

interface LogContender {
  readonly name: string;
  /** Appends `count` entries and makes them durable. */
  append(count: number): Promise<void> | void;
  close(): Promise<void> | void;
}

export interface LogOptions {
  readonly packages: string;
  readonly missing: ReadonlySet<string>;
  readonly rounds: number;
  /** An empty directory on the disk that is meant. */
  readonly directory: string;
}

const entry = new Uint8Array(ENTRY_BYTES).map((_, i) => i * 7);

/** Short turns, many of them: the disk's mood changes within seconds, and every contender should see all of its moods. */
export async function measureLog(options: LogOptions): Promise<Row[]> {
  const contenders = await open(options);
  try {
    const samples = contenders.map(() => ({ one: new Sample(1), hundred: new Sample(100) }));
    for (let pass = -WARM_UP_PASSES; pass < options.rounds * PASSES_PER_ROUND; pass++) {
      for (const [i, contender] of contenders.entries()) {
        const { one, hundred } = samples[i]!;
        await one.run(contender, { batchCount: 20, counts: pass >= 0 });
        await hundred.run(contender, { batchCount: 5, counts: pass >= 0 });
      }
    }
    return contenders.map(({ name }, i) => ({ name, figures: figuresOf(samples[i]!) }));
  } finally {
    for (const contender of contenders) await contender.close();
  }
}

function figuresOf({ one, hundred }: { one: Sample; hundred: Sample }): Row["figures"] {
  return {
    "1 entry p50 us": quantile(one.timesMs, 0.5) * 1000,
    "p10 us": quantile(one.timesMs, 0.1) * 1000,
    "p99 us": quantile(one.timesMs, 0.99) * 1000,
    "CPU us": quantile(one.cpuUsEach, 0.5),
    "100 entries p50 us": quantile(hundred.timesMs, 0.5) * 1000,
    "CPU us each": quantile(hundred.cpuUsEach, 0.5),
  };
}

class Sample {
  readonly timesMs: number[] = [];
  /** Processor time of an entry, by turn. */
  readonly cpuUsEach: number[] = [];
  readonly #entryCount: number;

  constructor(entryCount: number) {
    this.#entryCount = entryCount;
  }

  async run(contender: LogContender, options: { batchCount: number; counts: boolean }): Promise<void> {
    const cpuBefore = cpuUs();
    for (let i = 0; i < options.batchCount; i++) {
      const startMs = performance.now();
      await contender.append(this.#entryCount);
      if (options.counts) this.timesMs.push(performance.now() - startMs);
    }
    if (options.counts) this.cpuUsEach.push((cpuUs() - cpuBefore) / options.batchCount / this.#entryCount);
  }
}

async function open({ packages, missing, directory }: LogOptions): Promise<LogContender[]> {
  const contenders = [
    holdfastLog(path.join(directory, "holdfast")),
    plainFile(directory, true),
    plainFile(directory, false),
  ];
  if (!missing.has("better-sqlite3")) contenders.push(sqliteLog(packages, directory));
  if (!missing.has("lmdb")) contenders.push(lmdbLog(packages, directory));
  if (!missing.has("classic-level"))
    contenders.push(
      levelLog("LevelDB, synced batch", await levelAt(packages, path.join(directory, "level"))),
    );
  if (!missing.has("@nxtedition/rocksdb"))
    contenders.push(
      levelLog("RocksDB, synced batch", await rocksAt(packages, path.join(directory, "rocks"))),
    );
  return contenders;
}

/** With etcd's records, checksums, recovery and recycling; the others have less than that to do. */
function holdfastLog(directory: string): LogContender {
  const disk = new NodeDisk(directory);
  const options = { disk, directory: "wal", segmentSizeBytes: 16 * 1024 * 1024, clock: systemClock };
  const metadata = { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } };
  const wal = Wal.create(options, { metadata, logId: { hi: 5, lo: 6 } });
  return {
    name: "holdfast core/wal",
    append: async (count) => {
      wal.beginBatch(undefined);
      for (let i = 0; i < count; i++) wal.entry(0, 1, wal.lastIndex + 1, entry, 0, ENTRY_BYTES);
      await new Promise<void>((resolve, reject) => {
        if (wal.commitBatch((error) => (error === undefined ? resolve() : reject(error)))) resolve();
      });
      wal.onDeadline(systemClock.now());
    },
    close: async () => {
      const { lastIndex } = wal;
      wal.close();
      await disk.settled();
      const recovery = recoverWal({ disk, directory: "wal", checkpointIndex: 0 });
      if (recovery?.lastIndex !== lastIndex) throw new Error("our log lost entries");
      await disk.close();
    },
  };
}

/** No format at all: the floor. `filled`: zeros were written first, so that a sync need not note a new size. */
function plainFile(directory: string, filled: boolean): LogContender {
  const fd = fs.openSync(path.join(directory, filled ? "filled" : "growing"), "w");
  if (filled) {
    const zeros = Buffer.alloc(1 << 20);
    for (let at = 0; at < PLAIN_FILE_BYTES; at += zeros.length) fs.writeSync(fd, zeros, 0, zeros.length, at);
    fs.fsyncSync(fd);
  }
  let offset = 0;
  return {
    name: `write + fdatasync, ${filled ? "zero-filled" : "growing"} file`,
    append: (count) => {
      const batch = Buffer.alloc(count * ENTRY_BYTES, 7);
      fs.writeSync(fd, batch, 0, batch.length, offset);
      fs.fdatasyncSync(fd);
      offset += batch.length;
      if (filled && offset > PLAIN_FILE_BYTES - 100 * ENTRY_BYTES) offset = 0;
    },
    close: () => fs.closeSync(fd),
  };
}

function sqliteLog(packages: string, directory: string): LogContender {
  const database = sqliteAt(packages, path.join(directory, "log.sqlite"));
  database.exec("CREATE TABLE log (number INTEGER PRIMARY KEY, entry BLOB)");
  const insert = database.prepare("INSERT INTO log VALUES (?, ?)");
  let last = 0;
  const append = database.transaction((count: number) => {
    for (let i = 0; i < count; i++) insert.run(++last, entry);
  });
  return { name: "SQLite, WAL, synchronous=FULL", append, close: () => database.close() };
}

function lmdbLog(packages: string, directory: string): LogContender {
  const root = lmdbAt(packages, path.join(directory, "log.lmdb"));
  const log = root.openDB("log", { encoding: "binary", keyEncoding: "binary" });
  let last = 0;
  const append = (count: number): void => {
    root.transactionSync(() => {
      for (let i = 0; i < count; i++) log.putSync(numberKey(++last), Buffer.from(entry.buffer));
    });
  };
  return { name: "LMDB, synced transaction", append, close: () => root.close() };
}

function levelLog(name: string, database: LevelLike): LogContender {
  let last = 0;
  const append = async (count: number): Promise<void> => {
    const operations = Array.from({ length: count }, () => {
      return { type: "put" as const, key: numberKey(++last), value: Buffer.from(entry.buffer) };
    });
    await database.batch(operations, { sync: true });
  };
  return { name, append, close: () => database.close() };
}

function numberKey(number: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeUInt32BE(number, 4);
  return key;
}
