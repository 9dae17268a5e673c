/** Keys and values. */

import type {
  Compare as CompareSchema,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse as PutResponseSchema,
  RangeRequest,
  RangeResponse,
  RequestOpMessage,
  ResponseOpMessage,
  TxnResponseMessage,
} from "../../core/wire/messages.ts";
import type { Input, MessageOf } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { KeySelection } from "./range.ts";
import { selectKeys } from "./range.ts";
import type { Bytes, Header, KeyValue } from "./types.ts";
import { toBytes, toHeader, toKeyValue } from "./types.ts";

export interface GetOptions extends KeySelection {
  /** At most so many keys; 0 or less for all. */
  readonly limit?: number | undefined;
  /** Read as of this revision; 0 or less for now. Compacted ones are refused (OutOfRange). */
  readonly revision?: number | undefined;
  /** Order of the result; without it ascending by key. */
  readonly order?: "ascend" | "descend" | undefined;
  readonly sortBy?: "key" | "version" | "create" | "mod" | "value" | undefined;
  /** Answer from the asked member's own state: quicker, and possibly old. */
  readonly serializable?: boolean | undefined;
  /** Leave values empty. */
  readonly keysOnly?: boolean | undefined;
  /** No keys, only `count`. */
  readonly countOnly?: boolean | undefined;
  /** Inclusive bounds; they filter the keys, not `count`. 0 for none. */
  readonly minModRevision?: number | undefined;
  readonly maxModRevision?: number | undefined;
  readonly minCreateRevision?: number | undefined;
  readonly maxCreateRevision?: number | undefined;
}

export interface GetResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  /** `limit` cut the result. */
  readonly more: boolean;
  /** Keys in the range, whatever the limit and the filters. */
  readonly count: number;
}

export interface PutOptions {
  /** Attach the key to this lease; 0n detaches it. An unknown one is refused (NotFound). */
  readonly lease?: bigint | undefined;
  /** Return the version before. */
  readonly previous?: boolean | undefined;
  /** Keep the value, change the lease; the key must exist and `value` be empty. */
  readonly ignoreValue?: boolean | undefined;
  /** Keep the lease, change the value; the key must exist. */
  readonly ignoreLease?: boolean | undefined;
}

export interface PutResponse {
  readonly header: Header;
  readonly previous: KeyValue | undefined;
}

export interface DeleteOptions extends KeySelection {
  /** Return what was deleted. */
  readonly previous?: boolean | undefined;
}

export interface DeleteResponse {
  readonly header: Header;
  /** Number of keys. */
  readonly deleted: number;
  readonly previous: readonly KeyValue[];
}

/** A condition of a transaction, as compare() makes it. */
export type Compare = Input<MessageOf<typeof CompareSchema>>;
/** An operation of a transaction, as getOperation() and its sisters make it. */
export type Operation = Input<RequestOpMessage>;

export interface TxnRequest {
  /** All must hold for `success` to run; they see the state before the transaction. */
  readonly compare?: readonly Compare[];
  readonly success?: readonly Operation[];
  readonly failure?: readonly Operation[];
}

export type OperationResponse =
  | ({ readonly kind: "get" } & GetResponse)
  | ({ readonly kind: "put" } & PutResponse)
  | ({ readonly kind: "delete" } & DeleteResponse)
  | ({ readonly kind: "txn" } & TxnResponse);

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  /** One for each operation of the branch that ran. */
  readonly responses: readonly OperationResponse[];
}

const ORDERS = { ascend: 1, descend: 2 } as const;
const TARGETS = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;
const RESULTS = { "=": 0, ">": 1, "<": 2, "!=": 3 } as const;

export class KvClient {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Reads. Retried on another member while the answer is Unavailable. */
  async get(key: Bytes, options: GetOptions & CallOptions = {}): Promise<GetResponse> {
    return toGetResponse(await this.#caller.unary(METHOD.range, rangeRequest(key, options), options));
  }

  /** The value of one key as text, undefined when there is no such key. */
  async getText(key: Bytes, options: CallOptions = {}): Promise<string | undefined> {
    const kv = (await this.get(key, options)).kvs[0];
    return kv === undefined ? undefined : new TextDecoder().decode(kv.value);
  }

  /** Writes. Never repeated once it may have been received: after Unavailable the outcome is unknown. */
  async put(key: Bytes, value: Bytes, options: PutOptions & CallOptions = {}): Promise<PutResponse> {
    return toPutResponse(await this.#caller.unary(METHOD.put, putRequest(key, value, options), options));
  }

  async delete(key: Bytes, options: DeleteOptions & CallOptions = {}): Promise<DeleteResponse> {
    return toDeleteResponse(
      await this.#caller.unary(METHOD.deleteRange, deleteRequest(key, options), options),
    );
  }

  /** At most 128 conditions, and 128 operations a branch, as servers are configured by default. */
  async txn(request: TxnRequest, options: CallOptions = {}): Promise<TxnResponse> {
    return toTxnResponse(await this.#caller.unary(METHOD.txn, request, options));
  }

  /**
   * Forgets history before `revision`, which itself stays readable.
   * `physical`: answer only when the space is free.
   */
  async compact(
    revision: number,
    options: { readonly physical?: boolean } & CallOptions = {},
  ): Promise<Header> {
    const answer = await this.#caller.unary(
      METHOD.compact,
      { revision, physical: options.physical ?? false },
      options,
    );
    return toHeader(answer.header);
  }
}

/** `compare("k", "mod", "=", 7)`: a condition on one key, or with a selection on all keys of a range. */
export function compare(
  key: Bytes,
  target: "version" | "create" | "mod",
  relation: keyof typeof RESULTS,
  operand: number,
): Compare {
  const base = { key: toBytes(key), result: RESULTS[relation] };
  if (target === "version") return { ...base, target: 0, version: operand };
  if (target === "create") return { ...base, target: 1, create_revision: operand };
  return { ...base, target: 2, mod_revision: operand };
}

/** A condition on the value; of a key that does not exist it never holds. */
export function compareValue(key: Bytes, relation: keyof typeof RESULTS, value: Bytes): Compare {
  return { key: toBytes(key), result: RESULTS[relation], target: 3, value: toBytes(value) };
}

/** A condition on the lease that the key is attached to. */
export function compareLease(key: Bytes, relation: keyof typeof RESULTS, lease: bigint): Compare {
  return { key: toBytes(key), result: RESULTS[relation], target: 4, lease };
}

export function getOperation(key: Bytes, options: GetOptions = {}): Operation {
  return { request_range: rangeRequest(key, options) };
}

export function putOperation(key: Bytes, value: Bytes, options: PutOptions = {}): Operation {
  return { request_put: putRequest(key, value, options) };
}

export function deleteOperation(key: Bytes, options: DeleteOptions = {}): Operation {
  return { request_delete_range: deleteRequest(key, options) };
}

export function txnOperation(request: TxnRequest): Operation {
  return { request_txn: request };
}

function rangeRequest(key: Bytes, options: GetOptions): Input<MessageOf<typeof RangeRequest>> {
  return {
    ...selectKeys(key, options),
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    sort_order: options.order === undefined ? 0 : ORDERS[options.order],
    sort_target: options.sortBy === undefined ? 0 : TARGETS[options.sortBy],
    serializable: options.serializable ?? false,
    keys_only: options.keysOnly ?? false,
    count_only: options.countOnly ?? false,
    min_mod_revision: options.minModRevision ?? 0,
    max_mod_revision: options.maxModRevision ?? 0,
    min_create_revision: options.minCreateRevision ?? 0,
    max_create_revision: options.maxCreateRevision ?? 0,
  };
}

function putRequest(key: Bytes, value: Bytes, options: PutOptions): Input<MessageOf<typeof PutRequest>> {
  return {
    key: toBytes(key),
    value: toBytes(value),
    lease: options.lease ?? 0n,
    prev_kv: options.previous ?? false,
    ignore_value: options.ignoreValue ?? false,
    ignore_lease: options.ignoreLease ?? false,
  };
}

function deleteRequest(key: Bytes, options: DeleteOptions): Input<MessageOf<typeof DeleteRangeRequest>> {
  return { ...selectKeys(key, options), prev_kv: options.previous ?? false };
}

function toGetResponse(answer: MessageOf<typeof RangeResponse>): GetResponse {
  return {
    header: toHeader(answer.header),
    kvs: answer.kvs.map(toKeyValue),
    more: answer.more,
    count: answer.count,
  };
}

function toPutResponse(answer: MessageOf<typeof PutResponseSchema>): PutResponse {
  const previous = answer.prev_kv === undefined ? undefined : toKeyValue(answer.prev_kv);
  return { header: toHeader(answer.header), previous };
}

function toDeleteResponse(answer: MessageOf<typeof DeleteRangeResponse>): DeleteResponse {
  return {
    header: toHeader(answer.header),
    deleted: answer.deleted,
    previous: answer.prev_kvs.map(toKeyValue),
  };
}

function toTxnResponse(answer: TxnResponseMessage): TxnResponse {
  return {
    header: toHeader(answer.header),
    succeeded: answer.succeeded,
    responses: answer.responses.map(toOperationResponse),
  };
}

function toOperationResponse(op: ResponseOpMessage): OperationResponse {
  if (op.response_range !== undefined) return { kind: "get", ...toGetResponse(op.response_range) };
  if (op.response_put !== undefined) return { kind: "put", ...toPutResponse(op.response_put) };
  if (op.response_delete_range !== undefined)
    return { kind: "delete", ...toDeleteResponse(op.response_delete_range) };
  if (op.response_txn !== undefined) return { kind: "txn", ...toTxnResponse(op.response_txn) };
  throw new TypeError("Cannot read transaction's answer: an operation has none");
}
