// Reads: answered from this member's state at once when that is known to be the latest, or when the client does not ask
// for more; otherwise once the leader is confirmed (reads.ts).

import { ByteWriter } from "../base/byte-writer.ts";
import type { RangeSink } from "../mvcc/kv-machine.ts";
import { RangeStream } from "../mvcc/range-stream.ts";
import { RangeFields } from "../wire/hot.ts";
import { MemberListRequest } from "../wire/messages.ts";
import { decode } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { STATUS, type Status } from "../wire/status.ts";
import type { Call, Producer } from "./call.ts";
import { memberList as answerMemberList } from "./cluster-api.ts";
import { type LargeAnswers, PulledRange, StreamedRange } from "./large-answers.ts";
import type { MemberState } from "./member-state.ts";
import type { RangeTimes } from "./range-times.ts";
import type { ReadProbe, ReadQueue } from "./reads.ts";

const RANGE_STREAM_ASKED = Symbol("range stream asked");

export interface ReadingHost extends MemberState {
  readonly rangeTimes: RangeTimes;
  readonly housekeeping: { readonly largeAnswers: LargeAnswers };
}

export class Reading {
  readonly #member: ReadingHost;
  readonly #queue: ReadQueue;
  readonly #rangeFields = new RangeFields();
  readonly #scratch = new ByteWriter(4096);
  readonly #sink: AnswerSink;
  /** What was applied in an earlier life of this member lies in the log that it came back with. */
  readonly #pastIndex: number;
  #isPastApplied = false;

  constructor(member: ReadingHost, queue: ReadQueue) {
    this.#member = member;
    this.#queue = queue;
    this.#pastIndex = member.raft.lastIndex;
    this.#sink = new AnswerSink(member);
  }

  range(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const refusal = this.#member.kv.checkRange(bytes, start, end);
    if (refusal !== undefined) return call.fail(refusal);
    this.#rangeFields.parse(bytes, start, end);
    const { serializable } = this.#rangeFields;
    if (this.#member.isLearner && !serializable) return call.fail(STATUS.notSupportedForLearner);
    this.#readWhenConfirmed(call, bytes, start, end, serializable);
  }

  /** A RangeStream's request, the only message of its call. */
  rangeStream(call: Call, bytes: Uint8Array, start: number, end: number): void {
    if (call.state !== undefined) return;
    call.state = RANGE_STREAM_ASKED;
    this.#rangeFields.parse(bytes, start, end);
    this.#readWhenConfirmed(call, bytes, start, end, this.#rangeFields.serializable);
  }

  readOnlyTxn(call: Call, bytes: Uint8Array, start: number, end: number): void {
    this.#readWhenConfirmed(call, bytes, start, end, this.#member.kv.isSerializableTxn(bytes, start, end));
  }

  memberList(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const { linearizable } = decode(MemberListRequest, bytes, start, end);
    this.#readWhenConfirmed(call, bytes, start, end, !linearizable);
  }

  // (call, bytes, start, end) and the flag: every read passes here.
  #readWhenConfirmed(call: Call, bytes: Uint8Array, start: number, end: number, serializable: boolean): void {
    if ((serializable && this.showsItsPast) || this.#canReadNow) return this.serve(call, bytes, start, end);
    if (!this.#queue.hasRoom) return call.fail(STATUS.tooManyRequests);
    this.#queue.add(call, bytes, start, end);
  }

  /**
   * Revisions never go back on one member, not even over its restart: until all that this member may have shown before it is
   * applied again, what needs no leader otherwise (serializable reads, hashes, lists of leases, new watches) is confirmed
   * like any other read. Without a leader it waits.
   */
  get showsItsPast(): boolean {
    if (!this.#isPastApplied) this.#isPastApplied = this.#member.appliedIndex >= this.#pastIndex;
    return this.#isPastApplied;
  }

  /** Answers a read that was confirmed: the state is as new as any that was shown anywhere. */
  serveConfirmed(call: Call, bytes: Uint8Array, start: number, end: number): void {
    this.#isPastApplied = true;
    this.serve(call, bytes, start, end);
  }

  // A leader that is the only voter needs nobody's confirmation, once an entry of its term is applied (R2).
  get #canReadNow(): boolean {
    return (
      this.#member.isSoleVoter &&
      this.#member.raft.isLeader &&
      this.#member.appliedTerm === this.#member.raft.term
    );
  }

  /** Answers one read from the applied state. */
  serve(call: Call, bytes: Uint8Array, start: number, end: number): void {
    if (call.method === METHOD.memberList) return answerMemberList(this.#member, call);
    if (call.method === METHOD.rangeStream) return this.#serveStream(call, bytes, start, end);
    if (call.method === METHOD.range) return this.#serveRange(call, bytes, start, end);
    const failure = this.#readTxn(call, bytes, start, end);
    if (failure === undefined) call.finish();
    else call.fail(failure);
  }

  #serveRange(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const { kv, rangeTimes } = this.#member;
    const sink = this.#sink;
    sink.call = call;
    sink.isLarge = false;
    rangeTimes.begin();
    const failure = kv.range(bytes, start, end, sink);
    rangeTimes.end(failure === undefined);
    if (failure !== undefined) call.fail(failure);
    else if (!sink.isLarge) call.finish();
  }

  #serveStream(call: Call, bytes: Uint8Array, start: number, end: number): void {
    if (call.cancelled) return call.finish();
    const opened = this.#member.kv.rangeStream(bytes, start, end);
    if (!(opened instanceof RangeStream)) return call.fail(opened);
    const { largeAnswers } = this.#member.housekeeping;
    const streamed = new StreamedRange(call, opened, largeAnswers, this.#member.nowMs);
    call.state = streamed;
    streamed.go();
  }

  // Beside the connection's buffer: a later operation of the transaction may refuse it.
  #readTxn(call: Call, bytes: Uint8Array, start: number, end: number): Status | undefined {
    const reply = this.#scratch;
    reply.reset();
    const failure = this.#member.kv.applyTxn(bytes, start, end, reply);
    if (failure !== undefined) return failure;
    call.beginMessage().raw(reply.bytes, 0, reply.position);
    call.endMessage();
    return undefined;
  }

  /** Calls back once this member's state is no older than any that it has shown, or with why that cannot be known. */
  afterPast(probe: ReadProbe): void {
    if (this.showsItsPast) return probe(undefined);
    this.linearizableRead((failure) => {
      if (failure === undefined) this.#isPastApplied = true;
      probe(failure);
    });
  }

  /** Calls back once this member's state is known to be the latest, or with why it cannot be known. */
  linearizableRead(probe: ReadProbe): void {
    if (this.#canReadNow) return probe(undefined);
    if (!this.#queue.hasRoom) return probe(STATUS.tooManyRequests);
    this.#queue.addProbe(probe);
    this.#member.options.waker.wake();
  }

  /** Calls back once a quorum has confirmed that this member still leads. */
  confirmLeadership(probe: ReadProbe): void {
    this.linearizableRead((failure) =>
      probe(failure ?? (this.#member.isLeader ? undefined : STATUS.notPrimaryLessor)),
    );
  }
}

/** Where the answer of a Range goes: a small one to the call at once, a large one while its reader takes it. Reused. */
class AnswerSink implements RangeSink {
  readonly #member: ReadingHost;
  call: Call | undefined = undefined;
  isLarge = false;

  constructor(member: ReadingHost) {
    this.#member = member;
  }

  beginMessage(): ByteWriter {
    return this.call!.beginMessage();
  }

  endMessage(): void {
    this.call!.endMessage();
  }

  sendLarge(sizeBytes: number, producer: Producer): void {
    this.isLarge = true;
    const { housekeeping, nowMs } = this.#member;
    new PulledRange(this.call!, producer, housekeeping.largeAnswers).start(sizeBytes, nowMs);
  }
}
