// The databases that were weighed, as far as we use them, opened the way that is safe at a power loss.

import { load } from "./packages.ts";

export interface Sqlite {
  exec(text: string): void;
  pragma(text: string): void;
  prepare(text: string): SqliteStatement;
  transaction<T extends unknown[]>(action: (...args: T) => void): (...args: T) => void;
  close(): void;
}

export interface SqliteStatement {
  run(...values: unknown[]): void;
  get(...values: unknown[]): Record<string, unknown> | undefined;
  iterate(...values: unknown[]): Iterable<Record<string, unknown>>;
}

export function sqliteAt(packages: string, file: string): Sqlite {
  const Database = load<new (file: string) => Sqlite>(packages, "better-sqlite3");
  const database = new Database(file);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.pragma("cache_size = -65536");
  return database;
}

export interface LmdbTree {
  putSync(key: Buffer, value: Buffer): void;
  getBinary(key: Buffer): Buffer | undefined;
  /** The bytes are valid until the next read, and not all of a Buffer's methods work on them. */
  getBinaryFast(key: Buffer): Buffer | undefined;
  getRange(options: { start: Buffer; end: Buffer }): Iterable<{ key: Buffer; value: Buffer }>;
}

export interface Lmdb {
  openDB(name: string, options: object): LmdbTree;
  transactionSync(action: () => void): void;
  close(): Promise<void>;
}

/** Transactions are flushed to the disk before they return. */
export function lmdbAt(packages: string, file: string): Lmdb {
  const lmdb = load<{ open(options: object): Lmdb }>(packages, "lmdb");
  return lmdb.open({ path: file, overlappingSync: false, mapSize: 4 * 2 ** 30, maxDbs: 4 });
}

/** LevelDB and RocksDB behind the same interface. */
export interface LevelLike {
  batch(operations: readonly { type: "put"; key: Buffer; value: Buffer }[], options: object): Promise<void>;
  iterator(options: object): AsyncIterable<[Buffer, Buffer]>;
  close(): Promise<void>;
  open(): Promise<void>;
}

export interface LevelDb extends LevelLike {
  getSync(key: Buffer): Buffer | undefined;
}

export interface RocksDb extends LevelLike {
  /** Not in its documentation; the synchronous read that suits a loop best. */
  _getManySync(keys: readonly Buffer[], options: object): (Buffer | undefined)[];
}

type Open<T> = new (file: string, options: object) => T;

const BYTES = { keyEncoding: "buffer", valueEncoding: "buffer" };

export async function levelAt(packages: string, directory: string): Promise<LevelDb> {
  const { ClassicLevel } = load<{ ClassicLevel: Open<LevelDb> }>(packages, "classic-level");
  const options = { ...BYTES, cacheSize: 64 * 2 ** 20, writeBufferSize: 16 * 2 ** 20 };
  const database = new ClassicLevel(directory, options);
  await database.open();
  return database;
}

export async function rocksAt(packages: string, directory: string): Promise<RocksDb> {
  const { RocksLevel } = load<{ RocksLevel: Open<RocksDb> }>(packages, "@nxtedition/rocksdb");
  const database = new RocksLevel(directory, { ...BYTES, createIfMissing: true, cacheSize: 64 * 2 ** 20 });
  await database.open();
  return database;
}
