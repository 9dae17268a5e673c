// What a member is started with. Everything it needs of the world is in here.

import type { Id64 } from "../base/ids.ts";
import type { Limits } from "../base/limits.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Clock, Disk, PeerLinks, Waker } from "../base/ports.ts";
import type { Prng } from "../base/prng.ts";
import type { MemberInfo } from "./membership.ts";

export interface MemberOptions {
  readonly memberId: Id64;
  readonly clusterId: Id64;
  readonly name: string;
  readonly clientUrls: readonly string[];
  /** The members of a new cluster, this one included; ignored once there is data. Empty for one that joins. */
  readonly initialMembers: readonly MemberInfo[];
  /** Whether this member joins a cluster that exists, and waits for its log. */
  readonly joins: boolean;
  /** Drops all other members at the start (--force-new-cluster). */
  readonly forceNewCluster: boolean;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly strictReconfigCheck: boolean;
  readonly learnerCountMax: number;
  readonly watchProgressMs: number;
  readonly autoCompaction: AutoCompactionOptions;
  /** The newest format of entries that is known (format.ts); for tests that play an older program. */
  readonly formatVersion?: number;
  /** An entry that takes longer to be applied is logged, milliseconds; 100 when left out. */
  readonly warningApplyMs?: number;
  /** The etcd version that clients are told, and the cluster's minor version. */
  readonly reportedVersion: string;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly waker: Waker;
  /** Seeded from entropy on a real machine: it chooses lease ids and election deadlines, never secrets. */
  readonly prng: Prng;
  readonly disk: Disk;
  readonly peers: PeerLinks;
  readonly metrics: Metrics;
  readonly events: MemberEvents;
}

export interface AutoCompactionOptions {
  readonly mode: "periodic" | "revision";
  /** 0 is off. */
  readonly periodMs: number;
  readonly revisions: number;
}

/** What an operator wants to read in the log. */
export interface MemberEvents {
  readonly info: (message: string, fields?: Readonly<Record<string, string | number>>) => void;
  readonly warn: (message: string, fields?: Readonly<Record<string, string | number>>) => void;
  /** This member was removed from the cluster, or may not go on: the process is to stop. */
  readonly stop: (reason: string) => void;
}
