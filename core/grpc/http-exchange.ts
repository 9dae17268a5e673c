// A plain HTTP request that came over HTTP/2: `GET /health` and its like. Rare, so simplicity comes first.

import { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderBlock } from "../http2/header-block.ts";

export interface HttpRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** The first value of a field, by its lower-case name. */
  header(name: string): string | undefined;
  /** Its own copy. */
  readonly body: Uint8Array;
}

export type HttpFields = Readonly<Record<string, string>>;

/** To be called once, now or later. Field names are lower case. */
export type HttpRespond = (status: number, fields: HttpFields, body: string | Uint8Array) => void;

export type HttpHandler = (request: HttpRequest, respond: HttpRespond) => void;

/** The request while its body arrives. */
export class HttpExchange {
  readonly block: HeaderBlock;
  readonly body = new ByteWriter(64);
  isResponded = false;

  constructor(block: HeaderBlock) {
    this.block = block;
  }

  request(): HttpRequest {
    const block = this.block;
    return {
      method: block.method,
      path: block.path,
      header: (name) => (name === "host" ? (block.get("host") ?? block.authority) : block.get(name)),
      body: this.body.copy(),
    };
  }
}
