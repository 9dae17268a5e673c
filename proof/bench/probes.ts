// The physical limits of this machine, measured in the same run as the stores: how long a durable write takes on the data
// directory's file system, and how long a round trip over loopback. A store's efficiency is their sum over its latency.

import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { Worker } from "node:worker_threads";
import { quantileOf } from "./statistics.ts";
import { clockUs } from "./ticker.ts";

/** A put of 64 and 256 bytes with its log record's frame. */
const RECORD_BYTES = 400;
const FILE_BYTES = 8 * 1024 * 1024;
const BLOCK = 4096;

export interface DiskProbe {
  /** Of write and fdatasync. */
  readonly fdatasyncP50Us: number;
  readonly fdatasyncP99Us: number;
  /** The quickest durable write that was found: fdatasync, O_DSYNC, or O_DIRECT with O_DSYNC. */
  readonly bestP50Us: number;
  readonly bestP99Us: number;
  readonly bestWay: string;
}

export interface DiskProbeOptions {
  readonly directory: string;
  /** Threads that write at once, each into a file of its own: members on one disk share what it syncs in a second. */
  readonly writers: number;
  /** Records of each writer. */
  readonly count: number;
  /** More of them for fdatasync, whose p99 is asked for. */
  readonly syncCount: number;
}

/** Each way of writing records durably, one after another, into files of zeros. */
export async function probeDisk(options: DiskProbeOptions): Promise<DiskProbe> {
  const { O_RDWR, O_DSYNC } = fs.constants;
  const sync = await timeWrites(
    { flags: O_RDWR, sizeBytes: RECORD_BYTES, syncAfter: true },
    { ...options, count: options.syncCount },
  );
  const ways = [
    { name: "fdatasync", times: sync },
    {
      name: "O_DSYNC",
      times: await timeWrites(
        { flags: O_RDWR | O_DSYNC, sizeBytes: RECORD_BYTES, syncAfter: false },
        options,
      ),
    },
    {
      name: "O_DIRECT and O_DSYNC",
      times: await timeWrites(
        { flags: O_RDWR | O_DSYNC | O_DIRECT, sizeBytes: BLOCK, syncAfter: false },
        options,
      ),
    },
  ].filter((way) => way.times.length > 0);
  const best = ways.reduce((a, b) => (quantileOf(b.times, 0.5) < quantileOf(a.times, 0.5) ? b : a));
  return {
    fdatasyncP50Us: Math.round(quantileOf(sync, 0.5)),
    fdatasyncP99Us: Math.round(quantileOf(sync, 0.99)),
    bestP50Us: Math.round(quantileOf(best.times, 0.5)),
    bestP99Us: Math.round(quantileOf(best.times, 0.99)),
    bestWay: best.name,
  };
}

// Missing in `fs.constants` of some platforms.
const O_DIRECT = fs.constants.O_DIRECT ?? 0;

interface Way {
  readonly flags: number;
  readonly sizeBytes: number;
  readonly syncAfter: boolean;
}

// A string, so that it runs from the sources and from the bundle alike. O_DIRECT wants a page's alignment, and an address
// is not seen from JavaScript: the kernel says which offset has it (malloc aligns to 16). Microseconds of each write;
// none when the file system does not take the flags.
const WRITER = `
const { parentPort, workerData } = require("node:worker_threads");
const fs = require("node:fs");
const { file, way, count, room, gate } = workerData;
const record = new Uint8Array(new ArrayBuffer(65536)).fill(7);
parentPort.postMessage(undefined);
Atomics.wait(gate, 0, 0);
let times = [];
try {
  const handle = fs.openSync(file, way.flags);
  let at = 0;
  for (; at < 4096; at += 16) {
    try {
      fs.writeSync(handle, record, at, way.sizeBytes, 0);
      break;
    } catch (error) {
      if (error.code !== "EINVAL") throw error;
    }
  }
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    fs.writeSync(handle, record, at, way.sizeBytes, (i * way.sizeBytes) % room);
    if (way.syncAfter) fs.fdatasyncSync(handle);
    times.push((performance.now() - start) * 1000);
  }
  fs.closeSync(handle);
} catch {
  times = [];
}
parentPort.postMessage(times);`;

/** Of all writers together; empty when the file system does not take it. */
async function timeWrites(
  way: Way,
  options: { directory: string; writers: number; count: number },
): Promise<number[]> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const files = Array.from({ length: options.writers }, (_, i) =>
    path.join(options.directory, `probe-${process.pid}-${i}`),
  );
  for (const file of files) fs.writeFileSync(file, Buffer.alloc(FILE_BYTES));
  const workers = files.map(
    (file) =>
      new Worker(WRITER, {
        eval: true,
        workerData: { file, way, count: options.count, room: FILE_BYTES - BLOCK, gate },
      }),
  );
  try {
    await Promise.all(workers.map(async (worker) => once(worker, "message")));
    const times = workers.map(async (worker) => ((await once(worker, "message")) as [number[]])[0]);
    // All begin together, so that each sync meets those of the others.
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    return (await Promise.all(times)).flat();
  } finally {
    await Promise.all(workers.map(async (worker) => worker.terminate()));
    for (const file of files) fs.rmSync(file, { force: true });
  }
}

const ECHO = `
const { parentPort } = require("node:worker_threads");
const net = require("node:net");
const reply = Buffer.alloc(64);
const server = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("data", () => socket.write(reply));
  socket.on("error", () => {});
}).listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));`;

/** Median of a ping of a put's size and a pong of its answer's over loopback, between two threads of Node. */
export async function probeLoopback(count: number): Promise<{ p50Us: number; p99Us: number }> {
  const worker = new Worker(ECHO, { eval: true });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const times = await new Promise<number[]>((resolve, reject) => {
    const taken: number[] = [];
    const ping = Buffer.alloc(RECORD_BYTES);
    let startUs = 0;
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true }, () => {
      startUs = clockUs();
      socket.write(ping);
    });
    socket.on("data", () => {
      const nowUs = clockUs();
      taken.push(nowUs - startUs);
      if (taken.length === count) {
        socket.destroy();
        resolve(taken);
        return;
      }
      startUs = nowUs;
      socket.write(ping);
    });
    socket.on("error", reject);
  });
  await worker.terminate();
  return { p50Us: Math.round(quantileOf(times, 0.5)), p99Us: Math.round(quantileOf(times, 0.99)) };
}

/** Sectors written by all disks since start, of 512 bytes; undefined where /proc/diskstats does not say. */
export function sectorsWritten(): number | undefined {
  try {
    let sectors = 0;
    for (const line of fs.readFileSync("/proc/diskstats", "utf8").split("\n")) {
      const fields = line.trim().split(/\s+/);
      // Whole disks only: their partitions count the same writes again.
      if (!/^(?:vd[a-z]+|sd[a-z]+|xvd[a-z]+|nvme\d+n\d+)$/.test(fields[2] ?? "")) continue;
      sectors += Number(fields[9]);
    }
    return sectors;
  } catch {
    return undefined;
  }
}

const TMPFS_MAGIC = 0x01021994;

/** On a file system in memory a sync costs nothing, and no figure is one of a durable store. */
export function isInMemory(directory: string): boolean {
  return fs.statfsSync(directory).type === TMPFS_MAGIC;
}
