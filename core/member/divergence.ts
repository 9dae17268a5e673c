// Finds out whether all members hold the same state, all the time. The leader opens a round when something was applied, a
// few times a second: it tells everybody its hash of effects at one applied index. Whoever hears of an index for the first
// time tells everybody its own hash there, at once or when it has applied so far. Each member judges for itself:
//
//   majority, own hash in it      well; the leader raises an alarm for those that differ
//   majority, another hash        this member's state is wrong: it stops serving and fetches another (rejoin.ts)
//   no majority possible          nobody knows who is right: the leader raises an alarm for all, and writes are refused
//
// The alarm of a member is taken back when its hash has been the majority's for a while; what happened is in the log
// of events and in a counter.

import { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex, id64ToBigInt, parseId64Hex } from "../base/ids.ts";
import { AlarmRequest } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { ALARM_CORRUPT } from "./alarms.ts";
import { EffectHash } from "./effect-hash.ts";
import { EffectSamples } from "./effect-samples.ts";
import { allowsKind, PRIVATE_KIND } from "./format.ts";
import type { Proposer } from "./proposals.ts";
import { sendHash } from "./state-frames.ts";
import { judge, type Verdict } from "./verdict.ts";

/** Rounds are opened so far apart: a difference is found within two of them. */
const ROUND_MS = 250;
/** Rounds that are kept for members that lag: 16 s. */
const ROUND_COUNT_MAX = 64;
/** Members that differ while the others are away count as split after this long. */
const OPEN_MS_MAX = 5_000;
/** An alarm that was proposed is not proposed again for so long. */
const ALARM_RETRY_MS = 1_000;
/** Rounds in a row in which a member must agree before its alarm is taken back: 5 s. */
const HEALED_ROUND_COUNT = 20;

const ACTION_ACTIVATE = 1;
const ACTION_DEACTIVATE = 2;

interface Round {
  readonly index: number;
  /** By hexadecimal member id. */
  readonly hashes: Map<string, number>;
  /** What was found out was acted on. */
  settled: boolean;
}

export interface DivergenceHost extends Proposer {
  readonly rejoin: { readonly isActive: boolean; begin(): void };
}

export class Divergence {
  readonly #member: DivergenceHost;
  effects: EffectHash;
  readonly #samples = new EffectSamples();
  /** By index, in the order in which they were heard of. */
  readonly #rounds = new Map<number, Round>();
  #nextRoundMs = Number.POSITIVE_INFINITY;
  #lastRoundIndex = 0;
  /** Since when members differ and no majority has spoken; Infinity when they do not. */
  #disputedSinceMs = Number.POSITIVE_INFINITY;
  /** Something was heard, or sampled for a round, since the last turn. */
  #isDirty = false;
  readonly #ownHex: string;
  readonly #alarmProposedMs = new Map<string, number>();
  /** In how many rounds each member with an alarm has agreed since it last differed. */
  readonly #agreedCounts = new Map<string, number>();

  constructor(member: DivergenceHost, effectHash: number | undefined) {
    this.#member = member;
    this.#ownHex = id64Hex(member.options.memberId);
    this.effects = new EffectHash(effectHash, member.store);
  }

  /** Entry `index` was applied. On the path of every entry. */
  applied(index: number): void {
    const { store, lessor } = this.#member;
    this.effects.addRecords(store);
    if (!this.#samples.isDue(index) || !this.effects.isKnown) return;
    this.#samples.add(index, this.effects.sample(store, lessor.count));
    this.#isDirty = true;
  }

  /** The state was replaced. */
  adopted(effectHash: number | undefined): void {
    this.effects = new EffectHash(effectHash, this.#member.store);
    this.#samples.reset();
    this.#rounds.clear();
  }

  turn(nowMs: number): void {
    const member = this.#member;
    if (this.#canJudge && this.#isDirty) this.#lookAtRounds(nowMs);
    if (this.#canJudge && member.isLeader && member.membership.size > 1) this.#openRound(nowMs);
    else this.#rest();
  }

  /** Opens no rounds. */
  #rest(): void {
    this.#nextRoundMs = Number.POSITIVE_INFINITY;
    this.#disputedSinceMs = Number.POSITIVE_INFINITY;
  }

  get #canJudge(): boolean {
    return this.effects.isKnown && !this.#member.rejoin.isActive;
  }

  nextDeadlineMs(): number {
    return this.#nextRoundMs;
  }

  onHash(peer: Id64, index: number, hash: number): void {
    const member = this.#member;
    let round = this.#rounds.get(index);
    if (round === undefined) {
      round = this.#addRound(index);
      if (index > member.appliedIndex) this.#samples.want(index);
    }
    // The leader asks for the same index again while an alarm is raised.
    if (id64Equal(peer, member.raft.leader)) round.hashes.delete(this.#ownHex);
    round.hashes.set(id64Hex(peer), hash);
    this.#isDirty = true;
  }

  /** The state of this member is wrong, as itself or the others have found. Only a leader says so in the log. */
  raiseAlarm(id: Id64): void {
    const { alarms, membership } = this.#member;
    if (membership.get(id) === undefined || alarms.has(id, ALARM_CORRUPT)) return;
    this.#agreedCounts.delete(id64Hex(id));
    this.#proposeAlarm(id, ACTION_ACTIVATE);
  }

  #lookAtRounds(nowMs: number): void {
    this.#isDirty = false;
    for (const round of this.#rounds.values()) {
      if (!round.hashes.has(this.#ownHex) && round.index <= this.#member.appliedIndex) this.#answer(round);
      this.#judge(round, nowMs);
      if (this.#member.rejoin.isActive) return;
    }
  }

  #openRound(nowMs: number): void {
    const { appliedIndex, alarms } = this.#member;
    const isQuiet =
      appliedIndex <= this.#lastRoundIndex &&
      !alarms.hasDivergence &&
      this.#disputedSinceMs === Number.POSITIVE_INFINITY;
    if (isQuiet) {
      this.#nextRoundMs = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.#nextRoundMs === Number.POSITIVE_INFINITY) this.#nextRoundMs = nowMs + ROUND_MS;
    if (nowMs < this.#nextRoundMs) return;
    this.#nextRoundMs = nowMs + ROUND_MS;
    const previous = this.#rounds.get(this.#lastRoundIndex);
    if (previous !== undefined) this.#countAgreed(previous);
    // Under load an index that everybody samples anyway: the others may be past the current one already.
    const regular = this.#samples.latestRegularIndex;
    const index = regular > this.#lastRoundIndex ? regular : appliedIndex;
    this.#lastRoundIndex = index;
    this.#rounds.delete(index); // while an alarm is raised the same index is asked for again
    const round = this.#addRound(index);
    this.#answer(round);
    this.#judge(round, nowMs);
  }

  #addRound(index: number): Round {
    const round: Round = { index, hashes: new Map(), settled: false };
    this.#rounds.set(index, round);
    if (this.#rounds.size > ROUND_COUNT_MAX) {
      const [oldest] = this.#rounds.keys();
      this.#rounds.delete(oldest!);
    }
    return round;
  }

  /** This member's own hash, to all. Nothing when it was not kept. */
  #answer(round: Round): void {
    const member = this.#member;
    let hash = this.#samples.find(round.index);
    if (hash < 0 && round.index === member.appliedIndex)
      hash = this.effects.sample(member.store, member.lessor.count);
    if (hash < 0) return;
    round.hashes.set(this.#ownHex, hash);
    for (const { id } of member.membership.list()) {
      if (!id64Equal(id, member.options.memberId))
        sendHash(member.options.peers, id, { index: round.index, hash });
    }
  }

  #judge(round: Round, nowMs: number): void {
    if (round.settled || round.hashes.size < 2) return;
    const { voters, votersOutgoing } = this.#member.raft.confState;
    const verdict = judge({ voters, outgoing: votersOutgoing, hashes: round.hashes });
    const own = round.hashes.get(this.#ownHex);
    if (verdict.kind === "majority" && own !== undefined && own !== verdict.hash) {
      round.settled = true;
      this.#member.options.events.warn("the state of this member differs from the majority's", {
        index: round.index,
        hash: own,
        "majority-hash": verdict.hash,
      });
      return this.#member.rejoin.begin();
    }
    if (this.#member.isLeader) this.#judgeAsLeader(round, verdict, nowMs);
  }

  #judgeAsLeader(round: Round, verdict: Verdict, nowMs: number): void {
    switch (verdict.kind) {
      case "majority":
        this.#disputedSinceMs = Number.POSITIVE_INFINITY;
        for (const hex of verdict.diverged) this.raiseAlarm(parseId64Hex(hex)!);
        return;
      case "open":
        if (!verdict.differ) return;
        this.#disputedSinceMs = Math.min(this.#disputedSinceMs, nowMs);
        if (nowMs - this.#disputedSinceMs < OPEN_MS_MAX) return;
        break;
      case "split":
        break;
    }
    round.settled = true;
    // All that have spoken: any of them may be the one that is wrong.
    for (const hex of round.hashes.keys()) this.raiseAlarm(parseId64Hex(hex)!);
  }

  /** The round is over: who has an alarm and agreed is nearer to its end. Silence changes nothing. */
  #countAgreed(round: Round): void {
    const { alarms, membership, raft } = this.#member;
    if (!alarms.hasDivergence) return this.#agreedCounts.clear();
    const { voters, votersOutgoing } = raft.confState;
    const verdict = judge({ voters, outgoing: votersOutgoing, hashes: round.hashes });
    for (const { id } of membership.list()) {
      const hex = id64Hex(id);
      const hash = round.hashes.get(hex);
      if (hash === undefined || !alarms.isDiverged(id)) continue;
      const agrees = verdict.kind === "majority" && verdict.hash === hash;
      const count = agrees ? (this.#agreedCounts.get(hex) ?? 0) + 1 : 0;
      this.#agreedCounts.set(hex, count);
      if (count >= HEALED_ROUND_COUNT) this.#proposeAlarm(id, ACTION_DEACTIVATE);
    }
  }

  #proposeAlarm(id: Id64, action: number): void {
    const member = this.#member;
    if (!allowsKind(member.formatVersion, PRIVATE_KIND.divergenceAlarm)) return;
    const hex = id64Hex(id);
    const { nowMs } = member;
    if (nowMs - (this.#alarmProposedMs.get(hex) ?? Number.NEGATIVE_INFINITY) < ALARM_RETRY_MS) return;
    const writer = new ByteWriter(32);
    encode(AlarmRequest, { action, memberID: id64ToBigInt(id), alarm: ALARM_CORRUPT }, writer);
    if (!member.proposals.proposeAsLeader(PRIVATE_KIND.divergenceAlarm, writer.bytes, 0, writer.position))
      return;
    this.#alarmProposedMs.set(hex, nowMs);
    const said =
      action === ACTION_ACTIVATE
        ? "raising CORRUPT: a member's state differs"
        : "taking CORRUPT back: a member's state agrees again";
    member.options.events.warn(said, { member: hex });
  }
}
