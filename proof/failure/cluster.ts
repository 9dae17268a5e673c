// Members as real processes, ours or etcd's: the same flags, the same faults.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { httpGet } from "../peers/server-process.ts";
import type { MemberAddress, Network } from "./network.ts";
import { freeDisk, makeSmallDisk } from "./small-disk.ts";

export interface ClusterOptions {
  readonly memberCount: number;
  readonly directory: string;
  /** Program and first arguments of a server. */
  readonly command: readonly string[];
  readonly network: Network;
}

export interface MemberProcess {
  readonly index: number;
  readonly name: string;
  readonly address: MemberAddress;
  readonly endpoint: string;
  readonly directory: string;
  readonly logFile: string;
  /** The member's own small file system, which can be filled; only one member has one, and only in the sandbox. */
  readonly smallDisk: string | undefined;
  process: ChildProcess | undefined;
  isPaused: boolean;
  /** Cluster state flag of the next start. */
  joins: boolean;
  /** It may end by itself, as servers do that have no disk any more. */
  mayEnd: boolean;
}

const READY_POLL_MS = 50;
const START_LIMIT_MS = 30_000;

const running = new Set<ChildProcess>();
// Whatever happens to the test, its servers end with it.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Cluster {
  readonly members: readonly MemberProcess[];
  readonly network: Network;
  readonly #options: ClusterOptions;
  readonly unexpectedEnds: string[] = [];

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.network = options.network;
    this.members = options.network.addresses().map((address, index) => this.#make(index, address));
  }

  async start(): Promise<void> {
    for (const member of this.members) this.startMember(member);
    const endMs = performance.now() + START_LIMIT_MS;
    await Promise.all(this.members.map((member) => this.ready(member, endMs)));
  }

  get endpoints(): string[] {
    return this.members.map((member) => member.endpoint);
  }

  startMember(member: MemberProcess): void {
    const log = fs.openSync(member.logFile, "a");
    const [program, ...words] = [
      ...member.address.launcher,
      ...this.#options.command,
      ...this.#flags(member),
    ];
    // Ctrl-C is for the test, not for the members.
    const child = spawn(program!, words, {
      stdio: ["ignore", log, log],
      env: cleanEnvironment(),
      detached: true,
    });
    fs.closeSync(log);
    running.add(child);
    member.process = child;
    member.isPaused = false;
    child.once("error", (error) =>
      this.unexpectedEnds.push(`${member.name} does not start: ${error.message}`),
    );
    child.once("exit", (code, signal) => {
      running.delete(child);
      if (member.process !== child) return;
      member.process = undefined;
      const how = `${member.name} ended by itself (${signal ?? `exit code ${code}`})`;
      if (!member.mayEnd) this.unexpectedEnds.push(`${how}, log ${member.logFile}`);
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

  /** Resolves when the member answers on its client port; rejects when it does not until then. */
  async ready(member: MemberProcess, endMs: number): Promise<void> {
    // An end by itself is told by itself; here it only ends the waiting.
    while (performance.now() < endMs && member.process !== undefined) {
      if ((await httpGet(`http://${member.endpoint}/health?serializable=true`)) !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    const what = member.process === undefined ? "has ended" : "does not answer";
    throw new Error(`${member.name} ${what}, see ${member.logFile}`);
  }

  /** The member that says it leads, if any does now. */
  async leader(): Promise<MemberProcess | undefined> {
    const says = await Promise.all(this.members.map((member) => this.#saysItLeads(member)));
    return this.members.find((_, index) => says[index]);
  }

  async #saysItLeads(member: MemberProcess): Promise<boolean> {
    if (member.process === undefined || member.isPaused) return false;
    const metrics = await httpGet(`http://${member.endpoint}/metrics`);
    return metrics !== undefined && /^etcd_server_is_leader 1/m.test(metrics);
  }

  /** Ends every fault that a member or the network may still be in. */
  heal(): void {
    this.network.heal();
    for (const member of this.members) {
      if (member.isPaused) this.resume(member);
      if (member.smallDisk !== undefined) freeDisk(member.smallDisk);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => this.kill(member)));
    this.network.close();
  }

  /** The data directories, for a report of a violation; those on small disks are copied to where they outlive the test. */
  keepData(): void {
    for (const { smallDisk, directory, name } of this.members) {
      if (smallDisk === undefined) continue;
      if (fs.existsSync(directory)) {
        fs.cpSync(directory, path.join(this.#options.directory, name), { recursive: true });
      }
      execFileSync("umount", [smallDisk]);
      fs.rmdirSync(smallDisk);
    }
  }

  removeData(): void {
    for (const { smallDisk, directory, logFile } of this.members) {
      if (smallDisk !== undefined) execFileSync("umount", [smallDisk]);
      fs.rmSync(smallDisk ?? directory, { recursive: true, force: true });
      fs.rmSync(logFile, { force: true });
    }
  }

  #make(index: number, address: MemberAddress): MemberProcess {
    const name = `m${index + 1}`;
    const { directory: root, memberCount } = this.#options;
    const isLast = index === memberCount - 1;
    const smallDisk =
      isLast && this.network.kind === "namespaces" ? path.join(root, `${name}.disk`) : undefined;
    if (smallDisk !== undefined) makeSmallDisk(smallDisk);
    return {
      index,
      name,
      address,
      endpoint: `${address.host}:${address.clientPort}`,
      directory: path.join(smallDisk ?? root, smallDisk === undefined ? name : "data"),
      logFile: path.join(root, `${name}.log`),
      smallDisk,
      process: undefined,
      isPaused: false,
      joins: false,
      mayEnd: false,
    };
  }

  #flags({ name, directory, endpoint, address, joins }: MemberProcess): string[] {
    const cluster = this.members.map((it) => `${it.name}=${it.address.peerUrl}`).join(",");
    return [
      `--name=${name}`,
      `--data-dir=${directory}`,
      `--listen-client-urls=http://${endpoint}`,
      `--advertise-client-urls=http://${endpoint}`,
      `--listen-peer-urls=${address.listenPeerUrl}`,
      `--initial-advertise-peer-urls=${address.peerUrl}`,
      `--initial-cluster=${cluster}`,
      `--initial-cluster-state=${joins ? "existing" : "new"}`,
      "--initial-cluster-token=failure-test",
      // Often enough that snapshots are saved, sent and met with every fault.
      "--snapshot-count=2000",
      "--log-level=warn",
    ];
  }
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ETCD_")));
}
