// The programs that write and read: our client in this process, and the real ones, each a process that is told what to
// do. All answer the same few requests, so that one checker judges them all.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Client, compare, EtcdError, getOperation, putOperation } from "../../product/client/index.ts";
import { runPeer } from "../peers/conversation.ts";
import { findPeer } from "../peers/peers.ts";
import { PYTHON_DRIVER } from "./python-driver.ts";

export type KvRequest =
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "get" | "delete"; readonly key: string }
  /** Puts when the key's modification revision is the given one. */
  | { readonly kind: "cas"; readonly key: string; readonly value: string; readonly modRevision: number };

export interface KvAnswer {
  readonly revision: number;
  /** Whether a write was done: a comparison may fail, a key to delete may not be there. */
  readonly applied: boolean;
  /** Of a get: the value, undefined when there is none, and its modification revision. */
  readonly value: string | undefined;
  readonly modRevision: number;
}

/** The server, or the way to it, refused; the message is the status text. */
export class KvError extends Error {
  override readonly name = "KvError";
}

export interface KvDriver {
  readonly program: string;
  /** Between two requests; a program that starts anew for each is dear. */
  readonly pauseMs: number;
  /** Rejects with `KvError`. */
  send(request: KvRequest): Promise<KvAnswer>;
  close(): void;
}

/** Of one request at its client; a program that is silent for longer is started anew. */
const CALL_TIMEOUT_MS = 3_000;
const SILENCE_MS = 3 * CALL_TIMEOUT_MS;

const text = new TextDecoder();

export class OurDriver implements KvDriver {
  readonly program = "holdfast/client";
  readonly pauseMs = 12;
  readonly #client: Client;

  constructor(endpoint: string) {
    this.#client = Client.connect({ endpoints: [endpoint] });
  }

  async send(request: KvRequest): Promise<KvAnswer> {
    try {
      return await this.#call(request);
    } catch (error) {
      if (error instanceof EtcdError) throw new KvError(error.message, { cause: error });
      throw error;
    }
  }

  close(): void {
    this.#client.close();
  }

  async #call(request: KvRequest): Promise<KvAnswer> {
    const { kv } = this.#client;
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const { key } = request;
    switch (request.kind) {
      case "put": {
        const { header } = await kv.put(key, request.value, options);
        return { revision: header.revision, applied: true, value: undefined, modRevision: 0 };
      }
      case "get": {
        const { header, kvs } = await kv.get(key, options);
        const value = kvs[0] && text.decode(kvs[0].value);
        return { revision: header.revision, applied: false, value, modRevision: kvs[0]?.modRevision ?? 0 };
      }
      case "delete": {
        const { header, deleted } = await kv.delete(key, options);
        return { revision: header.revision, applied: deleted > 0, value: undefined, modRevision: 0 };
      }
      case "cas": {
        const { header, succeeded } = await kv.txn(
          {
            compare: [compare(key, "mod", "=", request.modRevision)],
            success: [putOperation(key, request.value)],
            failure: [getOperation(key)],
          },
          options,
        );
        return { revision: header.revision, applied: succeeded, value: undefined, modRevision: 0 };
      }
    }
  }
}

/** What a program answers in a line: an error, or the fields that are not zero. */
interface AnswerLine {
  readonly ready?: boolean;
  readonly error?: string;
  readonly revision?: number;
  readonly applied?: boolean;
  readonly value?: string;
  readonly modRevision?: number;
}

/** A program that reads a request a line and answers each with a line of JSON. */
class LineDriver implements KvDriver {
  readonly program: string;
  readonly pauseMs = 30;
  readonly #command: readonly string[];
  #child: ChildProcessWithoutNullStreams | undefined;
  #waiting: ((line: AnswerLine) => void) | undefined;

  constructor(program: string, command: readonly string[]) {
    this.program = program;
    this.#command = command;
  }

  /** Whether the program says that it is ready. */
  async start(): Promise<boolean> {
    return (await this.#said(() => this.#spawn())).ready === true;
  }

  async send(request: KvRequest): Promise<KvAnswer> {
    if (this.#child === undefined && !(await this.start()))
      throw new KvError(`${this.program} does not start`);
    const line = await this.#said(() => this.#child?.stdin.write(lineOf(request) + "\n"));
    if (line.error !== undefined) throw new KvError(line.error);
    if (line.revision === undefined) throw new KvError(`${this.program} says ${JSON.stringify(line)}`);
    return {
      revision: line.revision,
      applied: line.applied ?? false,
      value: line.value,
      modRevision: line.modRevision ?? 0,
    };
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  #spawn(): void {
    const [program, ...words] = this.#command;
    const child = spawn(program!, words, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    this.#child = child;
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
    child.stdin.on("error", () => undefined); // the end tells
    createInterface(child.stdout).on("line", (line) => {
      if (this.#child === child) this.#waiting?.(JSON.parse(line) as AnswerLine);
    });
    child.once("error", (error) => this.#ended(child, error.message));
    child.once("close", () => this.#ended(child, complaint.trim()));
  }

  #ended(child: ChildProcessWithoutNullStreams, why: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#waiting?.({ error: `${this.program} ended: ${why}` });
  }

  #said(ask: () => void): Promise<AnswerLine> {
    return new Promise((resolve) => {
      const silent = setTimeout(() => {
        // A late answer would be taken for the next one's.
        this.close();
        this.#waiting?.({ error: `${this.program} is silent` });
      }, SILENCE_MS);
      this.#waiting = (line) => {
        clearTimeout(silent);
        this.#waiting = undefined;
        resolve(line);
      };
      ask();
    });
  }
}

function lineOf(request: KvRequest): string {
  switch (request.kind) {
    case "put":
      return `put ${request.key} ${request.value}`;
    case "cas":
      return `cas ${request.key} ${request.modRevision} ${request.value}`;
    default:
      return `${request.kind} ${request.key}`;
  }
}

/** A process for every request. */
class EtcdctlDriver implements KvDriver {
  readonly program = "etcdctl";
  readonly pauseMs = 250;
  readonly #file: string;
  readonly #endpoint: string;

  constructor(file: string, endpoint: string) {
    this.#file = file;
    this.#endpoint = endpoint;
  }

  async send(request: KvRequest): Promise<KvAnswer> {
    const { words, input } = etcdctlWords(request);
    const said = await runPeer(
      this.#file,
      [`--endpoints=${this.#endpoint}`, "--command-timeout=3s", "--dial-timeout=2s", "-w", "json", ...words],
      input,
    );
    if (said.exitCode !== 0)
      throw new KvError(
        said.stderr
          .trim()
          .split("\n")
          .at(-1)!
          .replace(/^Error: /, ""),
      );
    return etcdctlAnswer(request, said.stdout);
  }

  close(): void {
    // Nothing runs between two requests.
  }
}

function etcdctlWords(request: KvRequest): { readonly words: readonly string[]; readonly input?: string } {
  const { key } = request;
  switch (request.kind) {
    case "put":
      return { words: ["put", key, request.value] };
    case "get":
      return { words: ["get", key] };
    case "delete":
      return { words: ["del", key] };
    case "cas":
      return {
        words: ["txn"],
        input: `mod("${key}") = "${request.modRevision}"\n\nput ${key} ${request.value}\n\nget ${key}\n\n`,
      };
  }
}

interface EtcdctlJson {
  readonly header: { readonly revision: number };
  readonly kvs?: readonly { readonly value?: string; readonly mod_revision: number }[];
  readonly deleted?: number;
  readonly succeeded?: boolean;
}

function etcdctlAnswer(request: KvRequest, stdout: string): KvAnswer {
  const { header, kvs, deleted = 0, succeeded = false } = JSON.parse(stdout) as EtcdctlJson;
  const kv = kvs?.[0];
  const applied = { put: true, get: false, delete: deleted > 0, cas: succeeded }[request.kind];
  return {
    revision: header.revision,
    applied,
    value: kv && Buffer.from(kv.value ?? "", "base64").toString(),
    modRevision: kv?.mod_revision ?? 0,
  };
}

export interface PeerDrivers {
  readonly drivers: readonly KvDriver[];
  /** Which programs do not take part, and why. */
  readonly leftOut: readonly string[];
}

const NOT_HERE = "is not on this machine (npm run peers)";

/** One of each real client that is on this machine, each at a member of its own. */
export async function startPeerDrivers(endpoints: readonly string[]): Promise<PeerDrivers> {
  const drivers: KvDriver[] = [];
  const leftOut: string[] = [];
  let next = 0;
  const endpoint = (): string => endpoints[next++ % endpoints.length]!;
  const etcdctl = findPeer("etcdctl") ?? findPeer("etcdctl-debian");
  if (etcdctl === undefined) leftOut.push(`etcdctl ${NOT_HERE}`);
  else drivers.push(new EtcdctlDriver(etcdctl, endpoint()));
  const [clientv3, python] = [findPeer("clientv3"), findPeer("python3-etcd3")];
  const lines: LineDriver[] = [];
  if (clientv3 === undefined) leftOut.push(`clientv3 ${NOT_HERE}`);
  else lines.push(new LineDriver("clientv3", [clientv3, "drive", "--endpoint", endpoint()]));
  if (python === undefined) leftOut.push(`python3-etcd3 ${NOT_HERE}`);
  else lines.push(new LineDriver("python3-etcd3", [python, "-c", PYTHON_DRIVER, ...endpoint().split(":")]));
  for (const driver of lines) {
    if (await driver.start()) drivers.push(driver);
    else {
      driver.close();
      leftOut.push(`${driver.program} does not start`);
    }
  }
  return { drivers, leftOut };
}
