// A slow disk. Every system call with which a process makes something durable is delayed by strace, which needs no right
// to the disk itself. Where strace cannot be used, other writers keep the disk busy.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";

const SYNCS = ["fsync", "fdatasync"];
/** Of a file opened with O_DSYNC, every write at a position is a sync. */
const DURABLE_WRITES = ["pwrite64", "pwritev"];
const WRITER_COUNT = 4;

export interface DiskLoad {
  /** Resolves when the disk is as it was. */
  stop(): Promise<void>;
}

export function canDelaySyncs(): boolean {
  const probe = ["-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=1", "true"];
  return spawnSync("strace", probe, { stdio: "ignore" }).status === 0;
}

export function delaySyncs(pid: number, delayMs: number): DiskLoad & { readonly calls: string } {
  const calls = syncCallsOf(pid).join(",");
  const filters = ["-e", `trace=${calls}`, "-e", `inject=${calls}:delay_enter=${delayMs * 1000}`];
  const child = spawn("strace", ["-f", "-qq", "-o", "/dev/null", ...filters, "-p", String(pid)], {
    stdio: "ignore",
  });
  return { calls, stop: () => end(child, "SIGINT") };
}

/** Writers beside the member's directory that sync all the time. */
export function keepDiskBusy(directory: string): DiskLoad {
  const writers = Array.from({ length: WRITER_COUNT }, (_, number) => {
    const file = `${directory}.busy${number}`;
    const script = `while :; do dd if=/dev/zero of="$0" bs=64k count=16 conv=fsync; done`;
    return { file, child: spawn("sh", ["-c", script, file], { stdio: "ignore", detached: true }) };
  });
  return {
    stop: async () => {
      for (const { file, child } of writers) {
        // With its dd.
        const ended = new Promise((resolve) => child.once("exit", resolve));
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        await ended;
        fs.rmSync(file, { force: true });
      }
    },
  };
}

function syncCallsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fdinfo`;
  const isDurable = fs.readdirSync(folder).some((name) => {
    const flags = /^flags:\s*([0-7]+)/m.exec(readOrNothing(`${folder}/${name}`));
    return flags !== null && (Number.parseInt(flags[1]!, 8) & fs.constants.O_DSYNC) !== 0;
  });
  return isDurable ? [...SYNCS, ...DURABLE_WRITES] : SYNCS;
}

function readOrNothing(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return ""; // closed meanwhile
  }
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
