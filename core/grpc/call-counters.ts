// What the client port counts: calls begun and ended, messages, bytes. Columns with a place for each method, so that a call
// costs a few additions. Names, labels and meaning are those of etcd and of Go's gRPC metrics, all of a method's series are
// there from the start, and calls of the health service count like any other.

import type { Counter, Histogram, Labels, Metrics } from "../base/metrics.ts";
import { METHODS, type MethodKind } from "../wire/service.ts";
import { CODE_NAMES } from "../wire/status.ts";
import type { CallHead } from "./request-head.ts";

/** Versions that clients say; one beyond counts as `other`, because whoever sends the header chooses the label. */
const API_VERSION_COUNT_MAX = 64;
/** The Go library's default buckets, seconds. */
const HANDLING_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const GRPC_TYPES: Readonly<Record<MethodKind, string>> = {
  unary: "unary",
  client: "client_stream",
  server: "server_stream",
  bidi: "bidi_stream",
};

export class CallCounters {
  receivedBytes = 0;
  sentBytes = 0;
  readonly #started = new Float64Array(METHODS.length);
  readonly #received = new Float64Array(METHODS.length);
  readonly #sent = new Float64Array(METHODS.length);
  /** By method and code. */
  readonly #handled = new Float64Array(METHODS.length * CODE_NAMES.length);
  /** By type and version of the client's API, with a blank between. */
  readonly #requests = new Map<string, Counter>();
  readonly #metrics: Metrics;
  /** Only with --metrics extensive: it takes a look at the clock for every call. */
  readonly #handlingSeconds: readonly Histogram[] | undefined;

  constructor(metrics: Metrics, { isExtensive }: { readonly isExtensive: boolean }) {
    this.#metrics = metrics;
    this.#register();
    this.#handlingSeconds = isExtensive ? this.#registerHandling() : undefined;
  }

  /** Whether `ended` wants to know how long a call took. */
  get wantsDurations(): boolean {
    return this.#handlingSeconds !== undefined;
  }

  /** A stream counts as started at once and as handled at its end; dashboards show the difference. */
  started(head: CallHead): void {
    this.#started[head.method.id]!++;
    head.requests ??= this.#requestsOf(head);
    head.requests.value++;
  }

  received(methodId: number, sizeBytes: number): void {
    this.#received[methodId]!++;
    this.receivedBytes += sizeBytes;
  }

  sent(methodId: number, sizeBytes: number): void {
    this.#sent[methodId]!++;
    this.sentBytes += sizeBytes;
  }

  ended(methodId: number, code: number, durationMs: number): void {
    this.#handled[methodId * CODE_NAMES.length + code]!++;
    this.#handlingSeconds?.[methodId]!.observe(durationMs / 1000);
  }

  #requestsOf(head: CallHead): Counter {
    const type = head.method.kind === "unary" ? "unary" : "stream";
    const isKnown = this.#requests.has(`${type} ${head.apiVersion}`);
    const version = isKnown || this.#requests.size < API_VERSION_COUNT_MAX ? head.apiVersion : "other";
    const key = `${type} ${version}`;
    let counter = this.#requests.get(key);
    if (counter === undefined) {
      counter = this.#metrics.counter(
        "etcd_server_client_requests_total",
        "The total number of client requests per client version.",
        { type, client_api_version: version },
      );
      this.#requests.set(key, counter);
    }
    return counter;
  }

  #register(): void {
    const metrics = this.#metrics;
    const column = (name: string, help: string, values: Float64Array): void =>
      METHODS.forEach((method) => metrics.counterOf(name, help, () => values[method.id]!, labelsOf(method)));
    column("grpc_server_started_total", "Total number of RPCs started on the server.", this.#started);
    column(
      "grpc_server_msg_received_total",
      "Total number of RPC stream messages received on the server.",
      this.#received,
    );
    column(
      "grpc_server_msg_sent_total",
      "Total number of gRPC stream messages sent by the server.",
      this.#sent,
    );
    for (const method of METHODS) {
      CODE_NAMES.forEach((name, code) =>
        metrics.counterOf(
          "grpc_server_handled_total",
          "Total number of RPCs completed on the server, regardless of success or failure.",
          () => this.#handled[method.id * CODE_NAMES.length + code]!,
          { ...labelsOf(method), grpc_code: name },
        ),
      );
    }
    metrics.counterOf(
      "etcd_network_client_grpc_received_bytes_total",
      "The total number of bytes received from grpc clients.",
      () => this.receivedBytes,
    );
    metrics.counterOf(
      "etcd_network_client_grpc_sent_bytes_total",
      "The total number of bytes sent to grpc clients.",
      () => this.sentBytes,
    );
  }

  #registerHandling(): Histogram[] {
    return METHODS.map((method) =>
      this.#metrics.histogram(
        "grpc_server_handling_seconds",
        "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
        HANDLING_BOUNDS,
        labelsOf(method),
      ),
    );
  }
}

function labelsOf(method: (typeof METHODS)[number]): Labels {
  return { grpc_type: GRPC_TYPES[method.kind], grpc_service: method.service, grpc_method: method.name };
}
