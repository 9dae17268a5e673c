/** Errors of the client. */

import { CODE, CODE_NAMES, statusByText } from "../../core/wire/status.ts";

/**
 * A call failed. `code` is gRPC's status code (2 Unknown … 16 Unauthenticated), `message` the server's whole text, such
 * as `etcdserver: mvcc: required revision has been compacted`: compare with the texts of etcd, they never change.
 */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  readonly code: number;
  /**
   * Whether the request certainly never reached a server. Of a write that failed without this nobody knows whether it
   * took effect: read before you write again.
   */
  readonly isUnsent: boolean;

  constructor(code: number, message: string, options: { isUnsent?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.isUnsent = options.isUnsent ?? false;
  }

  /** `Unavailable`, `NotFound`, … */
  get codeName(): string {
    return CODE_NAMES[this.code] ?? `Code(${this.code})`;
  }

  /** One line for people, in the words of etcd's own tools. */
  get display(): string {
    const isPlain = statusByText(this.message) !== undefined || this.message.startsWith("context ");
    return isPlain ? this.message : `rpc error: code = ${this.codeName} desc = ${this.message}`;
  }
}

/** Nothing answered before the caller's deadline; `cause` says why there was no connection, if there was none. */
export function deadlineExceeded(cause?: unknown): EtcdError {
  return new EtcdError(CODE.deadlineExceeded, "context deadline exceeded", { cause });
}

/** The caller gave up, or the client was closed. */
export function canceled(cause?: unknown): EtcdError {
  return new EtcdError(CODE.canceled, "context canceled", { cause });
}

/** Whatever was thrown, as the client's error. */
export function toEtcdError(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error;
  return new EtcdError(CODE.unknown, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
