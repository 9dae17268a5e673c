// What really happened: the committed log, entry by entry, run through the slow model. Every other oracle compares what
// somebody was told with this. An entry enters when the first member says that it is committed, and may never change.

import { hashBytes } from "../../core/base/bytes.ts";
import { decodeUtf8 } from "../../core/base/utf8.ts";
import { type Id64, id64Hex } from "../../core/base/ids.ts";
import { type MemberContext, parseMemberContext } from "../../core/member/membership.ts";
import { ADD_LEARNER, decodeConfChange, REMOVE_MEMBER, UPDATE_MEMBER } from "../../core/raft/conf-change.ts";
import { ENTRY_NORMAL, type RaftLog } from "../../core/raft/log.ts";
import * as m from "../../core/wire/messages.ts";
import { ProtoReader } from "../../core/wire/reader.ts";
import { REQUEST_KIND, RequestEnvelope } from "../../core/wire/raft-request.ts";
import { decode, type MessageOf } from "../../core/wire/schema.ts";
import { KvModel, type Outcome } from "./kv-model.ts";
import { promise, Violation } from "./violation.ts";

/** The private kind of core/member that ends many leases, each in a revision of its own. */
const LEASE_REVOKE_BATCH = REQUEST_KIND.privateFirst + 1;
/** Private kinds that change no key: the format version, and alarms of the members themselves. */
const FORMAT_VERSION_SET = REQUEST_KIND.privateFirst + 2;
const DIVERGENCE_ALARM = REQUEST_KIND.privateFirst + 3;

/** A field that no message has: the client's own number of a request. Servers skip it, and it stays in the log. */
export const TAG_FIELD = 7001;

export interface CommittedEntry {
  readonly term: number;
  readonly digest: number;
  /** The leader's term when it became committed: any later leader has it (Raft 5.4). */
  readonly committedInTerm: number;
  readonly timeUs: number;
  /** The store's revision once it is applied. */
  readonly revision: number;
  /** 0: nobody's, or without a number. */
  readonly tag: number;
  readonly kind: number;
  /** Who is a member once it is applied, in one line: describeMembers(). */
  readonly members: string;
}

export interface CommittedOperation {
  readonly index: number;
  readonly outcome: Outcome;
  /** The store's revision before and after. */
  readonly revisionBefore: number;
  readonly revision: number;
}

/** A member, as the committed log says. */
export interface TrueMember {
  readonly id: Id64;
  readonly peerUrl: string;
  readonly isLearner: boolean;
}

/** All members with their roles, the same for the same ones in whatever order they come. */
export function describeMembers(
  members: Iterable<{ readonly id: Id64; readonly isLearner: boolean }>,
): string {
  const one = (member: { readonly id: Id64; readonly isLearner: boolean }): string =>
    id64Hex(member.id) + (member.isLearner ? " learner" : "");
  return [...members].map(one).sort().join(", ");
}

/** Told of what happens to leases. */
export interface LeaseWitness {
  granted(id: bigint, ttlSeconds: number): void;
  /** `byClient`: somebody asked for it; otherwise it expired. */
  revoked(id: bigint, byClient: boolean): void;
  /** What the lease has left is written down; 0: it was renewed since. */
  checkpointed(id: bigint, remainderSeconds: number): void;
}

export class GroundTruth {
  readonly model = new KvModel();
  /** By index; the first is undefined. */
  readonly entries: (CommittedEntry | undefined)[] = [undefined];
  /** By hexadecimal id. */
  readonly members = new Map<string, TrueMember>();
  readonly #removed = new Set<string>();
  #membersText = "";
  /** Told of every change of the members. */
  onMembersChanged: () => void = () => undefined;
  readonly #operations = new Map<number, CommittedOperation>();
  readonly #grants = new Map<bigint, CommittedOperation>();
  readonly #envelope = new RequestEnvelope();
  readonly #leases: LeaseWitness;

  constructor(leases: LeaseWitness) {
    this.#leases = leases;
  }

  get committedIndex(): number {
    return this.entries.length - 1;
  }

  get revision(): number {
    return this.model.revision;
  }

  /** Where and how the client's request with this number took effect; undefined when it did not (yet). */
  operation(tag: number): CommittedOperation | undefined {
    return this.#operations.get(tag);
  }

  grantOf(leaseId: bigint): CommittedOperation | undefined {
    return this.#grants.get(leaseId);
  }

  /** Takes what `log` holds at the next index; returns false when it is not in memory any more. */
  commit(log: RaftLog, at: { readonly timeUs: number; readonly committedInTerm: number }): boolean {
    const index = this.entries.length;
    if (index < log.memoryFirst || index > log.lastIndex) return false;
    const bytes = log.bytes(index);
    const start = log.start(index);
    const end = log.end(index);
    const entry = { term: log.term(index), digest: digestOf(log, index), ...at };
    // Applying comes after the entry is known, because oracles ask for the time of the last one.
    const revisionBefore = this.model.revision;
    let tag = 0;
    let kind = 0;
    if (log.type(index) === ENTRY_NORMAL && end > start) {
      this.#envelope.parse(bytes, start, end);
      const { payloadStart, payloadEnd } = this.#envelope;
      kind = this.#envelope.kind;
      tag = tagOf(bytes, payloadStart, payloadEnd);
      const outcome = this.#apply(bytes, payloadStart, payloadEnd, tag);
      const operation = { index, outcome, revisionBefore, revision: this.model.revision };
      if (tag !== 0) this.#note(tag, operation);
      if (kind === REQUEST_KIND.leaseGrant) this.#noteGrant(bytes, operation);
    }
    const isChange = log.type(index) !== ENTRY_NORMAL && this.#changeMembers(log, index);
    if (isChange) this.#membersText = describeMembers(this.members.values());
    this.entries.push({ ...entry, revision: this.model.revision, tag, kind, members: this.#membersText });
    if (isChange) this.onMembersChanged();
    return true;
  }

  /** False when the change does nothing. */
  #changeMembers(log: RaftLog, index: number): boolean {
    const change = decodeConfChange(log.type(index), log.bytes(index), log.start(index), log.end(index));
    // Members propose one at a time.
    const { type, id } = change.changes[0]!;
    const hex = id64Hex(id);
    const known = this.members.get(hex);
    if (type === REMOVE_MEMBER) {
      if (known === undefined) return false;
      this.members.delete(hex);
      this.#removed.add(hex);
      return true;
    }
    const context = parseMemberContext(id, decodeUtf8(change.context, 0, change.context.length));
    if (!this.#mayPut(hex, type, context)) return false;
    const peerUrl = context.isPromote ? known!.peerUrl : context.peerUrls[0]!;
    const isLearner = type === UPDATE_MEMBER ? known!.isLearner : type === ADD_LEARNER;
    this.members.set(hex, { id, peerUrl, isLearner });
    return true;
  }

  #mayPut(hex: string, type: number, context: MemberContext): boolean {
    const known = this.members.get(hex);
    if (this.#removed.has(hex)) return false;
    if (context.isPromote) return known?.isLearner === true;
    for (const [other, { peerUrl }] of this.members)
      if (other !== hex && context.peerUrls.includes(peerUrl)) return false;
    if (type === UPDATE_MEMBER) return known !== undefined;
    const learnerCount = [...this.members.values()].filter((one) => one.isLearner).length;
    return known === undefined && (type !== ADD_LEARNER || learnerCount < context.learnerCountMax);
  }

  #note(tag: number, operation: CommittedOperation): void {
    promise(!this.#operations.has(tag), "exactly-once", () => {
      const first = this.#operations.get(tag)!.index;
      return `request ${tag} is in the committed log twice, at ${first} and at ${operation.index}`;
    });
    this.#operations.set(tag, operation);
  }

  #noteGrant(bytes: Uint8Array, operation: CommittedOperation): void {
    const { payloadStart, payloadEnd } = this.#envelope;
    const { ID } = decode(m.LeaseGrantRequest, bytes, payloadStart, payloadEnd);
    if (!this.#grants.has(ID)) this.#grants.set(ID, operation);
  }

  #apply(bytes: Uint8Array, start: number, end: number, tag: number): Outcome {
    const { model } = this;
    switch (this.#envelope.kind) {
      case REQUEST_KIND.put:
        return model.put(decode(m.PutRequest, bytes, start, end));
      case REQUEST_KIND.deleteRange:
        return model.deleteRange(decode(m.DeleteRangeRequest, bytes, start, end));
      case REQUEST_KIND.txn:
        return model.txn(decode(m.TxnRequest, bytes, start, end));
      case REQUEST_KIND.compaction:
        return model.compact(decode(m.CompactionRequest, bytes, start, end).revision);
      case REQUEST_KIND.leaseGrant:
        return this.#grant(decode(m.LeaseGrantRequest, bytes, start, end));
      case REQUEST_KIND.leaseRevoke:
        return this.#revoke(decode(m.LeaseRevokeRequest, bytes, start, end).ID, tag !== 0);
      case LEASE_REVOKE_BATCH:
        // Its shape is that of LeaseCheckpointRequest: field 1 repeated, a message with the id in field 1.
        for (const one of decode(m.LeaseCheckpointRequest, bytes, start, end).checkpoints)
          this.#revoke(one.ID, false);
        return NOTHING;
      case REQUEST_KIND.leaseCheckpoint:
        for (const one of decode(m.LeaseCheckpointRequest, bytes, start, end).checkpoints)
          this.#leases.checkpointed(one.ID, one.remaining_TTL);
        return NOTHING;
      case REQUEST_KIND.clusterVersionSet:
      case REQUEST_KIND.clusterMemberAttrSet:
      case FORMAT_VERSION_SET:
        return NOTHING;
      case REQUEST_KIND.alarm:
        return this.#alarm(decode(m.AlarmRequest, bytes, start, end));
      case DIVERGENCE_ALARM:
        throw new Violation("divergence", "members found that one of them differs, and nothing was damaged");
      default:
        throw new Violation(
          "log",
          `an entry of kind ${this.#envelope.kind} is in the log and nobody asked for one`,
        );
    }
  }

  #alarm(request: MessageOf<typeof m.AlarmRequest>): Outcome {
    const { noSpace } = this.model;
    promise(
      request.alarm <= 1,
      "divergence",
      () => `an alarm of kind ${request.alarm} was raised, and nothing was damaged`,
    );
    if (request.alarm === 1 && request.action === 1) noSpace.add(request.memberID);
    if (request.alarm === 1 && request.action === 2) noSpace.delete(request.memberID);
    return NOTHING;
  }

  #grant(request: { readonly ID: bigint; readonly TTL: number }): Outcome {
    const outcome = this.model.grant(request.ID, request.TTL);
    if (outcome.response !== undefined) this.#leases.granted(request.ID, request.TTL);
    return outcome;
  }

  #revoke(id: bigint, byClient: boolean): Outcome {
    const outcome = this.model.revoke(id);
    if (outcome.response !== undefined) this.#leases.revoked(id, byClient);
    return outcome;
  }
}

const NOTHING: Outcome = { status: { code: 0, text: "" }, response: {} };

/** Stands for an entry's type and bytes. */
export function digestOf(log: RaftLog, index: number): number {
  return hashBytes(log.bytes(index), log.start(index), log.end(index), log.type(index));
}

const tagReader = new ProtoReader();

function tagOf(bytes: Uint8Array, start: number, end: number): number {
  tagReader.reset(bytes, start, end);
  for (let number = tagReader.next(); number !== 0; number = tagReader.next()) {
    if (number === TAG_FIELD) return tagReader.uint64();
    tagReader.skip();
  }
  return 0;
}
