// What members remember of each other's lives (trap M2). A member whose data directory is an old copy has forgotten votes it
// gave and entries it acknowledged; on them others may have built. It cannot know by itself, but those who heard it can.
//
//   life     from a start of the process to its end: the boot counter, and a number drawn at the start, because a directory
//            that was copied counts the same boots a second time
//
//   B starts, connects A ──life: boot 7, number n──> A   forgets nothing: what B promised in its other lives is kept apart
//                        <──past: boot, term, acknowledged──   whenever B says its life, and when A connects B
//
// B compares with what it found on its disk when it started, stops when it has promised more, and marks its directory, so that
// a restart does not come back as if nothing had been. Until all that it is connected with have answered, at most for an election
// timeout, it takes no part in elections. Nothing of this is on anybody's disk: what was heard by members that are
// away or have started again since is not told (docs/internals/member.md).

import { type Id64, id64Equal } from "../base/ids.ts";
import type { Disk } from "../base/ports.ts";
import {
  MESSAGE_APPEND_REPLY,
  MESSAGE_PRE_VOTE,
  MESSAGE_VOTE,
  MESSAGE_VOTE_REPLY,
  type RaftMessage,
} from "../raft/message.ts";
import { LogLostError } from "../raft/state.ts";
import type { MemberState } from "./member-state.ts";
import { readSmallFile, writeSmallFile } from "./small-file.ts";
import { type Life, type Past, type Promises, sendLife, sendPast } from "./state-frames.ts";

const LOST_PATH = "member/lost";

/** This member's data directory lacks what it has promised to others: it must be replaced. */
export class DataLostError extends Error {
  override readonly name = "DataLostError";
  readonly code = "MEMBER_DATA_LOST";
}

/** Why this directory may not be used any more; undefined when nothing speaks against it. */
export function lostReason(disk: Disk): string | undefined {
  return disk.exists(LOST_PATH) ? readSmallFile(disk, LOST_PATH).trim() : undefined;
}

/** The operator makes a new cluster of what is there (--force-new-cluster): the others, who know more, are no part of it. */
export function forgetLost(disk: Disk): void {
  if (!disk.exists(LOST_PATH)) return;
  disk.remove(LOST_PATH);
  disk.syncDirectory("member");
}

const NOTHING: Promises = { boot: 0, term: 0, ackTerm: 0, ackIndex: 0 };

/** What was heard of one other member. */
interface Heard {
  readonly peer: Id64;
  life: Life;
  /** In this life: the highest term in which it voted or acknowledged, and in the latest such term up to where. */
  term: number;
  ackTerm: number;
  ackIndex: number;
  /** In all others. */
  before: Promises;
}

/** What a member found on its disk. */
export type Found = Life & { readonly term: number; readonly lastIndex: number };

/** Whether a member that found this when it started can have promised that in another life. */
export function isContradiction(found: Found, promised: Promises): boolean {
  // Lives of one directory count up: one with as many boots began from the same copy.
  if (promised.boot >= found.boot) return true;
  if (promised.term > found.term) return true;
  // In a later term than that a leader may have replaced what was not committed.
  return promised.ackTerm === found.term && promised.ackIndex > found.lastIndex;
}

export class PastLives {
  readonly #member: MemberState;
  readonly #found: Found;
  readonly #startMs: number;
  readonly #heard: Heard[] = [];
  /** Connected, and not heard of our past from yet. */
  #silent: Id64[] = [];

  constructor(member: MemberState, boot: number) {
    this.#member = member;
    const { raft, options } = member;
    const nonce = options.prng.split("life").uint32();
    this.#found = { boot, nonce, term: raft.term, lastIndex: raft.lastIndex };
    this.#startMs = options.clock.now();
  }

  /** A connection to this member was made. */
  connected(peer: Id64): void {
    if (!includes(this.#silent, peer)) this.#silent.push(peer);
    sendLife(this.#member.options.peers, peer, this.#found);
    const heard = this.#heard.find((one) => id64Equal(one.peer, peer));
    if (heard !== undefined && heard.life.boot > 0) this.#tell(heard, heard.life.nonce, heard.before);
  }

  /** This member did not listen to it until now; it answers who it is. */
  admitted(peer: Id64): void {
    sendLife(this.#member.options.peers, peer, this.#found);
  }

  disconnected(peer: Id64): void {
    this.#silent = this.#silent.filter((id) => !id64Equal(id, peer));
  }

  /** Another member says which life it is in: the first frame of a connection, so that all it promises is of this life. */
  onLife(peer: Id64, life: Life): void {
    const heard = this.#of(peer);
    const isLatest = begin(heard, life);
    // It hears all there is when it is of an earlier life, or from an older copy of its directory.
    this.#tell(heard, life.nonce, isLatest ? heard.before : all(heard));
  }

  /**
   * Another member says what this one promised in other lives, and which life it is in itself: its first frame may have come before
   * this member listened to it.
   */
  onPast(peer: Id64, life: Life, { nonce, promised }: Past): void {
    begin(this.#of(peer), life);
    if (nonce !== this.#found.nonce) return;
    this.disconnected(peer);
    if (!isContradiction(this.#found, promised)) return;
    const { boot, term, lastIndex } = this.#found;
    this.#stop(
      `another member has heard from this one in start ${promised.boot}, term ${promised.term}, up to entry ` +
        `${promised.ackIndex} of term ${promised.ackTerm}; its data are of start ${boot}, term ${term}, up to entry ${lastIndex}`,
    );
  }

  /** Consensus gets a message, and what it promises is remembered. */
  step(peer: Id64, message: RaftMessage): void {
    const { kind } = message;
    const member = this.#member;
    if (kind === MESSAGE_VOTE || kind === MESSAGE_PRE_VOTE) {
      // As if it were lost on the way; whoever asks does so again.
      if (this.#mayLackPromises) return;
    }
    if (!message.reject && (kind === MESSAGE_APPEND_REPLY || kind === MESSAGE_VOTE_REPLY))
      this.#promised(peer, message);
    else if (kind === MESSAGE_VOTE) this.#promised(peer, message);
    try {
      member.raft.step(message, member.nowMs);
    } catch (error) {
      if (!(error instanceof LogLostError)) throw error;
      this.#stop(error.message);
    }
  }

  get #mayLackPromises(): boolean {
    if (this.#silent.length === 0 || this.#found.boot === 1) return false;
    return this.#member.nowMs - this.#startMs < this.#member.options.electionMs;
  }

  #promised(peer: Id64, { kind, term, index }: RaftMessage): void {
    const heard = this.#of(peer);
    // Of a program that does not say in which life it is.
    if (heard.life.boot === 0) return;
    heard.term = Math.max(heard.term, term);
    if (kind !== MESSAGE_APPEND_REPLY || term < heard.ackTerm) return;
    heard.ackIndex = term > heard.ackTerm ? index : Math.max(heard.ackIndex, index);
    heard.ackTerm = term;
  }

  #of(peer: Id64): Heard {
    const list = this.#heard;
    for (let i = 0; i < list.length; i++) if (id64Equal(list[i]!.peer, peer)) return list[i]!;
    const { membership } = this.#member;
    // Members come and go for years.
    for (let i = list.length - 1; i >= 0; i--) if (membership.isRemoved(list[i]!.peer)) list.splice(i, 1);
    const heard = { peer, life: { boot: 0, nonce: 0 }, term: 0, ackTerm: 0, ackIndex: 0, before: NOTHING };
    list.push(heard);
    return heard;
  }

  #tell({ peer }: Heard, nonce: number, promised: Promises): void {
    sendPast(this.#member.options.peers, peer, this.#found, { nonce, promised });
  }

  #stop(reason: string): void {
    const { disk, events } = this.#member.options;
    events.warn("this member's data directory has lost what it promised to others", { reason });
    writeSmallFile(disk, LOST_PATH, `${reason}\n`);
    this.#member.fail(new DataLostError(`Cannot go on: ${reason}; ${REMEDY}`));
  }
}

export const REMEDY =
  "remove this member from its cluster, remove its data directory and add the member again";

/** From now on it is in this life; false when it was heard in a later one. */
function begin(heard: Heard, life: Life): boolean {
  if (life.boot < heard.life.boot) return false;
  if (life.boot === heard.life.boot && life.nonce === heard.life.nonce) return true;
  heard.before = all(heard);
  heard.term = heard.ackTerm = heard.ackIndex = 0;
  heard.life = life;
  return true;
}

/** In whichever life. */
function all({ life, term, ackTerm, ackIndex, before }: Heard): Promises {
  const boot = Math.max(before.boot, life.boot);
  const isLater = ackTerm > before.ackTerm || (ackTerm === before.ackTerm && ackIndex > before.ackIndex);
  const acknowledged = isLater
    ? { ackTerm, ackIndex }
    : { ackTerm: before.ackTerm, ackIndex: before.ackIndex };
  return { boot, term: Math.max(before.term, term), ...acknowledged };
}

function includes(ids: readonly Id64[], id: Id64): boolean {
  return ids.some((one) => id64Equal(one, id));
}
