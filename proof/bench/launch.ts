// Starts stores on this machine, each with a fresh data directory on the same file system, one or three members on
// loopback, and ends them. Whatever happens to this process, they end with it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { Control, type StoreStatus, statusOf } from "./control.ts";
import type { TlsFiles } from "./rpc.ts";
import { openRpc } from "./rpc-client.ts";

export type StoreKind = "holdfast" | "etcd" | "zookeeper" | "consul";

export const NO_TLS: TlsFiles = {
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  insecureSkipVerify: false,
};

/** How a store is started; found once. */
export interface Installed {
  readonly kind: StoreKind;
  readonly command: readonly string[];
  readonly version: string;
  /** What a reader should know, as "older than 3.6". */
  readonly note: string | undefined;
}

/** Starting takes at most so long: Java, three members, two busy cores. */
const START_TIMEOUT_MS = 60_000;

/** Finds a rival on this machine: the newer of PATH's and the peers cache's. */
export function findInstalled(kind: StoreKind, ours: string | undefined): Installed {
  switch (kind) {
    case "holdfast":
      return findOurs(ours);
    case "etcd":
      return findEtcd();
    case "zookeeper":
      return findZooKeeper();
    case "consul":
      return findConsul();
  }
}

function findOurs(command: string | undefined): Installed {
  if (command !== undefined)
    return { kind: "holdfast", command: command.split(/\s+/), version: "given", note: undefined };
  // From the bundle this file lies in dist/, from the sources in proof/bench/.
  const here = path.dirname(fileURLToPath(import.meta.url));
  const program = [path.join(here, "holdfast.js"), path.join(here, "../../dist/holdfast.js")].find((file) =>
    fs.existsSync(file),
  );
  if (program === undefined)
    throw new Error("Cannot find dist/holdfast.js: run npm run build, or name the command with --ours");
  return {
    kind: "holdfast",
    command: [process.execPath, program, "server"],
    version: firstLine(process.execPath, [program, "version"]).replace(/^holdfast version: /, ""),
    note: undefined,
  };
}

/** Where `npm run peers` builds real peers. */
function peersFolder(): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache");
  return process.env["HOLDFAST_PEERS"] ?? path.join(cache, "holdfast/peers/bin");
}

export function findEtcdctl(): string {
  const file = [path.join(peersFolder(), "etcdctl"), onPath("etcdctl")].find(
    (one) => one !== undefined && fs.existsSync(one),
  );
  if (file === undefined)
    throw new Error("Cannot find etcdctl on PATH or in the peers cache: run npm run peers");
  return file;
}

function findEtcd(): Installed {
  const found = [path.join(peersFolder(), "etcd"), onPath("etcd")]
    .filter((file): file is string => file !== undefined && fs.existsSync(file))
    .map((file) => ({ file, version: /\d+\.\d+\.\d+/.exec(firstLine(file, ["--version"]))?.[0] ?? "0.0.0" }))
    .sort((a, b) => versionNumber(b.version) - versionNumber(a.version))[0];
  if (!found) throw new Error("Cannot find etcd on PATH or in the peers cache: run npm run peers");
  const note =
    versionNumber(found.version) < versionNumber("3.6.0")
      ? `etcd ${found.version} is older than 3.6: not the rival that the goals name`
      : undefined;
  return { kind: "etcd", command: [found.file], version: found.version, note };
}

function versionNumber(text: string): number {
  const [major, minor, patch] = text.split(".").map(Number);
  return (major ?? 0) * 1e6 + (minor ?? 0) * 1e3 + (patch ?? 0);
}

function findZooKeeper(): Installed {
  const script = ["/usr/share/zookeeper/bin/zkServer.sh", onPath("zkServer.sh")].find(
    (file) => file !== undefined && fs.existsSync(file),
  );
  if (script === undefined)
    throw new Error("Cannot find ZooKeeper: install Debian's zookeeper and a Java runtime");
  const jar = fs.existsSync("/usr/share/java")
    ? fs.readdirSync("/usr/share/java").find((name) => /^zookeeper-\d[\d.]*\.jar$/.test(name))
    : undefined;
  return {
    kind: "zookeeper",
    command: [script, "start-foreground"],
    version: jar?.slice("zookeeper-".length, -".jar".length) ?? "unknown",
    note: undefined,
  };
}

function findConsul(): Installed {
  const file = onPath("consul");
  if (file === undefined) throw new Error("Cannot find consul on PATH");
  return {
    kind: "consul",
    command: [file, "agent"],
    version: firstLine(file, ["version"]).replace(/^Consul v/, ""),
    note: undefined,
  };
}

function onPath(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(":")
    .map((folder) => path.join(folder, name))
    .find((file) => fs.existsSync(file));
}

function firstLine(file: string, args: readonly string[]): string {
  try {
    return (
      execFileSync(file, args, {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        timeout: 10_000,
      }).split("\n")[0] ?? ""
    );
  } catch {
    return "unknown";
  }
}

interface Ports {
  readonly client: number;
  readonly peer: number;
  readonly third: number;
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Server>((resolve) => {
          const server = net.createServer().listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface LaunchOptions {
  readonly members: number;
  /** Members that may join later, numbered after the first ones. */
  readonly spares?: number;
  /** Holds a folder for each member. */
  readonly directory: string;
  readonly flags: readonly string[];
  /** Serves clients by TLS with these; `mutual` demands a certificate of them, and the load shows the same one. */
  readonly tls: ServerTls | undefined;
}

export interface ServerTls {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly mutual: boolean;
}

/** Of the few calls around a load. */
const CONTROL_SLOTS = 4;

function tlsOfClients(tls: ServerTls | undefined): TlsFiles {
  if (!tls) return NO_TLS;
  const { caFile, certFile, keyFile } = tls;
  return tls.mutual ? { ...NO_TLS, caFile, certFile, keyFile } : { ...NO_TLS, caFile };
}

/** A store that was started here. */
export class Cluster {
  readonly installed: Installed;
  /** Of the first members; one that joins has its own by `endpointOf`. */
  readonly endpoints: readonly string[];
  readonly directories: readonly string[];
  readonly tls: TlsFiles;
  readonly #allEndpoints: readonly string[];
  readonly #ports: readonly Ports[];
  readonly #options: LaunchOptions;
  readonly #children: (ChildProcess | undefined)[] = [];

  constructor(installed: Installed, options: LaunchOptions, ports: readonly Ports[]) {
    this.installed = installed;
    this.#options = options;
    this.#ports = ports;
    const scheme = options.tls ? "https://" : "";
    this.#allEndpoints = ports.map((one) => `${scheme}127.0.0.1:${one.client}`);
    this.endpoints = this.#allEndpoints.slice(0, options.members);
    this.directories = ports.map((_, i) => path.join(options.directory, `${installed.kind}-${i}`));
    this.tls = tlsOfClients(options.tls);
  }

  get kind(): StoreKind {
    return this.installed.kind;
  }

  pids(): number[] {
    return this.#children.flatMap((child) =>
      child?.pid === undefined || child.exitCode !== null || child.signalCode !== null ? [] : [child.pid],
    );
  }

  endpointOf(member: number): string {
    return this.#allEndpoints[member]!;
  }

  peerUrlOf(member: number): string {
    return `http://127.0.0.1:${this.#ports[member]!.peer}`;
  }

  /** Calls one member, connected for that; `member` may be one that joined. */
  async withControl<T>(member: number, body: (control: Control) => Promise<T>): Promise<T> {
    const control = new Control(
      await openRpc({
        endpoints: [this.endpointOf(member)],
        connectionCount: 1,
        slotCount: CONTROL_SLOTS,
        tls: this.tls,
        user: undefined,
      }),
      CONTROL_SLOTS,
    );
    try {
      return await body(control);
    } finally {
      await control.close();
    }
  }

  pidOf(member: number): number | undefined {
    return this.#children[member]?.pid;
  }

  /** Starts one member, without waiting for it to serve. */
  startMember(member: number): void {
    const directory = this.directories[member]!;
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const [program, ...args] = this.#commandOf(member);
    const log = fs.openSync(path.join(directory, "..", `${path.basename(directory)}.log`), "a");
    const child = spawn(program!, args, {
      stdio: ["ignore", log, log],
      env: { ...environmentOfStores(), ZOO_LOG_DIR: directory, JVMFLAGS: process.env["JVMFLAGS"] ?? "" },
    });
    fs.closeSync(log);
    running.add(child);
    child.on("exit", () => running.delete(child));
    child.on("error", () => running.delete(child));
    this.#children[member] = child;
  }

  /** Waits until a write would be served; rejects with the end of the log when a member ended or time is up. */
  async ready(): Promise<void> {
    const giveUpAt = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      for (const [i, child] of this.#children.entries()) {
        if (child && (child.exitCode !== null || child.signalCode !== null))
          throw new Error(`${this.kind} ended at its start: ${this.#logTail(i)}`);
      }
      if (await this.#serves()) return;
      if (Date.now() > giveUpAt)
        throw new Error(`${this.kind} does not serve after ${START_TIMEOUT_MS} ms: ${this.#logTail(0)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The endpoint of the leader, which clients are pointed at: a hop through a follower is not what rows compare. */
  async leader(): Promise<number> {
    if (this.endpoints.length === 1) return 0;
    for (let attempt = 0; attempt < 250; attempt++) {
      for (let i = 0; i < this.endpoints.length; i++) {
        if (await this.#leads(i)) return i;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${this.kind} has no leader`);
  }

  async status(member: number): Promise<StoreStatus> {
    return this.withControl(member, statusOf);
  }

  signal(member: number, name: NodeJS.Signals): void {
    this.#children[member]?.kill(name);
  }

  async stopMember(member: number, name: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#children[member];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(name);
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((_, i) => this.stopMember(i)));
    fs.rmSync(this.#options.directory, { recursive: true, force: true });
  }

  async #serves(): Promise<boolean> {
    try {
      if (this.kind === "zookeeper")
        return (await Promise.all(this.#ports.map((one) => fourLetters(one.client)))).every((answer) =>
          /Mode: /.test(answer),
        );
      if (this.kind === "consul")
        return (
          (await fetch(`http://${this.endpoints[0]}/v1/status/leader`).then((answer) => answer.text()))
            .length > 2
        );
      const statuses = await Promise.all(this.endpoints.map((_, i) => this.status(i)));
      return statuses.every((status) => status.hasLeader);
    } catch {
      return false;
    }
  }

  async #leads(member: number): Promise<boolean> {
    try {
      if (this.kind === "zookeeper")
        return /Mode: (leader|standalone)/.test(await fourLetters(this.#ports[member]!.client));
      if (this.kind === "consul") return true;
      return (await this.status(member)).isLeader;
    } catch {
      return false;
    }
  }

  #commandOf(member: number): string[] {
    switch (this.kind) {
      case "holdfast":
      case "etcd":
        return [...this.installed.command, ...this.#etcdFlags(member)];
      case "zookeeper":
        return [...this.installed.command, this.#zooKeeperConfiguration(member)];
      case "consul":
        return [...this.installed.command, ...this.#consulFlags(member)];
    }
  }

  #etcdFlags(member: number): string[] {
    const ports = this.#ports[member]!;
    const peer = this.peerUrlOf(member);
    const { tls, members } = this.#options;
    const joins = member >= members;
    const cluster = [...this.endpoints.keys(), ...(joins ? [member] : [])];
    const client = `${tls ? "https" : "http"}://127.0.0.1:${ports.client}`;
    return [
      ...["--name", `m${member}`, "--data-dir", this.directories[member]!],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", cluster.map((one) => `m${one}=${this.peerUrlOf(one)}`).join(",")],
      ...["--initial-cluster-state", joins ? "existing" : "new", "--log-level", "error"],
      ...(tls ? ["--cert-file", tls.certFile, "--key-file", tls.keyFile] : []),
      ...(tls?.mutual ? ["--client-cert-auth", "--trusted-ca-file", tls.caFile] : []),
      ...this.#options.flags,
    ];
  }

  #zooKeeperConfiguration(member: number): string {
    const ports = this.#ports[member]!;
    const directory = this.directories[member]!;
    const lines = [
      ...[
        "tickTime=2000",
        "initLimit=10",
        "syncLimit=5",
        `dataDir=${directory}/data`,
        `clientPort=${ports.client}`,
      ],
      ...[
        "clientPortAddress=127.0.0.1",
        "admin.enableServer=false",
        "4lw.commands.whitelist=*",
        "maxClientCnxns=0",
      ],
      ...(this.#ports.length > 1
        ? this.#ports.map((one, i) => `server.${i + 1}=127.0.0.1:${one.peer}:${one.third}`)
        : []),
    ];
    fs.mkdirSync(`${directory}/data`, { recursive: true });
    fs.writeFileSync(`${directory}/data/myid`, `${member + 1}\n`);
    fs.writeFileSync(`${directory}/zoo.cfg`, `${lines.join("\n")}\n`);
    return `${directory}/zoo.cfg`;
  }

  #consulFlags(member: number): string[] {
    const ports = this.#ports[member]!;
    return [
      ...[
        "-server",
        "-bootstrap-expect=1",
        "-bind=127.0.0.1",
        `-data-dir=${this.directories[member]!}`,
        `-http-port=${ports.client}`,
      ],
      ...[
        `-server-port=${ports.peer}`,
        `-serf-lan-port=${ports.third}`,
        "-serf-wan-port=-1",
        "-dns-port=-1",
        "-grpc-port=-1",
      ],
    ];
  }

  #logTail(member: number): string {
    try {
      const log = fs.readFileSync(`${this.directories[member]!}.log`, "utf8").trimEnd().split("\n");
      return log.slice(-3).join(" | ").slice(-600);
    } catch {
      return "no log";
    }
  }
}

/** ZooKeeper's four-letter word that names its mode. */
async function fourLetters(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.end("srvr"));
    let answer = "";
    socket.setTimeout(1000, () => socket.destroy());
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

/** Starts a store with all its members and waits until it serves. */
export async function launch(installed: Installed, options: LaunchOptions): Promise<Cluster> {
  const cluster = await prepareCluster(installed, options);
  for (let i = 0; i < options.members; i++) cluster.startMember(i);
  try {
    await cluster.ready();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/**
 * Ours without what is no part of a store: settings of etcd that its user has for clients, and certificates that each Node process
 * would read at its start (60 ms for those of a distribution).
 */
function environmentOfStores(): NodeJS.ProcessEnv {
  const isLeftOut = (name: string): boolean => name.startsWith("ETCD_") || name === "NODE_EXTRA_CA_CERTS";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isLeftOut(name)));
}

/** The same without starting, for rows that measure the start. */
export async function prepareCluster(installed: Installed, options: LaunchOptions): Promise<Cluster> {
  if (installed.kind === "consul" && options.members > 1)
    throw new Error("Consul is compared with one member only");
  const count = options.members + (options.spares ?? 0);
  const ports = await freePorts(count * 3);
  fs.mkdirSync(options.directory, { recursive: true });
  return new Cluster(
    installed,
    options,
    Array.from({ length: count }, (_, i) => ({
      client: ports[3 * i]!,
      peer: ports[3 * i + 1]!,
      third: ports[3 * i + 2]!,
    })),
  );
}
