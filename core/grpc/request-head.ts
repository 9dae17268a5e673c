// What a request's header block asks for: a call of a known method, a refusal, or plain HTTP.
//
// Made once per distinct block and kept at it (HeaderBlock.attachment), so that calls with equal headers share it.

import type { Counter } from "../base/metrics.ts";
import { isUtf8 } from "../base/utf8.ts";
import type { HeaderBlock } from "../http2/header-block.ts";
import { isService, type Method, methodByPath } from "../wire/service.ts";
import { CODE, STATUS, type Status, unknownMethod, unknownService } from "../wire/status.ts";
import { parseTimeoutMs } from "./timeout.ts";

export type RequestHead = CallHead | RefusedHead | HttpHead;

export interface CallHead {
  readonly kind: "call";
  readonly block: HeaderBlock;
  readonly method: Method;
  /** Infinity without one. */
  readonly timeoutMs: number;
  /** What the client says that it speaks; `unknown` when it says nothing. */
  readonly apiVersion: string;
  /** Where calls of this type and version are counted, once one was. */
  requests: Counter | undefined;
}

/** gRPC, but not for us: answered by trailers alone. */
export interface RefusedHead {
  readonly kind: "refused";
  readonly block: HeaderBlock;
  readonly status: Status;
}

export interface HttpHead {
  readonly kind: "http";
  readonly block: HeaderBlock;
}

export function requestHeadOf(block: HeaderBlock): RequestHead {
  const known = block.attachment as RequestHead | undefined;
  if (known !== undefined) return known;
  const head = parseRequestHead(block);
  block.attachment = head;
  return head;
}

function parseRequestHead(block: HeaderBlock): RequestHead {
  if (block.method !== "POST" || !isGrpc(block.get("content-type"))) return { kind: "http", block };
  const method = methodByPath(block.path);
  if (method === undefined) return { kind: "refused", block, status: unknownPath(block.path) };
  const encoding = block.get("grpc-encoding");
  if (encoding !== undefined && encoding !== "identity") {
    const text = `grpc: Decompressor is not installed for grpc-encoding "${encoding}"`;
    return { kind: "refused", block, status: { code: CODE.unimplemented, text } };
  }
  const timeout = block.get("grpc-timeout");
  const timeoutMs = timeout === undefined ? Infinity : parseTimeoutMs(timeout);
  if (timeoutMs === undefined) {
    const text = `malformed grpc-timeout: "${timeout}"`;
    return { kind: "refused", block, status: { code: CODE.internal, text } };
  }
  const apiVersion = block.get("client-api-version") ?? "unknown";
  if (!isUtf8Text(apiVersion)) return { kind: "refused", block, status: STATUS.invalidClientApiVersion };
  return { kind: "call", block, method, timeoutMs, apiVersion, requests: undefined };
}

/** Fields are one character per byte. */
function isUtf8Text(field: string): boolean {
  const bytes = Uint8Array.from(field, (character) => character.charCodeAt(0));
  return isUtf8(bytes, 0, bytes.length);
}

/** `application/grpc`, alone or followed by a message format or parameters. */
function isGrpc(contentType: string | undefined): boolean {
  if (contentType === undefined || !contentType.startsWith("application/grpc")) return false;
  const next = contentType.charAt("application/grpc".length);
  return next === "" || next === "+" || next === ";";
}

// A path is `/service/method`, strictly: one that lacks its first slash is never routed (CVE-2026-33186).
function unknownPath(path: string): Status {
  const slash = path.lastIndexOf("/");
  if (!path.startsWith("/") || slash === 0) {
    return { code: CODE.unimplemented, text: `malformed method name: "${path}"` };
  }
  const service = path.slice(1, slash);
  return isService(service) ? unknownMethod(path.slice(slash + 1), service) : unknownService(service);
}
