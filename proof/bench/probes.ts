// The physical limits of this machine, measured in the same run as the stores: how long a durable write takes on the data
// directory's file system, and how long a round trip over loopback. A store's efficiency is their sum over its latency.

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

/** Writes records one after another into a file of zeros, each way `count` times. Blocks the loop: that is the point. */
export function probeDisk(directory: string, count: number): DiskProbe {
  const file = path.join(directory, `probe-${process.pid}`);
  fs.writeFileSync(file, Buffer.alloc(FILE_BYTES));
  try {
    const sync = timeWrites(
      file,
      { flags: fs.constants.O_RDWR, sizeBytes: RECORD_BYTES, syncAfter: true },
      count,
    );
    const ways = [
      { name: "fdatasync", times: sync },
      {
        name: "O_DSYNC",
        times: timeWrites(
          file,
          { flags: fs.constants.O_RDWR | fs.constants.O_DSYNC, sizeBytes: RECORD_BYTES, syncAfter: false },
          count,
        ),
      },
      {
        name: "O_DIRECT and O_DSYNC",
        times: timeWrites(
          file,
          {
            flags: fs.constants.O_RDWR | fs.constants.O_DSYNC | O_DIRECT,
            sizeBytes: BLOCK,
            syncAfter: false,
          },
          count,
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
  } finally {
    fs.rmSync(file, { force: true });
  }
}

// Missing in `fs.constants` of some platforms.
const O_DIRECT = fs.constants.O_DIRECT ?? 0;

interface Way {
  readonly flags: number;
  readonly sizeBytes: number;
  readonly syncAfter: boolean;
}

/** Empty when the file system does not take it. */
function timeWrites(file: string, way: Way, count: number): number[] {
  // Shared buffers lie on page boundaries, which O_DIRECT asks for.
  const record = new Uint8Array(new SharedArrayBuffer(64 * 1024), 0, way.sizeBytes).fill(7);
  const times: number[] = [];
  let handle: number;
  try {
    handle = fs.openSync(file, way.flags);
  } catch {
    return [];
  }
  try {
    for (let i = 0; i < count; i++) {
      const offset = (i * way.sizeBytes) % (FILE_BYTES - BLOCK);
      const startUs = clockUs();
      fs.writeSync(handle, record, 0, way.sizeBytes, offset);
      if (way.syncAfter) fs.fdatasyncSync(handle);
      times.push(clockUs() - startUs);
    }
  } catch {
    return [];
  } finally {
    fs.closeSync(handle);
  }
  return times;
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
