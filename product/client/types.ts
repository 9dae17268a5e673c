/** What the client's methods take and return. Revisions and counts are numbers, ids are bigints, keys and values bytes. */

import type {
  Event as EventSchema,
  KeyValue as KeyValueSchema,
  Member as MemberSchema,
  ResponseHeader as ResponseHeaderSchema,
} from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";

/** A key or a value: bytes, or a text that is sent as UTF-8. */
export type Bytes = Uint8Array | string;

/** Who answered and how far the store was. */
export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  /** The store's revision when the answer was made; 0 in answers about the cluster. */
  readonly revision: number;
  readonly raftTerm: number;
}

/** One version of a key. */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Revision at which the key came into being, since it was last deleted. */
  readonly createRevision: number;
  /** Revision of this version. */
  readonly modRevision: number;
  /** Writes since the key came into being, from 1. */
  readonly version: number;
  /** The lease that the key dies with, 0n for none. */
  readonly lease: bigint;
}

export interface WatchEvent {
  readonly type: "put" | "delete";
  /** Of a deletion only the key and its revision. */
  readonly kv: KeyValue;
  /** The version before, if it was asked for and is not compacted away. */
  readonly previous: KeyValue | undefined;
}

export interface Member {
  readonly id: bigint;
  /** Empty until the member has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

const encoder = new TextEncoder();

export function toBytes(value: Bytes): Uint8Array {
  return typeof value === "string" ? encoder.encode(value) : value;
}

export function toHeader(header: MessageOf<typeof ResponseHeaderSchema> | undefined): Header {
  return {
    clusterId: header?.cluster_id ?? 0n,
    memberId: header?.member_id ?? 0n,
    revision: header?.revision ?? 0,
    raftTerm: header?.raft_term ?? 0,
  };
}

export function toKeyValue(kv: MessageOf<typeof KeyValueSchema>): KeyValue {
  return {
    key: kv.key,
    value: kv.value,
    createRevision: kv.create_revision,
    modRevision: kv.mod_revision,
    version: kv.version,
    lease: kv.lease,
  };
}

export function toEvent(event: MessageOf<typeof EventSchema>): WatchEvent {
  const kv = event.kv;
  if (kv === undefined) throw new TypeError("Cannot read event: it holds no key");
  return {
    type: event.type === 1 ? "delete" : "put",
    kv: toKeyValue(kv),
    previous: event.prev_kv === undefined ? undefined : toKeyValue(event.prev_kv),
  };
}

export function toMember(member: MessageOf<typeof MemberSchema>): Member {
  return {
    id: member.ID,
    name: member.name,
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs,
    isLearner: member.isLearner,
  };
}
