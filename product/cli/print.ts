// How answers are shown: one printer for each form of --write-out. What a form cannot show ends the command.

import type {
  AlarmResponse,
  DeleteRangeResponse,
  HashKVResponse,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseRevokeResponse,
  LeaseTimeToLiveResponse,
  MemberAddResponse,
  MemberListResponse,
  MemberPromoteResponse,
  MemberRemoveResponse,
  MemberUpdateResponse,
  MoveLeaderResponse,
  PutResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
} from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import type { WatchMessage } from "../client/watch-stream.ts";
import { hex, sizeText } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";

type M<S> = MessageOf<S>;

export interface EndpointHealth {
  readonly endpoint: string;
  readonly isHealthy: boolean;
  readonly took: string;
  /** Empty when healthy. */
  readonly error: string;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly status: M<typeof StatusResponse>;
}

export interface EndpointHash {
  readonly endpoint: string;
  readonly hash: M<typeof HashKVResponse>;
}

export interface MemberChange {
  readonly id: bigint;
  readonly answer: M<
    typeof MemberRemoveResponse | typeof MemberUpdateResponse | typeof MemberPromoteResponse
  >;
}

/** Every kind of answer, by the name that printers know it under. */
export interface Answers {
  put: M<typeof PutResponse>;
  get: M<typeof RangeResponse>;
  /** Only the values; of the simple form. */
  getValues: M<typeof RangeResponse>;
  del: M<typeof DeleteRangeResponse>;
  txn: M<typeof TxnResponse>;
  watch: WatchMessage;
  grant: M<typeof LeaseGrantResponse>;
  revoke: { readonly id: bigint; readonly answer: M<typeof LeaseRevokeResponse> };
  keepAlive: M<typeof LeaseKeepAliveResponse>;
  timeToLive: { readonly withKeys: boolean; readonly answer: M<typeof LeaseTimeToLiveResponse> };
  leases: M<typeof LeaseLeasesResponse>;
  alarm: M<typeof AlarmResponse>;
  memberAdd: M<typeof MemberAddResponse>;
  memberRemove: MemberChange;
  memberUpdate: MemberChange;
  memberPromote: MemberChange;
  memberList: M<typeof MemberListResponse>;
  endpointHealth: readonly EndpointHealth[];
  endpointStatus: readonly EndpointStatus[];
  endpointHash: readonly EndpointHash[];
  moveLeader: {
    readonly leader: bigint;
    readonly target: bigint;
    readonly answer: M<typeof MoveLeaderResponse>;
  };
}

/** What a printer writes to: `line` adds the end of line; keys and values may be any bytes. */
export interface Output {
  line(text: string): void;
  bytesLine(bytes: Uint8Array): void;
  raw(bytes: Uint8Array): void;
  errorLine(text: string): void;
}

export type Show<K extends keyof Answers> = (answer: Answers[K], output: Output) => void;

/** The kinds that a form can show. */
export type Form = { readonly [K in keyof Answers]?: Show<K> };

export class Printer {
  readonly #name: string;
  readonly #form: Form;
  readonly #output: Output;

  constructor(name: string, form: Form, output: Output) {
    this.#name = name;
    this.#form = form;
    this.#output = output;
  }

  get isSimple(): boolean {
    return this.#name === "simple";
  }

  get isFields(): boolean {
    return this.#name === "fields";
  }

  print<K extends keyof Answers>(kind: K, answer: Answers[K]): void {
    const show = this.#form[kind];
    if (show === undefined)
      throw new CommandError(EXIT.badFeature, `${this.#name} not supported as output format`);
    show(answer, this.#output);
  }
}

// Tables that several forms show.

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function memberTable(answer: Answers["memberList"]): Table {
  return {
    header: ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"],
    rows: answer.members.map((it) => [
      hex(it.ID),
      it.name === "" ? "unstarted" : "started",
      it.name,
      it.peerURLs.join(","),
      it.clientURLs.join(","),
      String(it.isLearner),
    ]),
  };
}

export function healthTable(list: readonly EndpointHealth[]): Table {
  return {
    header: ["endpoint", "health", "took", "error"],
    rows: list.map((it) => [it.endpoint, String(it.isHealthy), it.took, it.error]),
  };
}

const STATUS_HEADER = [
  "endpoint",
  "ID",
  "version",
  "storage version",
  "db size",
  "in use",
  "percentage not in use",
  "quota",
  "is leader",
  "is learner",
  "raft term",
  "raft index",
  "raft applied index",
  "errors",
  "downgrade target version",
  "downgrade enabled",
];

export function statusTable(list: readonly EndpointStatus[]): Table {
  return {
    header: STATUS_HEADER,
    rows: list.map(({ endpoint, status }) => [
      endpoint,
      hex(status.header?.member_id ?? 0n),
      status.version,
      status.storageVersion,
      sizeText(status.dbSize),
      sizeText(status.dbSizeInUse),
      `${status.dbSize === 0 ? 0 : 100 - Math.trunc((status.dbSizeInUse * 100) / status.dbSize)}%`,
      sizeText(status.dbSizeQuota),
      String(status.leader === (status.header?.member_id ?? 0n)),
      String(status.isLearner),
      String(status.raftTerm),
      String(status.raftIndex),
      String(status.raftAppliedIndex),
      status.errors.join(", "),
      status.downgradeInfo?.targetVersion ?? "",
      String(status.downgradeInfo?.enabled ?? false),
    ]),
  };
}

export function hashTable(list: readonly EndpointHash[]): Table {
  return {
    header: ["endpoint", "hash", "hash_revision"],
    rows: list.map(({ endpoint, hash }) => [endpoint, String(hash.hash), String(hash.hash_revision)]),
  };
}
