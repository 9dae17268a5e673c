// A local cluster with one command: every member is a process of its own, with its own directory and ports, a prefixed
// log, and a restart when it dies. For trying things out and for tests; each member is an ordinary server.

import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import type { ProgramIo } from "./program-io.ts";

export interface UpOptions {
  readonly memberCount: number;
  readonly dataDirectory: string;
  /** Flags for every member, as given. */
  readonly serverFlags: readonly string[];
  /** How to start one server: program and first arguments. */
  readonly command: readonly string[];
}

/** Ports of member 0, 1, 2, …: 2379 and 2380, 22379 and 22380, … up to 62379; the seventh has the one left out, 12379. */
export function memberPorts(index: number): { readonly client: number; readonly peer: number } {
  const base = index === 0 ? 2379 : 12379 + (index % 6) * 10_000;
  return { client: base, peer: base + 1 };
}

/** Above this the port numbers end; it is also the largest cluster that makes sense. */
export const MEMBER_COUNT_MAX = 7;

const COLORS = [36, 33, 35, 32, 34, 31, 96];
const RESTART_DELAY_MS = 500;
/** A member that does not stop by itself is killed after this long. */
const STOP_TIMEOUT_MS = 10_000;

/** Runs until a signal; returns the exit code. */
export async function runUp(options: UpOptions, io: ProgramIo): Promise<number> {
  const cluster = new LocalCluster(options, io);
  cluster.start();
  const endpoints = Array.from(
    { length: options.memberCount },
    (_, i) => `localhost:${memberPorts(i).client}`,
  ).join(",");
  io.stdout.write(`${options.memberCount} members, clients at ${endpoints}\n`);
  io.stdout.write(`data in ${path.resolve(options.dataDirectory)}; Ctrl-C stops them all\n`);
  io.stdout.write(`try: ./holdfast --endpoints=${endpoints} put greeting hello\n`);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  await cluster.stop();
  return 0;
}

class LocalCluster {
  readonly #options: UpOptions;
  readonly #io: ProgramIo;
  readonly #members: (ChildProcess | undefined)[] = [];
  #stopping = false;

  constructor(options: UpOptions, io: ProgramIo) {
    this.#options = options;
    this.#io = io;
  }

  start(): void {
    for (let i = 0; i < this.#options.memberCount; i++) this.#startMember(i);
  }

  /** One after the other, so that leadership is handed over instead of being lost at once. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const member of this.#members) if (member !== undefined) await stopProcess(member);
  }

  #startMember(index: number): void {
    const { command, serverFlags } = this.#options;
    const args = [...command.slice(1), ...this.#flags(index), ...serverFlags];
    const member = spawn(command[0]!, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#members[index] = member;
    const prefix = this.#prefix(index);
    for (const stream of [member.stdout, member.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.#io.stderr.write(`${prefix}${line}\n`));
    }
    member.on("error", (error) => this.#io.stderr.write(`${prefix}cannot be started: ${error.message}\n`));
    member.on("exit", (code, signal) => {
      this.#members[index] = undefined;
      if (this.#stopping) return;
      // It was removed: it would only learn that once more.
      if (code === 0) return void this.#io.stderr.write(`${prefix}ended by itself, and stays so\n`);
      this.#io.stderr.write(`${prefix}ended (${signal ?? `exit code ${code}`}), starting it again\n`);
      setTimeout(() => this.#stopping || this.#startMember(index), RESTART_DELAY_MS);
    });
  }

  #flags(index: number): string[] {
    const { memberCount, dataDirectory } = this.#options;
    const { client, peer } = memberPorts(index);
    const cluster = Array.from(
      { length: memberCount },
      (_, i) => `m${i + 1}=http://localhost:${memberPorts(i).peer}`,
    );
    return [
      `--name=m${index + 1}`,
      `--data-dir=${path.join(dataDirectory, `m${index + 1}`)}`,
      `--listen-client-urls=http://localhost:${client}`,
      `--advertise-client-urls=http://localhost:${client}`,
      `--listen-peer-urls=http://localhost:${peer}`,
      `--initial-advertise-peer-urls=http://localhost:${peer}`,
      `--initial-cluster=${cluster.join(",")}`,
      "--initial-cluster-token=holdfast-local",
    ];
  }

  #prefix(index: number): string {
    const name = `m${index + 1} | `;
    return this.#io.stderr.isTTY === true ? `\u001b[${COLORS[index % COLORS.length]}m${name}\u001b[0m` : name;
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
