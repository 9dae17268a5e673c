/**
 * Members as processes that a check starts, kills and starts again on the same directory and ports. (target.ts is for
 * conversations with one server that nothing happens to.)
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as net from "node:net";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 20;

export interface ServerOptions {
  readonly name: string;
  readonly directory: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** `name=url` pairs; this member alone when undefined. */
  readonly initialCluster?: string;
  readonly flags?: readonly string[];
  /** Program and first words of another kind of server with the same flags. */
  readonly command?: readonly string[];
}

export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

const running = new Set<ChildProcess>();
// Whatever happens to the check, its servers end with it.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class ServerProcess {
  readonly options: ServerOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> = Promise.resolve({ exitCode: null, signal: null });
  #log = "";
  /** What it said before the last start. */
  #earlier = "";

  constructor(options: ServerOptions) {
    this.options = options;
  }

  get endpoint(): string {
    return `127.0.0.1:${this.options.clientPort}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What it said since the last start. */
  get log(): string {
    return this.#log;
  }

  /** What it said at the end of every life, for the report of a failure that a restart follows. */
  get history(): string {
    return this.#earlier + this.#log;
  }

  /** Resolves when the process that runs now, or ran last, is gone. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  start(): void {
    const [program, ...words] = this.options.command ?? [...ourCommand(), "server"];
    const child = spawn(program!, [...words, ...this.#flags()], {
      stdio: ["ignore", "pipe", "pipe"],
      env: withoutEtcdVariables(),
    });
    if (this.#log !== "") this.#earlier = `${this.history.slice(-20_000)}-- started again --\n`;
    this.#log = "";
    const listen = (chunk: Buffer): void => {
      // The last words are what a report of a failure needs.
      this.#log = (this.#log + chunk.toString()).slice(-20_000);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    running.add(child);
    this.#child = child;
    this.#ended = once(child, "close").then(([exitCode, signal]) => {
      running.delete(child);
      if (this.#child === child) this.#child = undefined;
      return { exitCode: exitCode as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  /**
   * Resolves when the member says that it is well: `health` asks a majority, and an alarm makes it fail;
   * `health?serializable=true` asks only this member; `livez` fails for no alarm.
   */
  async ready({ endpoint = "health" }: { readonly endpoint?: string } = {}): Promise<void> {
    const endMs = performance.now() + READY_TIMEOUT_MS;
    while (this.#child !== undefined && performance.now() < endMs) {
      if ((await httpGet(`http://${this.endpoint}/${endpoint}`)) !== undefined) return;
      await delay(POLL_MS);
    }
    const why = this.#child === undefined ? "ended" : `does not answer within ${READY_TIMEOUT_MS / 1000} s`;
    throw new Error(`${this.options.name} ${why}; it said:\n${this.#log}`);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    this.#child?.kill(signal);
    const hung = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const ended = await this.#ended;
    clearTimeout(hung);
    return ended;
  }

  async isLeader(): Promise<boolean> {
    const metrics = await httpGet(`http://${this.endpoint}/metrics`);
    return metrics !== undefined && /^etcd_server_is_leader 1/m.test(metrics);
  }

  #flags(): string[] {
    const { name, directory, clientPort, peerPort, initialCluster, flags = [] } = this.options;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    return [
      `--name=${name}`,
      `--data-dir=${directory}`,
      `--listen-client-urls=http://127.0.0.1:${clientPort}`,
      `--advertise-client-urls=http://127.0.0.1:${clientPort}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${initialCluster ?? `${name}=${peerUrl}`}`,
      ...flags,
    ];
  }
}

/** Members m1, m2, … of one cluster on free ports, not started yet. */
export async function makeMembers(
  count: number,
  {
    folder,
    flags = [],
    command,
  }: {
    readonly folder: string;
    readonly flags?: readonly string[];
    readonly command?: readonly string[] | undefined;
  },
): Promise<ServerProcess[]> {
  const ports = await freePorts(2 * count);
  const peerPort = (index: number): number => ports[count + index]!;
  const names = Array.from({ length: count }, (_, index) => `m${index + 1}`);
  const initialCluster = names.map((name, index) => `${name}=http://127.0.0.1:${peerPort(index)}`).join(",");
  return names.map(
    (name, index) =>
      new ServerProcess({
        name,
        directory: path.join(folder, name),
        clientPort: ports[index]!,
        peerPort: peerPort(index),
        initialCluster,
        flags,
        ...(command === undefined ? {} : { command }),
      }),
  );
}

let command: readonly string[] | undefined;

/** How our program is started without the launcher in between: its checks would be done at every start. */
export function ourCommand(): readonly string[] {
  command ??= [process.execPath, builtProgram()];
  return command;
}

function builtProgram(): string {
  const given = process.env["HOLDFAST_PROGRAM"];
  if (given !== undefined) return given;
  const started = process.argv[1] ?? "";
  if (path.basename(started) === "holdfast.js") return started;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  execFileSync(path.join(root, "holdfast"), ["version"], { stdio: ["ignore", "ignore", "inherit"] });
  return path.join(root, "dist/holdfast.js");
}

function withoutEtcdVariables(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ETCD_")));
}

/** The answer's text; undefined when there is none, or it is not a success. */
export async function httpGet(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
    const text = await response.text();
    return response.ok ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("Cannot find a free port");
    ports.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
