// Members in this process for tests of how they start: each with a directory and ports of its own, and the flags to try.

import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { Writable } from "node:stream";
import { Client } from "../client/index.ts";
import { serverConfig } from "./config.ts";
import { parseServerFlags } from "./flags.ts";
import { Log } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";

const READY_TIMEOUT_MS = 20_000;

export class TestMembers {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-members-"));
  readonly #ports: readonly number[];
  readonly #running = new Map<number, RunningServer>();
  readonly #scheme: string;
  readonly #count: number;
  /** What they said, all of them. */
  log = "";

  private constructor(count: number, ports: readonly number[], scheme: string) {
    this.#count = count;
    this.#ports = ports;
    this.#scheme = scheme;
  }

  static async make(count: number, scheme = "http"): Promise<TestMembers> {
    return new TestMembers(count, await freePorts(2 * count), scheme);
  }

  name(index: number): string {
    return `m${index + 1}`;
  }

  directory(index: number): string {
    return path.join(this.folder, this.name(index));
  }

  endpoint(index: number): string {
    return `127.0.0.1:${this.#ports[index]!}`;
  }

  peerUrl(index: number): string {
    return `${this.#scheme}://127.0.0.1:${this.#ports[this.#count + index]!}`;
  }

  flags(index: number): string[] {
    const members = Array.from({ length: this.#count }, (_, i) => `${this.name(i)}=${this.peerUrl(i)}`);
    return [
      `--name=${this.name(index)}`,
      `--data-dir=${this.directory(index)}`,
      `--listen-client-urls=http://${this.endpoint(index)}`,
      `--advertise-client-urls=http://${this.endpoint(index)}`,
      `--listen-peer-urls=${this.peerUrl(index)}`,
      `--initial-advertise-peer-urls=${this.peerUrl(index)}`,
      `--initial-cluster=${members.join(",")}`,
    ];
  }

  /** Later flags win. */
  async start(index: number, ...more: readonly string[]): Promise<RunningServer> {
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.log += `${this.name(index)} ${chunk.toString()}`;
        done();
      },
    });
    const config = serverConfig(parseServerFlags([...this.flags(index), ...more], {}));
    const server = await startServer(config, new Log([sink], { level: "info" }));
    this.#running.set(index, server);
    return server;
  }

  async stop(index: number): Promise<void> {
    const server = this.#running.get(index);
    this.#running.delete(index);
    await server?.stop();
  }

  wipe(index: number): void {
    fs.rmSync(this.directory(index), { recursive: true });
  }

  client(...indexes: readonly number[]): Client {
    return Client.connect({ endpoints: indexes.map((index) => this.endpoint(index)) });
  }

  /** A linearizable read at each of them. */
  async ready(...indexes: readonly number[]): Promise<void> {
    for (const index of indexes) {
      const client = this.client(index);
      try {
        await client.kv.get("ready", { timeoutMs: READY_TIMEOUT_MS });
      } finally {
        client.close();
      }
    }
  }

  async close(): Promise<void> {
    for (const index of this.#running.keys()) await this.stop(index);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map(async (server) => server.listening || once(server, "listening")));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
