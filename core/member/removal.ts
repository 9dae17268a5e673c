// How a member that was removed ends. It learns of it from its log, or from the others, who refuse its connections; it may have
// missed the entry. It does not stop at once: while others do not know yet that the change is committed, they count this
// member among the voters, and if the leader is lost in that moment they need its vote, or its word that the change is
// committed, to elect the next one. It goes once a majority of those that stay has refused it, because these have applied the
// change and can elect a leader alone, and after some election timeouts in any case.

import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import type { MemberState } from "./member-state.ts";
import { REFUSAL_REMOVED } from "./peer-frames.ts";

/** Of the longest election timeout: time for several elections that fail. */
const STAY_ELECTION_COUNT = 10;

export class Removal {
  readonly #member: MemberState;
  /** When this member stops in any case; Infinity while it is not known to be removed. */
  #stopMs = Number.POSITIVE_INFINITY;
  /** Who has said that this member is removed, by hexadecimal id. */
  readonly #tellers = new Set<string>();
  #isOver = false;

  constructor(member: MemberState) {
    this.#member = member;
    this.applied();
  }

  /** The members changed. */
  applied(): void {
    const { membership, options } = this.#member;
    if (membership.isRemoved(options.memberId)) this.#begin();
  }

  /** Another member refuses this one, because its log says that this one is removed. */
  told(by: Id64): void {
    this.#begin();
    this.#tellers.add(id64Hex(by));
    this.#member.options.waker.wake();
  }

  turn(nowMs: number): void {
    if (this.#stopMs === Number.POSITIVE_INFINITY || this.#isOver) return;
    if (nowMs < this.#stopMs && !this.#isKnownToMajority) return;
    this.#isOver = true;
    const { events } = this.#member.options;
    events.warn("server error", { error: REFUSAL_REMOVED });
    events.warn("data-dir used by this member must be removed");
    events.stop(REFUSAL_REMOVED);
  }

  nextDeadlineMs(): number {
    return this.#isOver ? Number.POSITIVE_INFINITY : this.#stopMs;
  }

  get #isKnownToMajority(): boolean {
    const { raft, options } = this.#member;
    const others = raft.confState.voters.filter((id) => !id64Equal(id, options.memberId));
    return this.#tellers.size > others.length >> 1;
  }

  #begin(): void {
    if (this.#stopMs !== Number.POSITIVE_INFINITY) return;
    const { clock, options } = this.#member;
    this.#stopMs = clock.now() + STAY_ELECTION_COUNT * options.electionMs;
    options.events.warn("this member was removed from the cluster, it stops soon");
  }
}
