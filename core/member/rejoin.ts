// What a member does whose state is wrong, while its log and its vote are right: it votes, appends and forwards as before,
// but serves nothing and applies nothing, and asks the leader for a state that is not older than its own.
//
//   serving ──begin()──> fetching ──state received──> received ──log durable up to it──> adopt ──> serving
//                            ^  every second: want         │ configuration changes in between are applied, nothing else
//                            └── restart (member/diverged) ┘
//
// The file `member/diverged` outlives a restart, so that the wrong state is never served again. A leader hands its
// leadership over first: it would serve, and stream, a wrong state.

import type { Id64 } from "../base/ids.ts";
import { assert } from "../base/assert.ts";
import type { Disk } from "../base/ports.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { ConfState } from "../raft/configuration.ts";
import { ENTRY_NORMAL } from "../raft/log.ts";
import type { SnapshotMeta } from "../raft/output.ts";
import type { CheckpointState } from "./checkpoint-state.ts";
import { pointToData } from "./checkpoint-state.ts";
import { encodeConfState } from "./checkpointer.ts";
import type { MemberState } from "./member-state.ts";
import { writeSmallFile } from "./small-file.ts";
import { sendWant } from "./state-frames.ts";

const MARKER_PATH = "member/diverged";
/** Asked again after this long without a stream. */
const RETRY_MS = 1_000;

/** A checkpoint that arrived from another member. */
export interface ReceivedState {
  readonly state: CheckpointState;
  readonly lessor: Lessor;
  readonly directory: string;
}

/** A member whose state can be replaced. */
export interface Adopter extends MemberState {
  /** A received snapshot takes the place of the state. */
  adopt(
    state: CheckpointState,
    received: { readonly lessor: Lessor; readonly directory: string; readonly meta: SnapshotMeta },
  ): void;
}

export interface RejoinHost extends Adopter {
  readonly divergence: { raiseAlarm(id: Id64): void };
  readonly housekeeping: {
    readonly receiver: { readonly isReceiving: boolean };
    readonly sender: { wantState(peer: Id64, index: number): void };
  };
  applyUpTo(last: number): void;
  /** Whoever waits is told to go to another member. */
  stopServing(): void;
}

type State =
  | { readonly kind: "serving" }
  | { readonly kind: "fetching" }
  | { readonly kind: "received"; readonly received: ReceivedState };

const SERVING: State = { kind: "serving" };
const FETCHING: State = { kind: "fetching" };

export class Rejoin {
  readonly #member: RejoinHost;
  #state: State;
  #nextMs = 0;

  constructor(member: RejoinHost) {
    this.#member = member;
    this.#state = member.options.disk.exists(MARKER_PATH) ? FETCHING : SERVING;
  }

  /** This member's state is wrong: nothing of it is shown. */
  get isActive(): boolean {
    return this.#state.kind !== "serving";
  }

  /** The state was found to be wrong. */
  begin(): void {
    if (this.isActive) return;
    const member = this.#member;
    // Durable before anything else: a crash must not bring the wrong state back into service.
    writeSmallFile(member.options.disk, MARKER_PATH, `index ${member.appliedIndex}\n`);
    this.#state = FETCHING;
    this.#nextMs = member.nowMs;
    member.counters.divergences.add(1);
    member.stopServing();
  }

  turn(nowMs: number): void {
    if (!this.isActive) return;
    if (this.#state.kind === "received") return this.#adoptWhenDurable(this.#state.received);
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + RETRY_MS;
    const { raft, options, hasLeader, appliedIndex, housekeeping } = this.#member;
    if (raft.isLeader) {
      const candidate = raft.transferCandidate();
      if (candidate !== undefined) raft.transferLeader(candidate);
    } else if (hasLeader && !housekeeping.receiver.isReceiving)
      sendWant(options.peers, raft.leader, appliedIndex);
  }

  nextDeadlineMs(): number {
    return this.#state.kind === "fetching" ? this.#nextMs : Number.POSITIVE_INFINITY;
  }

  /** The leader was asked for its state by a member that has a wrong one. */
  onWant(peer: Id64, index: number): void {
    const member = this.#member;
    if (this.isActive || !member.isLeader) return;
    member.divergence.raiseAlarm(peer);
    member.housekeeping.sender.wantState(peer, index);
  }

  /** A state arrived. One that is too old (it was asked for before a restart) is of no use. */
  received(received: ReceivedState): boolean {
    if (!this.isActive || received.state.appliedIndex < this.#member.appliedIndex) return false;
    this.#state = { kind: "received", received };
    this.#member.options.waker.wake();
    return true;
  }

  /** The state was replaced, by what was asked for or by a snapshot of the leader: it is right now. */
  adopted(): void {
    if (!this.isActive) return;
    const { disk, events } = this.#member.options;
    this.#state = SERVING;
    removeMarker(disk);
    events.info("this member's state was fetched anew", { index: this.#member.appliedIndex });
  }

  // The log must be here as far as the state goes: what it acknowledges as applied has to be durable.
  #adoptWhenDurable(received: ReceivedState): void {
    const member = this.#member;
    const { state, directory, lessor } = received;
    const { appliedIndex: index, appliedTerm: term, confState } = state;
    if (index < member.appliedIndex) {
      this.#state = FETCHING;
      return;
    }
    if (member.applicableIndex < index) return;
    assert(confState !== undefined, "a checkpoint that was taken has a configuration");
    const { disk } = member.options;
    pointToData(disk, { directory, receivedIndex: index });
    member.wal.saveSnapshotMarker({ index, term, confState: encodeConfState(confState) }, (error) => {
      if (error !== undefined) member.fail(error);
    });
    // Behind the pointer: a restart starts under the configuration that is applied here.
    this.#adoptConfiguration(index, confState);
    member.adopt(state, { lessor, directory, meta: { index, term, confState } });
    member.raft.appliedTo(index);
    member.applyUpTo(member.applicableIndex);
  }

  // The changes in between had their effect in the received state; what it was in consensus came with it.
  #adoptConfiguration(last: number, confState: ConfState): void {
    const { raft, appliedIndex } = this.#member;
    for (let index = appliedIndex + 1; index <= last; index++) {
      if (raft.log.type(index) !== ENTRY_NORMAL) raft.applyConfChange(index, undefined);
    }
    raft.adoptConfState(confState);
  }
}

function removeMarker(disk: Disk): void {
  if (!disk.exists(MARKER_PATH)) return;
  disk.remove(MARKER_PATH);
  disk.syncDirectory("member");
}
