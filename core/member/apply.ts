// Committed entries become state, in the order of the log, the same on every member: what an entry does depends on the
// entry and on the state before it, and on nothing else.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64FromBigInt, id64Hex } from "../base/ids.ts";
import type { Housekeeping as PastHousekeeping } from "../mvcc/housekeeping.ts";
import { ADD_VOTER, type ConfChange, REMOVE_MEMBER } from "../raft/conf-change.ts";
import { ENTRY_NORMAL } from "../raft/log.ts";
import { CompactFields } from "../wire/hot.ts";
import * as m from "../wire/messages.ts";
import { REQUEST_KIND, RequestEnvelope } from "../wire/raft-request.ts";
import { ClusterMemberAttrSetRequest, ClusterVersionSetRequest } from "../wire/raft-messages.ts";
import { decode, encode } from "../wire/schema.ts";
import { OK, STATUS, type Status } from "../wire/status.ts";
import type { ApplyTimes } from "./apply-times.ts";
import type { Call } from "./call.ts";
import { answerConfChange } from "./cluster-api.ts";
import type { Divergence } from "./divergence.ts";
import {
  FORMAT_WITH_CHECKED_CHANGES,
  FORMAT_WITH_EFFECT_HASH,
  type Formats,
  formatVersionOf,
  PRIVATE_KIND,
} from "./format.ts";
import { type AlarmHost, applyAlarm, applyDivergenceAlarm } from "./maintenance-api.ts";
import { applyChange, assertSameMembers, refusalOfChange } from "./membership-change.ts";
import type { Proposals } from "./proposals.ts";

export interface ApplyHost extends AlarmHost {
  clusterVersion: string;
  formatVersion: number;
  readonly applyTimes: ApplyTimes;
  readonly divergence: Divergence;
  readonly formats: Formats;
  readonly housekeeping: AlarmHost["housekeeping"] & { readonly past: PastHousekeeping };
  readonly proposals: Proposals;
  /** Hands the status on when who waits for an entry about leases was called. */
  afterLeaseEntry(status: Status): Status;
  onMembershipChanged(): void;
}

export class Applier {
  readonly #member: ApplyHost;
  readonly #envelope = new RequestEnvelope();
  readonly #reply = new ByteWriter(4096);
  readonly #compact = new CompactFields();

  constructor(member: ApplyHost) {
    this.#member = member;
  }

  /** Applies one entry. The caller moves the applied index. */
  apply(index: number): void {
    const { log } = this.#member.raft;
    if (log.type(index) !== ENTRY_NORMAL) return this.#applyConfChange(index);
    const bytes = log.bytes(index);
    const start = log.start(index);
    const end = log.end(index);
    // An empty entry opens a leader's term.
    if (start === end) return this.#member.proposals.termOpened(log.term(index));
    const envelope = this.#envelope;
    envelope.parse(bytes, start, end);
    const call = this.#member.proposals.takeWaiting(envelope.idHi, envelope.idLo);
    const { applyTimes } = this.#member;
    const { kind } = envelope;
    if (kind === REQUEST_KIND.put) return applyTimes.put(this.#applyEnvelope(call, bytes) === OK);
    applyTimes.beginOther();
    const status = this.#applyEnvelope(call, bytes);
    applyTimes.endOther(kind, status === OK);
  }

  #applyEnvelope(call: Call | undefined, bytes: Uint8Array): Status {
    const { kind, payloadStart, payloadEnd } = this.#envelope;
    if (call === undefined) return this.#applyRequest(kind, bytes, payloadStart, payloadEnd, null);
    // Beside the connection's buffer, because an entry may be refused half way; a reply is small to copy.
    const reply = this.#reply;
    reply.reset();
    const status = this.#applyRequest(kind, bytes, payloadStart, payloadEnd, reply);
    if (status !== OK) call.fail(status);
    else if (kind === REQUEST_KIND.compaction && this.#isPhysical(bytes, payloadStart, payloadEnd))
      this.#answerWhenCompacted(call);
    else this.#answer(call);
    return status;
  }

  #answer(call: Call): void {
    const reply = this.#reply;
    call.beginMessage().raw(reply.bytes, 0, reply.position);
    call.endMessage();
    call.finish();
  }

  #isPhysical(bytes: Uint8Array, start: number, end: number): boolean {
    this.#compact.parse(bytes, start, end);
    return this.#compact.physical;
  }

  // A physical compaction is answered when its rows are gone.
  #answerWhenCompacted(call: Call): void {
    const answer = this.#reply.copy();
    const refusal = this.#member.housekeeping.past.whenCompacted(this.#compact.revision, () => {
      call.beginMessage().raw(answer, 0, answer.length);
      call.endMessage();
      call.finish();
    });
    if (refusal !== undefined) call.fail(refusal);
  }

  // (bytes, start, end) and the reply beside the kind: an object per request would cost on the hottest path.
  #applyRequest(
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    reply: ByteWriter | null,
  ): Status {
    const { kv, alarms } = this.#member;
    switch (kind) {
      case REQUEST_KIND.put:
        if (alarms.isNoSpace) return STATUS.noSpace;
        if (alarms.isCorrupt) return STATUS.corrupt;
        return kv.applyPut(bytes, start, end, reply) ?? OK;
      case REQUEST_KIND.deleteRange:
        if (alarms.isCorrupt) return STATUS.corrupt;
        return kv.applyDelete(bytes, start, end, reply) ?? OK;
      case REQUEST_KIND.txn:
        if (alarms.isCorrupt) return STATUS.corrupt;
        if (alarms.isNoSpace && kv.txnHasPut(bytes, start, end)) return STATUS.noSpace;
        return kv.applyTxn(bytes, start, end, reply) ?? OK;
      case REQUEST_KIND.compaction:
        if (alarms.isCorrupt) return STATUS.corrupt;
        // Watchers that are up to date are told everything before history goes (W5).
        this.#member.hub.settle();
        return kv.applyCompact(bytes, start, end, reply) ?? OK;
      default:
        return this.#applyRare(kind, bytes, start, end, reply);
    }
  }

  #applyRare(kind: number, bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status {
    const member = this.#member;
    member.divergence.effects.addEntry(kind, bytes, start, end);
    const { leases, alarms, counters } = member;
    switch (kind) {
      case REQUEST_KIND.leaseGrant:
        if (alarms.isNoSpace) return STATUS.noSpace;
        if (alarms.isCorrupt) return STATUS.corrupt;
        return this.#applyGrant(bytes, start, end, reply);
      case REQUEST_KIND.leaseRevoke:
        if (alarms.isCorrupt) return STATUS.corrupt;
        return member.afterLeaseEntry(this.#applyRevoke(bytes, start, end, reply));
      case REQUEST_KIND.leaseCheckpoint:
        leases.applyCheckpoint(bytes, start, end);
        return member.afterLeaseEntry(OK);
      case PRIVATE_KIND.leaseRevokeBatch:
        if (!alarms.isCorrupt) counters.leaseRevoked.add(leases.applyRevokeBatch(bytes, start, end));
        return member.afterLeaseEntry(OK);
      case REQUEST_KIND.alarm: {
        const response = applyAlarm(member, bytes, start, end);
        if (reply !== null) encode(m.AlarmResponse, response, reply);
        return OK;
      }
      case PRIVATE_KIND.formatVersionSet:
        this.#applyFormatVersion(formatVersionOf(bytes, start, end));
        return OK;
      case PRIVATE_KIND.divergenceAlarm:
        applyDivergenceAlarm(member, bytes, start, end);
        return OK;
      case REQUEST_KIND.clusterVersionSet:
        member.clusterVersion = decode(ClusterVersionSetRequest, bytes, start, end).ver;
        member.options.events.info("set cluster version", { "cluster-version": member.clusterVersion });
        return OK;
      case REQUEST_KIND.clusterMemberAttrSet:
        this.#applyMemberAttributes(bytes, start, end);
        return OK;
      default:
        // A member that does not know an entry may not skip it: its state would differ from then on.
        assert(false, "every kind of entry that the cluster version allows is known");
    }
  }

  #applyGrant(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status {
    const { leases, counters, nowMs } = this.#member;
    const refusal = leases.applyGrant(bytes, start, end, nowMs, reply);
    if (refusal !== undefined) return refusal;
    counters.leaseGranted.add(1);
    counters.leaseTtlSeconds.observe(leases.grantedTtlSeconds);
    return OK;
  }

  #applyRevoke(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status {
    const { leases, counters } = this.#member;
    const refusal = leases.applyRevoke(bytes, start, end, reply);
    if (refusal !== undefined) return refusal;
    counters.leaseRevoked.add(1);
    return OK;
  }

  #applyFormatVersion(version: number): void {
    const member = this.#member;
    if (version > member.formats.own) {
      throw new Error(
        `The cluster has format ${version}, this program knows up to ${member.formats.own}: use a newer one`,
      );
    }
    if (version <= member.formatVersion) return;
    // From here on all members hash, whatever was in their checkpoints.
    if (member.formatVersion < FORMAT_WITH_EFFECT_HASH) member.divergence.effects.begin(member.store);
    member.formatVersion = version;
    member.options.events.info("set format version", { version });
  }

  #applyMemberAttributes(bytes: Uint8Array, start: number, end: number): void {
    const request = decode(ClusterMemberAttrSetRequest, bytes, start, end);
    const attributes = request.member_attributes;
    if (attributes === undefined) return;
    this.#member.membership.setAttributes(
      id64FromBigInt(request.member_ID),
      attributes.name,
      attributes.client_urls,
    );
  }

  #applyConfChange(index: number): void {
    const member = this.#member;
    const { raft, proposals, membership } = member;
    const change = raft.confChangeAt(index);
    const call = proposals.takeWaiting(change.requestId.hi, change.requestId.lo);
    const isChecked = member.formatVersion >= FORMAT_WITH_CHECKED_CHANGES;
    const refusal = isChecked ? refusalOfChange(membership, raft.confState, change) : undefined;
    if (refusal !== undefined) {
      raft.applyConfChange(index, undefined);
      member.options.events.warn("Validation on configuration change failed", { error: refusal.text });
      return call?.fail(refusal);
    }
    raft.applyConfChange(index, change);
    this.#countPromotions(change);
    applyChange(membership, change);
    if (isChecked) assertSameMembers(membership, raft.confState);
    for (const one of change.changes) this.#tellOfChange(one.type, one.id);
    member.onMembershipChanged();
    if (call !== undefined) answerConfChange(member, call, change.changes[0]!.id);
  }

  #countPromotions(change: ConfChange): void {
    const { membership, counters } = this.#member;
    for (const { type, id } of change.changes)
      if (type === ADD_VOTER && membership.get(id)?.isLearner === true) counters.learnersPromoted.add(1);
  }

  #tellOfChange(type: number, id: Id64): void {
    const { membership, options } = this.#member;
    const { events } = options;
    const info = membership.get(id);
    if (type === REMOVE_MEMBER) {
      events.info("removed member", { "removed-remote-peer-id": id64Hex(id) });
      return;
    }
    if (info === undefined) return;
    events.info("added member", {
      "added-peer-id": id64Hex(id),
      "added-peer-peer-urls": info.peerUrls.join(","),
    });
  }
}
