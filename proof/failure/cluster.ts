// Members as real processes on loopback, ours or etcd's: the same flags, the same faults.

import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import net from "node:net";
import * as path from "node:path";
import { PeerProxy } from "./proxy.ts";

export interface ClusterOptions {
  readonly memberCount: number;
  readonly directory: string;
  /** Program and first arguments of a server. */
  readonly command: readonly string[];
}

export interface MemberProcess {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly proxy: PeerProxy;
  directory: string;
  process: ChildProcess | undefined;
  isPaused: boolean;
  /** Cluster state flag of the next start. */
  joins: boolean;
}

const READY_TIMEOUT_MS = 30_000;

export class Cluster {
  readonly members: MemberProcess[] = [];
  readonly #options: ClusterOptions;
  readonly unexpectedEnds: string[] = [];

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    for (let i = 1; i <= options.memberCount; i++) cluster.members.push(await cluster.#make(`m${i}`));
    for (const member of cluster.members) cluster.startMember(member);
    await Promise.all(cluster.members.map((member) => cluster.ready(member)));
    return cluster;
  }

  get endpoints(): string[] {
    return this.members.map((member) => `127.0.0.1:${member.clientPort}`);
  }

  startMember(member: MemberProcess): void {
    const [program, ...first] = this.#options.command;
    const log = fs.openSync(`${member.directory}.log`, "a");
    const child = spawn(program!, [...first, ...this.#flags(member)], {
      stdio: ["ignore", log, log],
      env: cleanEnvironment(),
    });
    fs.closeSync(log);
    member.process = child;
    member.isPaused = false;
    child.once("exit", (code, signal) => {
      if (member.process !== child) return;
      member.process = undefined;
      this.unexpectedEnds.push(
        `${member.name} ended by itself (${signal ?? `exit code ${code}`}), log ${member.directory}.log`,
      );
    });
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(member: MemberProcess): Promise<void> {
    const child = member.process;
    if (child === undefined) return;
    member.process = undefined;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  pause(member: MemberProcess): void {
    member.isPaused = member.process?.kill("SIGSTOP") ?? false;
  }

  resume(member: MemberProcess): void {
    member.process?.kill("SIGCONT");
    member.isPaused = false;
  }

  /** Resolves when the member answers on its client port. */
  async ready(member: MemberProcess): Promise<void> {
    const endMs = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < endMs) {
      if (await answers(member.clientPort)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(
      `${member.name} does not answer within ${READY_TIMEOUT_MS / 1000} s, see ${member.directory}.log`,
    );
  }

  /** The member that says it leads, if any does now. */
  async leader(): Promise<MemberProcess | undefined> {
    for (const member of this.members) {
      if (member.process === undefined || member.isPaused) continue;
      const metrics = await get(member.clientPort, "/metrics");
      if (metrics !== undefined && /^etcd_server_is_leader 1/m.test(metrics)) return member;
    }
    return undefined;
  }

  async stop(): Promise<void> {
    for (const member of this.members) {
      if (member.isPaused) this.resume(member);
      await this.kill(member);
      member.proxy.close();
    }
  }

  async #make(name: string): Promise<MemberProcess> {
    const [clientPort, peerPort] = [await freePort(), await freePort()];
    const proxy = new PeerProxy(peerPort);
    await proxy.listen();
    const directory = path.join(this.#options.directory, name);
    return {
      name,
      clientPort,
      peerPort,
      proxy,
      directory,
      process: undefined,
      isPaused: false,
      joins: false,
    };
  }

  #flags(member: MemberProcess): string[] {
    const cluster = this.members.map((it) => `${it.name}=http://127.0.0.1:${it.proxy.port}`).join(",");
    return [
      `--name=${member.name}`,
      `--data-dir=${member.directory}`,
      `--listen-client-urls=http://127.0.0.1:${member.clientPort}`,
      `--advertise-client-urls=http://127.0.0.1:${member.clientPort}`,
      `--listen-peer-urls=http://127.0.0.1:${member.peerPort}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${member.proxy.port}`,
      `--initial-cluster=${cluster}`,
      `--initial-cluster-state=${member.joins ? "existing" : "new"}`,
      "--initial-cluster-token=failure-test",
      "--log-level=warn",
    ];
  }
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ETCD_")));
}

async function answers(port: number): Promise<boolean> {
  return (await get(port, "/health?serializable=true")) !== undefined;
}

async function get(port: number, pathname: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${pathname}`, {
      signal: AbortSignal.timeout(1000),
    });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
