// What a response's header block or trailers say, for the client. Made once per distinct block and kept at it.

import type { HeaderBlock } from "../http2/header-block.ts";
import { CODE } from "../wire/status.ts";
import { decodePercent } from "./percent.ts";

export interface ResponseHead {
  /** An interim response (1xx), which means nothing. */
  readonly isInterim: boolean;
  /** The status the block carries; -1 when it carries none. */
  readonly code: number;
  readonly text: string;
  /** The block is not that of a gRPC response: the call ends with this code at once; -1 when it is. */
  readonly foreignCode: number;
  readonly foreignText: string;
}

/** gRPC's mapping of what proxies answer (doc/http-grpc-status-mapping.md). */
const CODE_OF_HTTP: ReadonlyMap<string, number> = new Map([
  ["400", CODE.internal],
  ["401", CODE.unauthenticated],
  ["403", CODE.permissionDenied],
  ["404", CODE.unimplemented],
  ["429", CODE.unavailable],
  ["502", CODE.unavailable],
  ["503", CODE.unavailable],
  ["504", CODE.unavailable],
]);

export function responseHeadOf(block: HeaderBlock): ResponseHead {
  const known = block.attachment as ResponseHead | undefined;
  if (known !== undefined) return known;
  const head = parseResponseHead(block);
  block.attachment = head;
  return head;
}

function parseResponseHead(block: HeaderBlock): ResponseHead {
  const isTrailers = block.status === "";
  const foreign = isTrailers ? NOT_FOREIGN : foreignOf(block);
  const status = block.get("grpc-status");
  return {
    isInterim: block.status.startsWith("1"),
    code: status === undefined ? -1 : parseCode(status),
    text: decodePercent(block.get("grpc-message") ?? ""),
    foreignCode: foreign.code,
    foreignText: foreign.text,
  };
}

const NOT_FOREIGN = { code: -1, text: "" };

function foreignOf(block: HeaderBlock): { code: number; text: string } {
  const contentType = block.get("content-type") ?? "";
  if (block.status === "200" && contentType.startsWith("application/grpc")) {
    const encoding = block.get("grpc-encoding") ?? "identity";
    if (encoding === "identity") return NOT_FOREIGN;
    return {
      code: CODE.unimplemented,
      text: `grpc: Decompressor is not installed for grpc-encoding "${encoding}"`,
    };
  }
  if (block.get("grpc-status") !== undefined) return NOT_FOREIGN;
  const code = CODE_OF_HTTP.get(block.status) ?? CODE.unknown;
  return { code, text: `unexpected answer: HTTP status ${block.status}, content-type "${contentType}"` };
}

function parseCode(text: string): number {
  const code = /^\d{1,3}$/.test(text) ? Number(text) : CODE.unknown;
  return code <= CODE.unauthenticated ? code : CODE.unknown;
}
