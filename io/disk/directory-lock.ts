// Exclusive use of a data directory. Node has no flock, so the lock is an abstract unix socket named by the directory's
// device and inode: it cannot outlive the process, needs no clean-up, and two paths to one directory meet in it. A file
// `holder` in the directory says who has it, for the message only; it may be stale.
//
// Abstract names belong to a network namespace: processes in different containers that share a volume do not see each
// other's. Where the system has no abstract sockets, the holder file alone decides, by whether its process is alive.

import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";

const HOLDER_NAME = "holder";

export interface DirectoryLock {
  release(): Promise<void>;
}

export class DirectoryLockedError extends Error {
  override readonly name = "DirectoryLockedError";
  readonly code = "directory-locked";
  readonly directory: string;
  /** 0 when the holder is not known. */
  readonly holderPid: number;

  constructor(directory: string, holderPid: number) {
    const who = holderPid === 0 ? "another process" : `process ${holderPid}`;
    super(
      `Cannot use data directory ${directory}: ${who} uses it already. Stop that process, or choose another --data-dir`,
    );
    this.directory = directory;
    this.holderPid = holderPid;
  }
}

/** Creates the directory (mode 0700) when it is missing, and takes it; rejects with `DirectoryLockedError`. */
export async function lockDataDirectory(directory: string): Promise<DirectoryLock> {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const holder = path.join(directory, HOLDER_NAME);
  const server = process.platform === "linux" ? await listen(directory) : undefined;
  if (server === undefined && isAlive(readHolder(directory))) {
    throw new DirectoryLockedError(directory, readHolder(directory));
  }
  try {
    fs.writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    // With the socket the file is for the message only: a member whose disk is full can still be started.
    if (server === undefined || (error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  return { release: () => release(server, holder) };
}

function listen(directory: string): Promise<net.Server> {
  const status = fs.statSync(directory, { bigint: true });
  const name = `\0holdfast-data-${status.dev.toString(16)}-${status.ino.toString(16)}`;
  const server = net.createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "EADDRINUSE" ? new DirectoryLockedError(directory, readHolder(directory)) : error,
      );
    });
    server.listen({ path: name, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

async function release(server: net.Server | undefined, holder: string): Promise<void> {
  // The file first: once the socket is gone, the file may be the next holder's.
  fs.rmSync(holder, { force: true });
  if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
}

function readHolder(directory: string): number {
  try {
    return Number.parseInt(fs.readFileSync(path.join(directory, HOLDER_NAME), "utf8"), 10) || 0;
  } catch {
    return 0;
  }
}

function isAlive(pid: number): boolean {
  if (pid === 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
