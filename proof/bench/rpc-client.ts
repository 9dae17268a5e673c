// `Rpc` on our own client transport: one handler object for all unary calls, slots in columns.

import type { ByteWriter } from "../../core/base/byte-writer.ts";
import { CALL_FREE, type ClientCall, type ClientHandler } from "../../core/grpc/client-call.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { NetClient } from "../../io/net/client.ts";
import type { ClientTls } from "../../io/net/tls.ts";
import { Control } from "./control.ts";
import {
  isTls,
  NO_SINK,
  type Rpc,
  type RpcOptions,
  type RpcStream,
  type StreamSink,
  type TlsFiles,
} from "./rpc.ts";

/** A list's memory is used again: fresh memory costs a page fault for every 4 KiB, a tenth of what a large list takes. */
const MESSAGE_KEPT_BYTES_MAX = 256 * 1024 * 1024;

/** Connects all connections; rejects when one cannot be had. */
export async function openRpc(options: RpcOptions): Promise<Rpc> {
  const clients: NetClient[] = [];
  for (let i = 0; i < options.connectionCount; i++) {
    const endpoint = options.endpoints[i % options.endpoints.length]!;
    const tls = tlsFor(endpoint, options.tls);
    clients.push(
      new NetClient({
        endpoint,
        userAgent: "holdfast-bench",
        messageKeptBytesMax: MESSAGE_KEPT_BYTES_MAX,
        ...(tls ? { tls } : {}),
      }),
    );
  }
  const rpc = new ClientRpc(options, clients);
  try {
    await Promise.all(clients.map((client) => client.ready()));
    if (options.user !== undefined) await logIn(rpc, clients, options.user);
  } catch (error) {
    await rpc.close();
    throw error;
  }
  return rpc;
}

function tlsFor(endpoint: string, files: TlsFiles): ClientTls | undefined {
  const { caFile, certFile, keyFile, insecureSkipVerify } = files;
  if (!isTls(endpoint, files)) return undefined;
  return {
    insecureSkipVerify,
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  };
}

async function logIn(rpc: Rpc, clients: readonly NetClient[], user: string): Promise<void> {
  const colon = user.indexOf(":");
  if (colon < 0) throw new Error("--user must be NAME:PASSWORD");
  const control = new Control(rpc, 1);
  const { token } = await control.call(METHOD.authenticate, {
    name: user.slice(0, colon),
    password: user.slice(colon + 1),
  });
  for (const client of clients) client.setMetadata({ token });
  rpc.sink = NO_SINK;
}

class ClientRpc implements Rpc, ClientHandler {
  readonly connectionCount: number;
  readonly endpoints: readonly string[];
  sink = NO_SINK;
  readonly #clients: readonly NetClient[];
  /** By slot: the call that its operation is waiting for. */
  readonly #calls: (ClientCall | undefined)[];
  /** Text of a call that ended before `NetClient.call` returned. */
  #endedAtOnce: string | undefined;

  constructor(options: RpcOptions, clients: readonly NetClient[]) {
    this.connectionCount = options.connectionCount;
    this.endpoints = options.endpoints;
    this.#clients = clients;
    this.#calls = Array.from({ length: options.slotCount }, () => undefined);
  }

  unary(slot: number, method: Method, message: ByteWriter): void {
    const call = this.#clients[slot % this.connectionCount]!.call(method, this);
    if (call.phase === CALL_FREE) {
      const text = this.#endedAtOnce ?? "the call ended at once";
      queueMicrotask(() => this.sink.onFailure(slot, text));
      return;
    }
    call.slot = slot;
    this.#calls[slot] = call;
    call.send(message.bytes, 0, message.position);
    call.halfClose();
  }

  abandon(slot: number): void {
    const call = this.#calls[slot];
    if (!call) return;
    this.#calls[slot] = undefined;
    call.cancel();
  }

  stream(connection: number, method: Method, sink: StreamSink): RpcStream {
    let ended = false;
    const call = this.#clients[connection % this.connectionCount]!.call(method, {
      onMessage: (_call, bytes, start, end) => sink.onMessage(bytes, start, end),
      onEnd: (_call, code, text) => {
        ended = true;
        queueMicrotask(() => sink.onEnd(code === 0 ? "" : text === "" ? `code ${code}` : text));
      },
    });
    return {
      send: (message) => {
        if (!ended) call.send(message.bytes, 0, message.position);
      },
      cancel: () => {
        if (!ended) call.cancel();
      },
    };
  }

  async close(): Promise<void> {
    this.sink = NO_SINK;
    for (const client of this.#clients) client.close();
  }

  /** A unary call that has its message is answered: no store fails one after that. The slot is free for its next call. */
  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    const slot = call.slot;
    if (slot < 0 || this.#calls[slot] !== call) return;
    this.#calls[slot] = undefined;
    call.slot = -1;
    this.sink.onReply(slot, bytes, start, end);
  }

  onPart(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (call.slot >= 0 && this.#calls[call.slot] === call) this.sink.onPart?.(call.slot, bytes, start, end);
  }

  onEnd(call: ClientCall, code: number, text: string): void {
    const slot = call.slot;
    if (slot < 0) {
      // Answered before, or ended within `call`, where `unary` reports it.
      this.#endedAtOnce = text;
      return;
    }
    if (this.#calls[slot] !== call) return; // given up on
    this.#calls[slot] = undefined;
    this.sink.onFailure(slot, text === "" ? `code ${code}` : text);
  }
}
