// One of the two clusters that are compared: calls with plain messages, and one watch stream whose answers are kept.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { WatchRequest, WatchResponse } from "../../core/wire/messages.ts";
import { decode, encode, type Input, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import type { Connection, OpenCall } from "../../product/client/channel.ts";
import { connect } from "../../product/client/connection.ts";

const CALL_TIMEOUT_MS = 10_000;

export type WatchAnswer = MessageOf<typeof WatchResponse>;

/** What a call brought: a message, or code and text. */
export type Outcome =
  | { readonly kind: "answer"; readonly message: unknown }
  | { readonly kind: "error"; readonly code: number; readonly text: string };

export class Side {
  readonly name: string;
  readonly endpoint: string;
  readonly #connection: Connection;
  readonly watched: WatchAnswer[] = [];
  /** How the watch stream ended, if it did. */
  watchEnd: string | undefined;
  #watch: OpenCall | undefined;

  private constructor(name: string, endpoint: string, connection: Connection) {
    this.name = name;
    this.endpoint = endpoint;
    this.#connection = connection;
  }

  static async open(name: string, endpoint: string): Promise<Side> {
    const options = { tls: undefined, timeoutMs: 5_000, keepAliveTimeMs: 0, keepAliveTimeoutMs: 5_000 };
    return new Side(name, endpoint, await connect(endpoint, options));
  }

  /** One unary call, or the first answer of a streaming one that is then closed. */
  call<Q, S>(method: Method<Q, S>, request: Input<Q>): Promise<Outcome> {
    const writer = new ByteWriter(256);
    encode(method.request, request, writer);
    return new Promise((resolve) => {
      let message: unknown;
      const call = this.#connection.call(
        method,
        { timeoutMs: CALL_TIMEOUT_MS, metadata: {} },
        {
          onMessage: (bytes, start, end) => {
            message = decode(method.response, bytes, start, end);
          },
          onEnd: (code, text) => {
            if (code === 0) resolve({ kind: "answer", message });
            else resolve({ kind: "error", code, text });
          },
        },
      );
      call.send(writer.copy());
      call.halfClose();
    });
  }

  watch(request: Input<MessageOf<typeof WatchRequest>>): void {
    this.#watch ??= this.#connection.call(
      METHOD.watch,
      { metadata: {} },
      {
        onMessage: (bytes, start, end) => this.watched.push(decode(WatchResponse, bytes, start, end)),
        onEnd: (code, text) => (this.watchEnd = `${code} ${text}`),
      },
    );
    const writer = new ByteWriter(256);
    encode(WatchRequest, request, writer);
    this.#watch.send(writer.copy());
  }

  /** Ends the watch stream; the next request opens another. */
  endWatch(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    this.watched.length = 0;
    this.watchEnd = undefined;
  }

  close(): void {
    this.#connection.close();
  }
}
