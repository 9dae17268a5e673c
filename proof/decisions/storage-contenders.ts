// The stores behind one interface: 64-byte keys, 256-byte values, every version kept with its revision.
//
// The databases hold it as etcd's does: one tree from revision to record, one from key to its newest revision ("2 trees").
// "1 tree" is key to value alone, without the past: less than the product needs, for comparison. They write
// transactions of `BATCH` puts, each durable before it returns, as etcd commits bbolt every 10,000 operations.

import * as fs from "node:fs";
import { randomBytes } from "node:crypto";
import * as path from "node:path";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import { Housekeeping } from "../../core/mvcc/housekeeping.ts";
import { KvMachine } from "../../core/mvcc/kv-machine.ts";
import { loadCheckpoint } from "../../core/mvcc/load-checkpoint.ts";
import { RecordView } from "../../core/mvcc/record.ts";
import { Store } from "../../core/mvcc/store.ts";
import * as m from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { NodeDisk } from "../../io/disk/node-disk.ts";
import type { LevelDb, LevelLike, RocksDb } from "./databases.ts";
import { levelAt, lmdbAt, rocksAt, sqliteAt } from "./databases.ts";

/** Puts of a transaction of a database. */
const BATCH = 10_000;
/** Puts of one turn of our loop under load: ours need no transaction. */
const TURN = 100;
export const KEY_BYTES = 64;
export const VALUE_BYTES = 256;

const PREFIX = "/registry/pods/default/benchmark-of-the-store/key-";
/** Values are cut from bytes that do not compress: two of the databases would make others disappear. */
const VALUES = randomBytes(4 * 1024 * 1024);

export interface StorageContender {
  /** Puts that are handed over at once, between two looks at the loop. */
  readonly portion: number;
  /** Puts keys of these numbers; durable within, or after `finish`. */
  put(numbers: Uint32Array): Promise<void> | void;
  /** What is not durable yet becomes it. */
  finish(): Promise<void> | void;
  /** Size of the value. */
  get(number: number): number;
  /** Reads keys and values in key order; gives how many. */
  list(first: number, count: number): Promise<number> | number;
  reopen(): Promise<void> | void;
  close(): Promise<void> | void;
}

export const STORES = ["holdfast", "lmdb", "better-sqlite3", "classic-level", "@nxtedition/rocksdb"] as const;
export type StoreName = (typeof STORES)[number];

export function openStore(
  name: StoreName,
  options: { packages: string; directory: string; trees: number },
): Promise<StorageContender> | StorageContender {
  const file = path.join(options.directory, "data");
  const two = options.trees === 2;
  switch (name) {
    case "holdfast":
      return holdfast(options.directory);
    case "lmdb":
      return lmdb(options.packages, file, two);
    case "better-sqlite3":
      return sqlite(options.packages, file, two);
    case "classic-level":
      return level(
        () => levelAt(options.packages, file),
        (db: LevelDb, key) => db.getSync(key),
        two,
      );
    case "@nxtedition/rocksdb":
      return level(
        () => rocksAt(options.packages, file),
        (db: RocksDb, key) => db._getManySync([key], {})[0],
        two,
      );
  }
}

function keyOf(number: number): Buffer {
  return Buffer.from(PREFIX + String(number).padStart(KEY_BYTES - PREFIX.length, "0"), "latin1");
}

function valueOf(number: number): Buffer {
  const start = (number * VALUE_BYTES) % VALUES.length;
  return VALUES.subarray(start, start + VALUE_BYTES);
}

function revisionKey(revision: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeUInt32BE(revision, 4);
  return key;
}

// Ours. A put is visible at once and durable through the log, which is measured by itself; a checkpoint is taken
// every 50,000 puts, as the member does, while puts wait (in the member they go on).

function holdfast(directory: string): StorageContender {
  const disk = new NodeDisk(directory);
  disk.makeDirectory("data");
  let store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 });
  let housekeeping = new Housekeeping(store, DEFAULT_LIMITS);
  let sinceCheckpoint = 0;
  const view = new RecordView();
  const header = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };

  const checkpoint = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const turn = (): void => {
        if (housekeeping.slice()) setImmediate(turn);
      };
      const done = (error: Error | undefined): void => (error === undefined ? resolve() : reject(error));
      const wake = (): void => void setImmediate(turn);
      housekeeping.checkpoint({ disk, directory: "data", extra: new Uint8Array(0), done, wake });
      turn();
    });

  return {
    portion: TURN,
    put: async (numbers) => {
      for (const number of numbers) {
        const key = keyOf(number);
        store.beginRevision();
        store.put(key, 0, KEY_BYTES, valueOf(number), 0, VALUE_BYTES, 0, 0);
        store.endRevision();
      }
      sinceCheckpoint += numbers.length;
      if (sinceCheckpoint < DEFAULT_LIMITS.checkpointEntryCount) return;
      sinceCheckpoint = 0;
      await checkpoint();
    },
    finish: checkpoint,
    get: (number) => {
      const key = keyOf(number);
      store.load(store.findLive(key, 0, KEY_BYTES), view);
      return view.valueEnd - view.valueStart;
    },
    list: (first, count) =>
      listEncoded(new KvMachine({ store, header, limits: DEFAULT_LIMITS }), first, count),
    reopen: () => {
      store = loadCheckpoint({ disk, directory: "data", hashSeed: 1, supersededBytesMax: 64 << 20 })!.store;
      housekeeping = new Housekeeping(store, DEFAULT_LIMITS);
    },
    close: () => disk.close(),
  };
}

/** More than the others do: the answer is encoded as the wire wants it. */
function listEncoded(machine: KvMachine, first: number, count: number): number {
  const writer = new ByteWriter(1 << 20);
  const request = new ByteWriter();
  encode(m.RangeRequest, { key: keyOf(first), range_end: keyOf(first + count) }, request);
  let bytes = 0;
  const sink = {
    beginMessage: () => writer,
    endMessage: () => undefined,
    sendLarge: (size: number, producer: { pull(to: ByteWriter, room: number): boolean }) => {
      bytes = size;
      while (!producer.pull(writer, 1 << 16)) writer.reset();
    },
  };
  machine.range(request.bytes, 0, request.position, sink);
  return Math.floor(bytes / (KEY_BYTES + VALUE_BYTES)) >= count ? count : 0;
}

function lmdb(packages: string, file: string, two: boolean): StorageContender {
  const encoding = { encoding: "binary", keyEncoding: "binary" };
  const open = () => {
    const root = lmdbAt(packages, file);
    return { root, keys: root.openDB("keys", encoding), records: root.openDB("records", encoding) };
  };
  let { root, keys, records } = open();
  let revision = 0;
  return {
    portion: BATCH,
    put: (numbers) =>
      root.transactionSync(() => {
        for (const number of numbers) {
          const key = keyOf(number);
          if (!two) {
            keys.putSync(key, valueOf(number));
            continue;
          }
          const at = revisionKey(++revision);
          records.putSync(at, Buffer.concat([key, valueOf(number)]));
          keys.putSync(key, at);
        }
      }),
    finish: () => undefined,
    get: (number) => {
      if (!two) return keys.getBinaryFast(keyOf(number))!.length;
      return records.getBinaryFast(keys.getBinary(keyOf(number))!)!.length - KEY_BYTES;
    },
    list: (first, count) => {
      let seen = 0;
      for (const { value } of keys.getRange({ start: keyOf(first), end: keyOf(first + count) })) {
        if (!two || records.getBinaryFast(value) !== undefined) seen++;
      }
      return seen;
    },
    reopen: async () => {
      await root.close();
      ({ root, keys, records } = open());
    },
    close: () => root.close(),
  };
}

function sqlite(packages: string, file: string, two: boolean): StorageContender {
  const open = () => {
    const database = sqliteAt(packages, file);
    database.exec("CREATE TABLE IF NOT EXISTS records (revision INTEGER PRIMARY KEY, record BLOB)");
    database.exec("CREATE TABLE IF NOT EXISTS keys (key BLOB PRIMARY KEY, found BLOB) WITHOUT ROWID");
    const joined = "FROM keys k JOIN records r ON r.revision = k.found WHERE";
    const columns = two
      ? `SELECT k.key AS key, r.record AS value ${joined}`
      : "SELECT key, found AS value FROM keys k WHERE";
    return {
      database,
      insertRecord: database.prepare("INSERT INTO records VALUES (?, ?)"),
      insertKey: database.prepare(
        "INSERT INTO keys VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET found = excluded.found",
      ),
      find: database.prepare(`${columns} k.key = ?`),
      range: database.prepare(`${columns} k.key >= ? AND k.key < ? ORDER BY k.key`),
    };
  };
  let it = open();
  let revision = 0;
  const putAll = (numbers: Uint32Array): void => {
    for (const number of numbers) {
      const key = keyOf(number);
      if (two) it.insertRecord.run(++revision, Buffer.concat([key, valueOf(number)]));
      it.insertKey.run(key, two ? revision : valueOf(number));
    }
  };
  return {
    portion: BATCH,
    put: (numbers) => it.database.transaction(putAll)(numbers),
    finish: () => undefined,
    get: (number) => (it.find.get(keyOf(number))!["value"] as Buffer).length - (two ? KEY_BYTES : 0),
    list: (first, count) => {
      let seen = 0;
      for (const _ of it.range.iterate(keyOf(first), keyOf(first + count))) seen++;
      return seen;
    },
    reopen: () => {
      it.database.close();
      it = open();
    },
    close: () => it.database.close(),
  };
}

const RECORD_PREFIX = Buffer.from("r");
const KEY_PREFIX = Buffer.from("k");

/** LevelDB or RocksDB: two key spaces told apart by their first byte. */
async function level<T extends LevelLike>(
  open: () => Promise<T>,
  read: (database: T, key: Buffer) => Buffer | undefined,
  two: boolean,
): Promise<StorageContender> {
  let database = await open();
  let revision = 0;
  const keyAt = (number: number): Buffer => Buffer.concat([KEY_PREFIX, keyOf(number)]);
  const recordAt = (at: Buffer): Buffer => Buffer.concat([RECORD_PREFIX, at]);
  return {
    portion: BATCH,
    put: async (numbers) => {
      const operations: { type: "put"; key: Buffer; value: Buffer }[] = [];
      for (const number of numbers) {
        const at = revisionKey(++revision);
        const key = keyAt(number);
        operations.push({ type: "put", key, value: two ? at : valueOf(number) });
        if (two)
          operations.push({ type: "put", key: recordAt(at), value: Buffer.concat([key, valueOf(number)]) });
      }
      await database.batch(operations, { sync: true });
    },
    finish: () => undefined,
    get: (number) => {
      const found = read(database, keyAt(number))!;
      return two ? read(database, recordAt(found))!.length - KEY_BYTES - 1 : found.length;
    },
    list: async (first, count) => {
      let seen = 0;
      for await (const [, value] of database.iterator({ gte: keyAt(first), lt: keyAt(first + count) })) {
        if (!two || read(database, recordAt(value)) !== undefined) seen++;
      }
      return seen;
    },
    reopen: async () => {
      await database.close();
      database = await open();
    },
    close: () => database.close(),
  };
}

/** Makes an empty directory; gives its path. */
export function emptyDirectory(parent: string): string {
  return fs.mkdtempSync(path.join(parent, "store-"));
}
