// Members of two neighbouring format versions work together: a kind of entry that only newer members know is proposed once
// every member knows it, and the cluster has said so in the log. Members tell each other the newest format they know with
// the first frames of a connection; the leader raises the cluster's format with an entry; it never falls.
//
//   format 1   etcd's kinds
//   format 2   leaseRevokeBatch, formatVersionSet, divergenceAlarm; the hash of effects begins
//   format 3   configuration changes are checked when they are applied

import { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { ProtoReader } from "../wire/reader.ts";
import type { Proposer } from "./proposals.ts";

/** The newest format that this program knows. */
export const FORMAT_VERSION = 3;
/** Of a cluster that has not said anything. */
export const FORMAT_VERSION_FIRST = 1;

/** Our own kinds of entries (design D10). */
export const PRIVATE_KIND = {
  /** Many expired leases in one entry; each is a revision of its own, see lease-requests.ts. */
  leaseRevokeBatch: REQUEST_KIND.privateFirst + 1,
  /** message FormatVersionSet { uint64 version = 1 } */
  formatVersionSet: REQUEST_KIND.privateFirst + 2,
  /** An AlarmRequest whose CORRUPT is about this member's state alone, see alarms.ts. */
  divergenceAlarm: REQUEST_KIND.privateFirst + 3,
} as const;

/** The format that a private kind needs. Every one must be here: what is not may not be proposed. */
const FORMAT_OF_KIND: ReadonlyMap<number, number> = new Map([
  [PRIVATE_KIND.leaseRevokeBatch, 2],
  [PRIVATE_KIND.formatVersionSet, 2],
  [PRIVATE_KIND.divergenceAlarm, 2],
]);

/** In which all members hash the effects of entries, from the entry that sets it on. */
export const FORMAT_WITH_EFFECT_HASH = 2;

/** In which a configuration change that may not be made does nothing, from the entry that sets it on: membership-change.ts. */
export const FORMAT_WITH_CHECKED_CHANGES = 3;

/** After a proposal that led to nothing, the next one. */
const RETRY_MS = 1_000;

/** Whether entries of this kind may be proposed in a cluster of this format. */
export function allowsKind(formatVersion: number, kind: number): boolean {
  if (kind < REQUEST_KIND.privateFirst) return true;
  return formatVersion >= (FORMAT_OF_KIND.get(kind) ?? Number.POSITIVE_INFINITY);
}

export class Formats {
  readonly #member: Proposer;
  /** The newest format that each other member knows, by hexadecimal id, as it said last. */
  readonly #announced = new Map<string, number>();
  /** What this member knows. */
  readonly own: number;
  #proposedMs = Number.NEGATIVE_INFINITY;

  constructor(member: Proposer) {
    this.#member = member;
    this.own = member.options.formatVersion ?? FORMAT_VERSION;
  }

  announced(peer: Id64, version: number): void {
    this.#announced.set(id64Hex(peer), version);
    this.#member.options.waker.wake();
  }

  /** The leader raises the cluster's format when every member, learners included, is here and knows the new one. */
  turn(nowMs: number): void {
    const member = this.#member;
    if (!member.isLeader || member.formatVersion >= this.own || nowMs - this.#proposedMs < RETRY_MS) return;
    const common = this.#common();
    if (common <= member.formatVersion) return;
    this.#proposedMs = nowMs;
    const writer = new ByteWriter(16);
    writer.byte(0x08);
    writer.varint(common);
    member.proposals.proposeAsLeader(PRIVATE_KIND.formatVersionSet, writer.bytes, 0, writer.position);
  }

  /** The newest format that all know; 0 while somebody is away, who may come back as an older program. */
  #common(): number {
    const { membership, options } = this.#member;
    let common = this.own;
    for (const { id } of membership.list()) {
      if (id64Equal(id, options.memberId)) continue;
      if (this.#member.connectedForMs(id) === 0) return 0;
      common = Math.min(common, this.#announced.get(id64Hex(id)) ?? 0);
    }
    return common;
  }
}

/** The version in a FormatVersionSet. */
export function formatVersionOf(bytes: Uint8Array, start: number, end: number): number {
  const reader = new ProtoReader();
  reader.reset(bytes, start, end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === 1) return reader.uint64();
    reader.skip();
  }
  return FORMAT_VERSION_FIRST;
}
