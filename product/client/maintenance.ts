/** Looking after members. What concerns one member (status, hash, defragment) is answered by whichever is asked: connect to that one. */

import { METHOD } from "../../core/wire/service.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { Header } from "./types.ts";
import { toHeader } from "./types.ts";

export interface StatusResponse {
  readonly header: Header;
  /** Of the server, such as `3.6.14`. */
  readonly version: string;
  readonly storageVersion: string;
  /** Bytes allocated, in use, and allowed (0: not said). */
  readonly sizeBytes: number;
  readonly sizeInUseBytes: number;
  readonly quotaBytes: number;
  /** 0n without a leader. */
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly raftTerm: number;
  readonly isLearner: boolean;
  /** What ails the member, alarms included. */
  readonly errors: readonly string[];
}

export type AlarmKind = "none" | "nospace" | "corrupt" | number;

export interface Alarm {
  readonly memberId: bigint;
  readonly kind: AlarmKind;
}

export interface HashResponse {
  readonly header: Header;
  readonly hash: number;
  /** The revision that was compacted to, -1 for none; hashes compare only at equal ones. */
  readonly compactRevision: number;
  readonly hashRevision: number;
}

const ALARMS = ["none", "nospace", "corrupt"] as const;

export class MaintenanceClient {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async status(options: CallOptions = {}): Promise<StatusResponse> {
    const answer = await this.#caller.unary(METHOD.status, {}, options);
    return {
      header: toHeader(answer.header),
      version: answer.version,
      storageVersion: answer.storageVersion,
      sizeBytes: answer.dbSize,
      sizeInUseBytes: answer.dbSizeInUse,
      quotaBytes: answer.dbSizeQuota,
      leader: answer.leader,
      raftIndex: answer.raftIndex,
      raftAppliedIndex: answer.raftAppliedIndex,
      raftTerm: answer.raftTerm,
      isLearner: answer.isLearner,
      errors: answer.errors,
    };
  }

  async alarms(options: CallOptions = {}): Promise<readonly Alarm[]> {
    const answer = await this.#caller.unary(METHOD.alarm, { action: 0 }, options);
    return answer.alarms.map((it) => ({ memberId: it.memberID, kind: ALARMS[it.alarm] ?? it.alarm }));
  }

  /** Clears one alarm; make room first, or it comes back. */
  async disarm(alarm: Alarm, options: CallOptions = {}): Promise<void> {
    const kind = typeof alarm.kind === "number" ? alarm.kind : ALARMS.indexOf(alarm.kind);
    await this.#caller.unary(METHOD.alarm, { action: 2, memberID: alarm.memberId, alarm: kind }, options);
  }

  /** Hash over all keys and their history up to `revision` (0: now), equal on members that agree. */
  async hashKv(revision = 0, options: CallOptions = {}): Promise<HashResponse> {
    const answer = await this.#caller.unary(METHOD.hashKV, { revision }, options);
    return {
      header: toHeader(answer.header),
      hash: answer.hash,
      compactRevision: answer.compact_revision,
      hashRevision: answer.hash_revision,
    };
  }

  async defragment(options: CallOptions = {}): Promise<void> {
    await this.#caller.unary(METHOD.defragment, {}, options);
  }

  /** Must be asked of the leader, else FailedPrecondition. */
  async moveLeader(target: bigint, options: CallOptions = {}): Promise<void> {
    await this.#caller.unary(METHOD.moveLeader, { targetID: target }, options);
  }
}
