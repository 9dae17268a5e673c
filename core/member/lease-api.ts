// The Lease service. Grants and revocations are proposals; renewals and remaining times are known to the leader alone,
// so other members forward those questions to it.

import { LeaseKeepAliveResponse } from "../wire/messages.ts";
import { decode } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { LeaseIdFields } from "../wire/hot.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { Call } from "./call.ts";
import type { ForwardDone } from "./forwarding.ts";
import type { Proposer } from "./proposals.ts";
import type { Reading } from "./reading.ts";
import type { ReadProbe } from "./reads.ts";

export interface LeaseApiHost extends Proposer {
  readonly reading: Reading;
  readonly keepAliveStreams: Set<KeepAliveStream>;
  refusalToGrow(costBytes: number): Status | undefined;
  forwardToLeader(call: Call, bytes: Uint8Array, start: number, end: number): void;
  askLeader(methodId: number, request: Uint8Array, done: ForwardDone): void;
  /** Calls back when the next entry that concerns leases is applied. */
  afterLeaseChange(probe: ReadProbe): void;
}

const fields = new LeaseIdFields();
const scratch = new ByteWriter(64);

export function leaseGrant(
  member: LeaseApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  scratch.reset();
  const refusal =
    member.leases.prepareGrant(bytes, start, end, scratch, member.options.prng) ?? member.refusalToGrow(64);
  if (refusal !== undefined) return call.fail(refusal);
  member.proposals.propose(call, REQUEST_KIND.leaseGrant, scratch.bytes, 0, scratch.position);
}

export function leaseTimeToLive(
  member: LeaseApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if (!member.isLeader) return member.forwardToLeader(call, bytes, start, end);
  fields.parse(bytes, start, end);
  if (member.reading.showsItsPast && member.lessor.find(fields.leaseHi, fields.leaseLo) >= 0)
    return answerTimeToLive(member, call, bytes, start, end);
  // Its grant may be committed, and acknowledged by a quicker member, before it is applied here.
  const copy = bytes.slice(start, end);
  member.reading.linearizableRead((failure) => {
    if (failure === undefined) answerTimeToLive(member, call, copy, 0, copy.length);
    else call.fail(failure);
  });
}

function answerTimeToLive(
  member: LeaseApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  member.leases.timeToLive(bytes, start, end, member.nowMs, call.beginMessage());
  call.endMessage();
  call.finish();
}

/** Local and without a leader, as etcd has it. */
export function leaseLeases(member: LeaseApiHost, call: Call): void {
  member.reading.afterPast((failure) => {
    if (failure !== undefined) return call.fail(failure);
    member.leases.leases(member.nowMs, call.beginMessage());
    call.endMessage();
    call.finish();
  });
}

/** A keep-alive that another member forwarded. */
export function leaseKeepAliveOnce(
  member: LeaseApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if (!member.isLeader) return call.fail(STATUS.notPrimaryLessor);
  keepAlive(member, bytes, start, end, (failure, hi, lo, ttlSeconds) => {
    if (failure !== undefined) return call.fail(failure);
    member.leases.writeKeepAlive(call.beginMessage(), hi, lo, ttlSeconds);
    call.endMessage();
    call.finish();
  });
}

type KeepAliveDone = (failure: Status | undefined, hi: number, lo: number, ttlSeconds: number) => void;

/** One keep-alive stream: answers come in the order of the requests. */
export class KeepAliveStream {
  readonly #member: LeaseApiHost;
  readonly #call: Call;
  /** Answers that are not due yet because an earlier one is outstanding; undefined: not known yet. */
  readonly #answers: ({ hi: number; lo: number; ttlSeconds: number } | undefined)[] = [];
  /** The client asked to be told when there is no leader. */
  readonly needsLeader: boolean;
  /** Number of the first one in #answers. */
  #first = 0;
  #next = 0;
  #halfClosed = false;
  #ended = false;

  constructor(member: LeaseApiHost, call: Call) {
    this.#member = member;
    this.#call = call;
    this.needsLeader = call.metadata("hasleader") === "true";
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    if (this.#ended) return;
    const member = this.#member;
    if (this.#answers.length >= member.limits.keepAliveCountMax) return this.end(STATUS.tooManyRequests);
    const number = this.#next++;
    this.#answers.push(undefined);
    const done: KeepAliveDone = (failure, hi, lo, ttlSeconds) => {
      if (failure !== undefined) this.end(failure);
      else this.#answer(number, hi, lo, ttlSeconds);
    };
    if (member.isLeader) keepAlive(member, bytes, start, end, done);
    else this.#forward(bytes, start, end, done);
  }

  /** A keep-alive stream ends when the client is done, once every request is answered. */
  onHalfClose(): void {
    this.#halfClosed = true;
    if (this.#answers.length === 0) this.end(undefined);
  }

  end(failure: Status | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#member.keepAliveStreams.delete(this);
    if (failure === undefined) this.#call.finish();
    else this.#call.fail(failure);
  }

  #forward(bytes: Uint8Array, start: number, end: number, done: KeepAliveDone): void {
    fields.parse(bytes, start, end);
    const { leaseHi, leaseLo } = fields;
    const copy = bytes.slice(start, end);
    this.#member.askLeader(METHOD.leaseKeepAlive.id, copy, (failure, answer, from, to) => {
      if (failure !== undefined) return done(failure, leaseHi, leaseLo, 0);
      done(undefined, leaseHi, leaseLo, decode(LeaseKeepAliveResponse, answer, from, to).TTL);
    });
  }

  // The lease was renewed at the leader; this member's header may have to wait.
  #answer(number: number, hi: number, lo: number, ttlSeconds: number): void {
    this.#member.reading.afterPast((failure) => {
      if (failure !== undefined) this.end(failure);
      else this.#write(number, hi, lo, ttlSeconds);
    });
  }

  #write(number: number, hi: number, lo: number, ttlSeconds: number): void {
    if (this.#ended) return;
    this.#answers[number - this.#first] = { hi, lo, ttlSeconds };
    while (this.#answers.length > 0 && this.#answers[0] !== undefined) {
      const answer = this.#answers.shift()!;
      this.#first++;
      this.#member.leases.writeKeepAlive(this.#call.beginMessage(), answer.hi, answer.lo, answer.ttlSeconds);
      this.#call.endMessage();
    }
    if (this.#halfClosed && this.#answers.length === 0) this.end(undefined);
  }
}

/** Renews at the leader; asks again when a log entry must be applied first. */
function keepAlive(
  member: LeaseApiHost,
  bytes: Uint8Array,
  start: number,
  end: number,
  done: KeepAliveDone,
): void {
  fields.parse(bytes, start, end);
  renew(member, fields.leaseHi, fields.leaseLo, done);
}

function renew(member: LeaseApiHost, hi: number, lo: number, done: KeepAliveDone): void {
  // Not the time of the turn, which a pause makes old: a renewal counts from when it was read, or later.
  const renewal = member.lessor.renew(hi, lo, member.clock.now());
  switch (renewal) {
    case "renewed": {
      const ttlSeconds = member.lessor.renewedTtlSeconds;
      member.counters.leaseRenewed.add(1);
      // A leader that was deposed while it was paused must not promise a lease that the new one let end (L2).
      member.reading.confirmLeadership((failure) => done(failure, hi, lo, ttlSeconds));
      return;
    }
    case "unknown":
      // Its grant may be committed, and acknowledged by a quicker member, before it is applied here.
      member.reading.linearizableRead((failure) => {
        if (failure !== undefined) done(failure, hi, lo, 0);
        else if (member.lessor.find(hi, lo) < 0) done(undefined, hi, lo, 0);
        else renew(member, hi, lo, done);
      });
      return;
    case "not-primary":
      return done(STATUS.notPrimaryLessor, hi, lo, 0);
    case "needs-clear":
    case "expired":
      member.afterLeaseChange((failure) => {
        if (failure === undefined) renew(member, hi, lo, done);
        else done(failure, hi, lo, 0);
      });
      return;
    default: {
      const impossible: never = renewal;
      return impossible;
    }
  }
}
