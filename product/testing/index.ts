/**
 * Real clusters for tests, `holdfast/testing`: members in this process, on disk and on loopback, with free ports and
 * directories of their own.
 *
 *   const cluster = await startCluster({ members: 3 });
 *   const client = Client.connect({ endpoints: cluster.endpoints });
 *   …
 *   client.close();
 *   await cluster.stop();
 */

import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { Writable } from "node:stream";
import { Client } from "../client/index.ts";
import { type EmbeddedMember, startMember } from "../server/index.ts";

export interface ClusterOptions {
  /** 1, 3, 5 or 7; default 1. */
  readonly members?: number;
  /** Further flags for every member, as `--quota-backend-bytes=…`. */
  readonly flags?: readonly string[];
  /** Takes the members' logs; default: nobody. */
  readonly log?: Writable;
}

export interface TestMember {
  readonly name: string;
  /** host:port */
  readonly endpoint: string;
  readonly isRunning: boolean;
  /** Stops it and keeps its data. */
  stop(): Promise<void>;
  /** Starts it again on its data and ports. */
  start(): Promise<void>;
}

export interface TestCluster {
  /** host:port of every member, for clients. */
  readonly endpoints: readonly string[];
  readonly members: readonly TestMember[];
  /** Stops all members and removes their data. */
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;

/** Starts a cluster; resolves when it serves. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { members: count = 1, flags = [], log = silent() } = options;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-cluster-"));
  const ports = await freePorts(2 * count);
  const peerUrl = (index: number): string => `http://127.0.0.1:${ports[count + index]!}`;
  const names = Array.from({ length: count }, (_, index) => `m${index + 1}`);
  const members = names.map((name, index) => {
    const endpoint = `127.0.0.1:${ports[index]!}`;
    const own = [
      `--name=${name}`,
      `--data-dir=${path.join(folder, name)}`,
      `--listen-client-urls=http://${endpoint}`,
      `--advertise-client-urls=http://${endpoint}`,
      `--listen-peer-urls=${peerUrl(index)}`,
      `--initial-advertise-peer-urls=${peerUrl(index)}`,
      `--initial-cluster=${names.map((it, i) => `${it}=${peerUrl(i)}`).join(",")}`,
    ];
    return new Member(name, endpoint, { flags: [...own, ...flags], log });
  });
  const endpoints = members.map((member) => member.endpoint);
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
    fs.rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(members.map((member) => member.start()));
    await serves(endpoints);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoints, members, stop };
}

class Member implements TestMember {
  readonly name: string;
  readonly endpoint: string;
  readonly #options: { readonly flags: readonly string[]; readonly log: Writable };
  #running: EmbeddedMember | undefined;

  constructor(name: string, endpoint: string, options: { flags: readonly string[]; log: Writable }) {
    this.name = name;
    this.endpoint = endpoint;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  async start(): Promise<void> {
    this.#running ??= await startMember(this.#options);
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }
}

/** A linearizable read at each member: it has found its leader. */
async function serves(endpoints: readonly string[]): Promise<void> {
  await Promise.all(
    endpoints.map(async (endpoint) => {
      const client = Client.connect({ endpoints: [endpoint] });
      try {
        await client.kv.get("ready", { timeoutMs: READY_TIMEOUT_MS });
      } finally {
        client.close();
      }
    }),
  );
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map(async (server) => server.listening || once(server, "listening")));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function silent(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
