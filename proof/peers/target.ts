/**
 * A server process for the checks in this folder: ours, or a real etcd to check the checks themselves.
 *
 *   HOLDFAST_PEER_TARGET=etcd npx tsx tools/peer-checks.ts
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requirePeer } from "./peers.ts";

const launcher = fileURLToPath(new URL("../../holdfast", import.meta.url));
const startDeadlineMs = 30_000;
const stopDeadlineMs = 10_000;

export type Target = {
  /** host:port of the client listener. */
  readonly endpoint: string;
  readonly pid: number;
  readonly dataFolder: string;
  /** What the server said so far, for the report of a failure. */
  log(): string;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
};

/** A port that was free a moment ago. Another process may take it first; then the start fails with its number. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") {
    throw new Error("Cannot find a free port");
  }
  return address.port;
}

function commandOf(kind: string): [string, string[]] {
  if (kind === "etcd") {
    return [requirePeer("etcd"), []];
  }
  if (kind === "holdfast") {
    return [launcher, ["server"]];
  }
  throw new Error(`Cannot start ${kind}: HOLDFAST_PEER_TARGET is holdfast or etcd`);
}

function isHealthy(endpoint: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get(`http://${endpoint}/health`, { timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => {
      resolve(false);
    });
  });
}

/** Starts the server with one member on free ports and waits until it says that it is healthy. */
export async function startTarget(kind = process.env["HOLDFAST_PEER_TARGET"] ?? "holdfast"): Promise<Target> {
  const [program, words] = commandOf(kind);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-peer-"));
  const client = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const flags = ["--data-dir", path.join(folder, "data"), "--name", "default"];
  flags.push("--listen-client-urls", client, "--advertise-client-urls", client);
  flags.push("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer);
  flags.push("--initial-cluster", `default=${peer}`);
  const child = spawn(program, [...words, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const exited = once(child, "exit");

  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const hung = setTimeout(() => child.kill("SIGKILL"), stopDeadlineMs);
      await exited;
      clearTimeout(hung);
    }
    fs.rmSync(folder, { recursive: true, force: true });
  };

  const endpoint = client.slice("http://".length);
  const deadline = performance.now() + startDeadlineMs;
  while (!(await isHealthy(endpoint))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stop();
      throw new Error(
        `Cannot start ${program}: exit code ${child.exitCode ?? "none yet"}, it said:\n${said}`,
      );
    }
    await delay(50);
  }
  return { endpoint, pid: child.pid ?? 0, dataFolder: path.join(folder, "data"), log: () => said, stop };
}
