// Echo over loopback TCP, client and server in a process each: `npx tsx io/net/loopback.bench.ts [seconds]`.
// p50 of one client, then the rate of 100 clients on 10 connections and of 1000 on 100.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import { METHOD } from "../../core/wire/service.ts";
import { systemClock } from "../clock.ts";
import { NetClient } from "./client.ts";
import { EchoHandler } from "./echo-handler.ts";
import { serve } from "./server.ts";

const REQUEST = new Uint8Array(330).fill(7);

if (process.argv[2] === "serve") await runServer();
else await runClient(Number(process.argv[2] ?? "2"));

async function runServer(): Promise<void> {
  const server = await serve({
    urls: ["http://127.0.0.1:0"],
    handler: new EchoHandler(),
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
  process.on("disconnect", () => process.exit());
  process.on("message", () => process.send!({ cpu: process.cpuUsage() }));
  process.send!({ address: server.addresses[0] });
}

async function runClient(seconds: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ["serve"]);
  const ask = <T>(): Promise<T> => new Promise((resolve) => child.once("message", (it) => resolve(it as T)));
  const { address } = await ask<{ address: string }>();
  for (const [clients, connections] of [
    [1, 1],
    [100, 10],
    [1000, 100],
    [1, 1],
    [100, 10],
  ] as const) {
    const before = ask<{ cpu: NodeJS.CpuUsage }>();
    child.send("cpu");
    const cpuBefore = (await before).cpu;
    const times = await run(address, { clients, connections, seconds });
    const after = ask<{ cpu: NodeJS.CpuUsage }>();
    child.send("cpu");
    const cpu = (await after).cpu;
    const cpuUs = cpu.user + cpu.system - cpuBefore.user - cpuBefore.system;
    times.sort();
    const at = (share: number): string => times[Math.floor(times.length * share)]!.toFixed(3);
    console.log(
      `${clients} clients on ${connections}: ${Math.round(times.length / seconds)}/s, ` +
        `p50 ${at(0.5)} p99 ${at(0.99)} p99.9 ${at(0.999)} ms, server CPU ${(cpuUs / times.length).toFixed(1)} us a call`,
    );
  }
  child.disconnect();
}

interface Load {
  readonly clients: number;
  readonly connections: number;
  readonly seconds: number;
}

async function run(endpoint: string, load: Load): Promise<Float64Array> {
  const clients = Array.from({ length: load.connections }, () => new NetClient({ endpoint }));
  await Promise.all(clients.map((client) => client.ready()));
  const times = new Float64Array(20_000_000);
  let count = 0;
  const endMs = performance.now() + load.seconds * 1000;
  await new Promise<void>((resolve, reject) => {
    let running = load.clients;
    const startedMs = new Float64Array(load.clients);
    const next = (number: number): void => {
      startedMs[number] = performance.now();
      const call = clients[number % clients.length]!.call(METHOD.range, handler);
      call.slot = number;
      call.send(REQUEST, 0, REQUEST.length);
      call.halfClose();
    };
    const handler: ClientHandler = {
      onMessage: () => undefined,
      onEnd: (call: ClientCall, code, text) => {
        if (code !== 0) return reject(new Error(text));
        const nowMs = performance.now();
        times[count++] = nowMs - startedMs[call.slot]!;
        if (nowMs < endMs) next(call.slot);
        else if (--running === 0) resolve();
      },
    };
    for (let number = 0; number < load.clients; number++) next(number);
  });
  for (const client of clients) client.close();
  return times.slice(0, count);
}
