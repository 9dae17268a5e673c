// gRPC's health service (grpc.health.v1), for the whole server under the empty name, as etcd registers it.

import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthListResponse,
  ServingStatus,
} from "../wire/messages.ts";
import { WireError } from "../wire/reader.ts";
import { decodeRequest, encode } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { CODE, malformedRequest, type Status } from "../wire/status.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus.values;

/** Watchers at once; a bound, because each holds a call. */
const WATCHER_COUNT_MAX = 10_000;
const UNKNOWN_SERVICE: Status = { code: CODE.notFound, text: "unknown service" };
const TOO_MANY: Status = { code: CODE.resourceExhausted, text: "too many health watchers" };

export class HealthService implements ServerHandler {
  readonly #statuses = new Map<string, number>([["", SERVING]]);
  /** By watching call: the service's name. */
  readonly #watchers = new Map<ServerCall, string>();

  /** Tells all watchers of the service; the empty name is the server as a whole. */
  setServing(service: string, isServing: boolean): void {
    const status = isServing ? SERVING : NOT_SERVING;
    if (this.#statuses.get(service) === status) return;
    this.#statuses.set(service, status);
    for (const [call, watched] of this.#watchers) if (watched === service) this.#send(call, status);
  }

  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    if (call.method === METHOD.healthList) return this.#list(call);
    const service = parseService(call, bytes, start, end);
    if (service === undefined) return;
    const status = this.#statuses.get(service);
    if (status === undefined) return call.fail(UNKNOWN_SERVICE);
    this.#send(call, status);
    call.finish();
  }

  #list(call: ServerCall): void {
    const statuses = [...this.#statuses].map(([key, status]) => ({ key, value: { status } }));
    encode(HealthListResponse, { statuses }, call.beginMessage());
    call.endMessage();
    call.finish();
  }

  onStreamOpen(_call: ServerCall): void {
    // the request follows
  }

  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    if (this.#watchers.has(call)) return;
    const service = parseService(call, bytes, start, end);
    if (service === undefined) return;
    if (this.#watchers.size >= WATCHER_COUNT_MAX) return call.fail(TOO_MANY);
    this.#watchers.set(call, service);
    this.#send(call, this.#statuses.get(service) ?? SERVICE_UNKNOWN);
  }

  onStreamHalfClose(_call: ServerCall): void {
    // watching goes on
  }

  onCancel(call: ServerCall): void {
    if (call.method !== METHOD.healthWatch) return; // unary calls never wait
    this.#watchers.delete(call);
    call.finish();
  }

  onWritable(_call: ServerCall): void {
    // a status is a few bytes
  }

  #send(call: ServerCall, status: number): void {
    encode(HealthCheckResponse, { status }, call.beginMessage());
    call.endMessage();
  }
}

/** The service's name; undefined after the call was failed. */
function parseService(call: ServerCall, bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    return decodeRequest(HealthCheckRequest, bytes, start, end).service;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    call.fail(malformedRequest(error.message));
    return undefined;
  }
}
