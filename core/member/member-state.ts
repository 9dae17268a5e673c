// The member as its parts see it: what the log says, where the member stands, and the little that all of them do. A part that
// needs more of its member than this says so beside its class, in an interface `…Host`; member.ts is all of them, and puts the
// parts together. So no part knows the whole.

import type { Id64 } from "../base/ids.ts";
import type { Limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { LeaseRequests } from "../lease/lease-requests.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { KvCounts } from "../mvcc/kv-counts.ts";
import type { KvMachine } from "../mvcc/kv-machine.ts";
import type { Store } from "../mvcc/store.ts";
import type { Raft } from "../raft/raft.ts";
import type { Wal } from "../wal/wal.ts";
import type { WatchHub } from "../watch/hub.ts";
import type * as m from "../wire/messages.ts";
import type { Input, MessageOf } from "../wire/schema.ts";
import type { Alarms } from "./alarms.ts";
import type { MemberCounters } from "./counters.ts";
import type { Membership } from "./membership.ts";
import type { MemberOptions } from "./options.ts";
import type { PendingCalls } from "./pending.ts";

export interface MemberState {
  readonly options: MemberOptions;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly counters: MemberCounters;
  readonly kvCounts: KvCounts;
  readonly raft: Raft;
  readonly wal: Wal;
  readonly hub: WatchHub;
  readonly pending: PendingCalls;
  // A received snapshot takes the place of these: ask the member each time.
  readonly store: Store;
  readonly kv: KvMachine;
  readonly lessor: Lessor;
  readonly leases: LeaseRequests;
  readonly membership: Membership;
  readonly alarms: Alarms;
  /** Of the checkpoint, relative to the data directory. */
  readonly dataDirectory: string;
  /** Empty until the cluster has agreed on one. */
  readonly clusterVersion: string;
  /** Which kinds of entries may be proposed: format.ts. */
  readonly formatVersion: number;
  /** Entries up to here may be applied: committed, and durable here. */
  readonly applicableIndex: number;
  /** Entries up to here are in the state. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /** The clock, read once or twice a turn. */
  readonly nowMs: number;
  /** As the log says; every request asks. */
  readonly isLearner: boolean;
  readonly isLeader: boolean;
  readonly hasLeader: boolean;
  /** Nobody else's vote counts. */
  readonly isSoleVoter: boolean;
  readonly quotaBytes: number;
  /** How long a client's request may take, as etcd has it: 5 s and two election timeouts. */
  readonly requestTimeoutMs: number;
  responseHeader(): Input<MessageOf<typeof m.ResponseHeader>>;
  /** The Cluster service's headers carry no revision. */
  clusterHeader(): Input<MessageOf<typeof m.ResponseHeader>>;
  /** How long this peer has been connected, 0 when it is not. */
  connectedForMs(peer: Id64): number;
  /** The disk failed: the next turn throws, and the process ends. */
  fail(error: Error): void;
}
