// HTTP/1.1 on the client port, by Node's own server, which is handed the sockets. Requests go to the same handler as
// those that come over HTTP/2.

import http from "node:http";

import type { Limits } from "../../core/base/limits.ts";
import type { HttpHandler, HttpRequest } from "../../core/grpc/http-exchange.ts";

/** A whole request of at most 2 MiB. */
const REQUEST_TIMEOUT_MS = 60_000;

export interface Http1Options {
  /** From a connection's first byte to the end of its header (slow loris). */
  readonly headersTimeoutMs: number;
  readonly limits: Limits;
  readonly onHttp?: HttpHandler;
  readonly onHttp1?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
}

export function createHttp1Server(options: Http1Options): http.Server {
  const server = http.createServer({
    maxHeaderSize: 16384,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: Math.ceil(options.headersTimeoutMs / 5),
  });
  // It never listens itself, and only this event starts the watch over these times.
  server.emit("listening");
  server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (options.onHttp1?.(request, response) === true) return;
    collect(request, response, options);
  });
  return server;
}

function collect(request: http.IncomingMessage, response: http.ServerResponse, options: Http1Options): void {
  const { limits, onHttp } = options;
  const sizeBytesMax = limits.requestSizeBytesMax + limits.grpcOverheadBytes;
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  request.on("error", () => response.destroy());
  request.on("data", (chunk: Uint8Array) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= sizeBytesMax) chunks.push(chunk);
  });
  request.on("end", () => {
    if (sizeBytes > sizeBytesMax) return send(response, 413, {}, "");
    if (onHttp === undefined) return send(response, 404, {}, "");
    onHttp(toRequest(request, Buffer.concat(chunks)), (status, fields, body) =>
      send(response, status, fields, body),
    );
  });
}

function toRequest(request: http.IncomingMessage, body: Uint8Array): HttpRequest {
  return {
    method: request.method ?? "GET",
    path: request.url ?? "/",
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    body,
  };
}

// Four parameters and the response: the shape of HttpRespond.
function send(
  response: http.ServerResponse,
  status: number,
  fields: Readonly<Record<string, string>>,
  body: string | Uint8Array,
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { ...fields, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
