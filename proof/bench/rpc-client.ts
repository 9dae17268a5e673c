// PROVISIONAL: node:http2 until io/net/client.ts is there. Costly per call; not for figures.
import * as fs from "node:fs";
import * as http2 from "node:http2";
import type { ByteWriter } from "../../core/base/byte-writer.ts";
import type { Method } from "../../core/wire/service.ts";
import { NO_SINK, type Rpc, type RpcOptions, type RpcStream, type StreamSink } from "./rpc.ts";

export async function openRpc(options: RpcOptions): Promise<Rpc> {
  const sessions: http2.ClientHttp2Session[] = [];
  for (let i = 0; i < options.connectionCount; i++) {
    const endpoint = options.endpoints[i % options.endpoints.length]!;
    const url = endpoint.includes("://") ? endpoint : `http://${endpoint}`;
    const session = http2.connect(url, options.tls.caFile ? { ca: fs.readFileSync(options.tls.caFile) } : {});
    session.on("error", () => {});
    session.setMaxListeners(0);
    await new Promise<void>((resolve, reject) => {
      session.once("connect", () => resolve());
      session.once("error", (error: Error) => reject(new Error(`Cannot connect to ${endpoint}: ${error.message}`)));
    });
    sessions.push(session);
  }
  return new NodeRpc(options, sessions);
}

class NodeRpc implements Rpc {
  readonly connectionCount: number;
  readonly endpoints: readonly string[];
  readonly #sessions: http2.ClientHttp2Session[];
  sink = NO_SINK;
  readonly #calls: (http2.ClientHttp2Stream | undefined)[] = [];
  constructor(options: RpcOptions, sessions: http2.ClientHttp2Session[]) {
    this.connectionCount = options.connectionCount;
    this.endpoints = options.endpoints;
    this.#sessions = sessions;
  }
  unary(slot: number, method: Method, message: ByteWriter): void {
    let reply: Uint8Array = new Uint8Array(0);
    const call = this.#open(slot % this.connectionCount, method, {
      onMessage: (bytes, start, end) => (reply = bytes.slice(start, end)),
      onEnd: (text) => {
        if (this.#calls[slot] !== call) return;
        this.#calls[slot] = undefined;
        if (text === "") this.sink.onReply(slot, reply, 0, reply.length);
        else this.sink.onFailure(slot, text);
      },
    });
    this.#calls[slot] = call;
    write(call, message);
    call.end();
  }
  abandon(slot: number): void {
    const call = this.#calls[slot];
    this.#calls[slot] = undefined;
    call?.close(http2.constants.NGHTTP2_CANCEL);
  }
  stream(connection: number, method: Method, sink: StreamSink): RpcStream {
    const call = this.#open(connection % this.connectionCount, method, sink);
    return { send: (message) => write(call, message), cancel: () => call.close(http2.constants.NGHTTP2_CANCEL) };
  }
  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
  }
  #open(connection: number, method: Method, sink: StreamSink): http2.ClientHttp2Stream {
    const call = this.#sessions[connection]!.request({ ":method": "POST", ":path": method.path, "content-type": "application/grpc", te: "trailers" });
    let rest: Buffer = Buffer.alloc(0);
    let status = "no status";
    const take = (headers: http2.IncomingHttpHeaders): void => {
      if (headers["grpc-status"] !== undefined) status = headers["grpc-status"] === "0" ? "" : decodeURIComponent(String(headers["grpc-message"]));
    };
    call.on("response", take);
    call.on("trailers", take);
    call.on("error", (error: Error) => (status = error.message));
    call.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const end = 5 + rest.readUInt32BE(1);
        const message = rest;
        rest = rest.subarray(end);
        sink.onMessage(message, 5, end);
      }
    });
    call.on("close", () => sink.onEnd(status));
    return call;
  }
}

function write(call: http2.ClientHttp2Stream, message: ByteWriter): void {
  const framed = Buffer.alloc(5 + message.position);
  framed.writeUInt32BE(message.position, 1);
  framed.set(message.written(), 5);
  call.write(framed);
}
