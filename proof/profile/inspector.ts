// Node's inspector in a running process: SIGUSR1 opens it on loopback, a WebSocket speaks its protocol.

import * as fs from "node:fs";
import * as http from "node:http";
import { WebSocketClient } from "./websocket.ts";

const OPEN_TIMEOUT_MS = 5000;
const CALL_TIMEOUT_MS = 60_000;
const CLOSE_LATER = `(() => {
  const inspector = require("node:inspector");
  setTimeout(() => { try { inspector.close(); } catch {} }, 300).unref();
})()`;

export class Inspector {
  #socket: WebSocketClient | undefined;
  #next = 0;
  readonly #waiting = new Map<
    number,
    { resolve: (result: unknown) => void; reject: (error: Error) => void; timer: NodeJS.Timeout }
  >();

  /** Opens the inspector of a process of this machine and connects to it. */
  static async open(pid: number): Promise<Inspector> {
    const url = await debuggerUrl(pid);
    const inspector = new Inspector();
    inspector.#socket = await WebSocketClient.open(url, (text) => inspector.#take(text));
    return inspector;
  }

  async call<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
    const id = ++this.#next;
    const result = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`Inspector: no answer to ${method}`));
      }, CALL_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
    });
    this.#socket!.send(JSON.stringify({ id, method, params }));
    return (await result) as T;
  }

  /** Runs an expression in the process, which sees `require`; gives its value, which must be plain data. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.call<{
      result: { value?: T };
      exceptionDetails?: { exception?: { description?: string } };
    }>("Runtime.evaluate", {
      expression,
      includeCommandLineAPI: true,
      returnByValue: true,
    });
    if (answer.exceptionDetails)
      throw new Error(
        `Inspector: ${answer.exceptionDetails.exception?.description ?? "the expression failed"}`,
      );
    return answer.result.value as T;
  }

  /** Disconnects, and has the process close its inspector, so that no door stays open. */
  async close(): Promise<void> {
    // `require` is there only while the expression runs: whatever is needed later is taken now, and nothing may throw
    // later, which would end a server that was only to be looked at.
    await this.evaluate(CLOSE_LATER).catch(() => {});
    this.#socket?.close();
    for (const waiting of this.#waiting.values()) clearTimeout(waiting.timer);
  }

  #take(text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: unknown; error?: { message: string } };
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (!waiting) return; // an event
    this.#waiting.delete(message.id!);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new Error(`Inspector: ${message.error.message}`));
    else waiting.resolve(message.result);
  }
}

async function debuggerUrl(pid: number): Promise<string> {
  const giveUpAt = Date.now() + OPEN_TIMEOUT_MS;
  let hasAsked = false;
  for (;;) {
    for (const port of portsOf(pid)) {
      const url = await urlOn(port);
      if (url !== undefined) return url;
    }
    if (Date.now() > giveUpAt) {
      throw new Error(
        `Process ${pid} opened no inspector: it is no Node program, handles SIGUSR1 itself, or the port 9229 is taken (start it with --inspect-port=0)`,
      );
    }
    if (!hasAsked) {
      if (!/\bnode|holdfast/.test(nameOf(pid)))
        throw new Error(`Process ${pid} (${nameOf(pid)}) is no Node program: SIGUSR1 might end it`);
      process.kill(pid, "SIGUSR1");
      hasAsked = true;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function nameOf(pid: number): string {
  try {
    return `${fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim()} ${fs.readlinkSync(`/proc/${pid}/exe`)}`;
  } catch {
    throw new Error(`There is no process ${pid} that we may look into`);
  }
}

/** TCP ports on which a process listens on 127.0.0.1. */
function portsOf(pid: number): number[] {
  const sockets = new Set<string>();
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    try {
      const target = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (target.startsWith("socket:[")) sockets.add(target.slice(8, -1));
    } catch {
      // closed meanwhile
    }
  }
  const ports: number[] = [];
  for (const line of fs.readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] !== "0A" || !sockets.has(fields[9] ?? "")) continue;
    const [address, port] = fields[1]!.split(":") as [string, string];
    if (address === "0100007F") ports.push(Number.parseInt(port, 16));
  }
  return ports;
}

async function urlOn(port: number): Promise<string | undefined> {
  const body = await new Promise<string>((resolve) => {
    const request = http.get(
      { host: "127.0.0.1", port, path: "/json/list", timeout: 1000, agent: false },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve(text));
        response.on("error", () => resolve(""));
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(""));
  });
  return /"webSocketDebuggerUrl":\s*"([^"]+)"/.exec(body)?.[1];
}
