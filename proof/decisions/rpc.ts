// Transport: the same load, from our own client, on three servers; see rpc-server.ts.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import type { ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import * as m from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { NetClient } from "../../io/net/client.ts";
import { medianRows, quantile, type Row } from "./measure.ts";
import { RPC_KINDS, type RpcKind } from "./rpc-server.ts";

export interface RpcOptions {
  readonly packages: string;
  readonly missing: ReadonlySet<string>;
  readonly rounds: number;
  readonly seconds: number;
}

interface Served {
  readonly kind: RpcKind;
  readonly child: ChildProcess;
  readonly address: string;
}

export async function measureRpc(options: RpcOptions): Promise<Row[]> {
  const servers: Served[] = [];
  try {
    for (const kind of RPC_KINDS)
      if (!options.missing.has(kind)) servers.push(await startServer(kind, options.packages));
    for (const server of servers)
      await runLoad(server.address, { clients: 100, connections: 10, seconds: 1 }); // warm-up
    const rounds: Row[][] = [];
    for (let round = 0; round < options.rounds; round++) {
      const rows: Row[] = [];
      for (const server of servers)
        rows.push({ name: server.kind, figures: await measureServer(server, options.seconds) });
      rounds.push(rows);
    }
    return medianRows(rounds);
  } finally {
    for (const { child } of servers) child.disconnect();
  }
}

async function measureServer(server: Served, seconds: number): Promise<Row["figures"]> {
  const alone = await runLoad(server.address, { clients: 1, connections: 1, seconds });
  const cpuBefore = await cpuOf(server.child);
  const many = await runLoad(server.address, { clients: 100, connections: 10, seconds });
  const cpu = (await cpuOf(server.child)) - cpuBefore;
  return {
    "1 client p50 us": quantile(alone, 0.5) * 1000,
    "100 clients/s": many.length / seconds,
    "p50 ms": quantile(many, 0.5),
    "p99 ms": quantile(many, 0.99),
    "server CPU us/call": cpu / many.length,
  };
}

async function startServer(kind: RpcKind, packages: string): Promise<Served> {
  const child = fork(fileURLToPath(new URL("./rpc-server.ts", import.meta.url)), [kind, packages]);
  const { address } = await nextMessage<{ address: string }>(child);
  return { kind, child, address };
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error("the server ended"));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message as T);
    });
  });
}

async function cpuOf(child: ChildProcess): Promise<number> {
  const answer = nextMessage<{ cpuUs: number }>(child);
  child.send("cpu");
  return (await answer).cpuUs;
}

interface Load {
  readonly clients: number;
  readonly connections: number;
  readonly seconds: number;
}

function putRequest(): Uint8Array {
  const writer = new ByteWriter();
  encode(m.PutRequest, { key: new Uint8Array(64).fill(107), value: new Uint8Array(256).fill(118) }, writer);
  return writer.copy();
}

/** Every client sends its next put when the last one is answered; gives all latencies, milliseconds. */
async function runLoad(endpoint: string, load: Load): Promise<number[]> {
  const request = putRequest();
  const clients = Array.from({ length: load.connections }, () => new NetClient({ endpoint }));
  await Promise.all(clients.map((client) => client.ready()));
  const times: number[] = [];
  const endMs = performance.now() + load.seconds * 1000;
  await new Promise<void>((resolve, reject) => {
    let running = load.clients;
    let replyCount = 0;
    const startedMs = new Float64Array(load.clients);
    const next = (slot: number): void => {
      startedMs[slot] = performance.now();
      const call = clients[slot % clients.length]!.call(METHOD.put, handler);
      call.slot = slot;
      call.send(request, 0, request.length);
      call.halfClose();
    };
    const handler: ClientHandler = {
      onMessage: (_call, _bytes, start, end) => void (end > start && replyCount++),
      onEnd: (call: ClientCall, code, text) => {
        if (code !== 0) return reject(new Error(text));
        const nowMs = performance.now();
        times.push(nowMs - startedMs[call.slot]!);
        if (nowMs < endMs) next(call.slot);
        else if (--running > 0) return;
        else if (replyCount === times.length) resolve();
        else reject(new Error("a call ended well without a reply"));
      },
    };
    for (let slot = 0; slot < load.clients; slot++) next(slot);
  });
  for (const client of clients) client.close();
  return times;
}
