// Raised alarms. They come out of the log, so every member knows the same ones: NOSPACE refuses what would grow the
// store, CORRUPT refuses every write. Neither goes away by itself: an operator disarms it.
//
// A CORRUPT that members raise themselves, because the state of one differs from the others' (divergence.ts), is about
// that one alone: writes are refused only when the voters without it are no majority. The members take it back, too.

import { type Id64, id64, id64Compare, id64Equal, id64ToBigInt } from "../base/ids.ts";

export const ALARM_NONE = 0;
export const ALARM_NOSPACE = 1;
export const ALARM_CORRUPT = 2;
export const ALARM_NAMES: readonly string[] = ["NONE", "NOSPACE", "CORRUPT"];

export interface Alarm {
  readonly memberId: Id64;
  readonly type: number;
  /** Raised by the members themselves, for this member's state. */
  readonly isDivergence: boolean;
}

export class Alarms {
  #alarms: Alarm[] = [];
  /** The members that vote. */
  #voters: readonly Id64[] = [];

  /** Whether what these alarms refuse is refused. Kept as fields because every write asks. */
  isNoSpace = false;
  isCorrupt = false;

  /** All of a type, or all when the type is NONE; by type, then by member. */
  list(type: number): readonly Alarm[] {
    return type === ALARM_NONE ? this.#alarms : this.#alarms.filter((alarm) => alarm.type === type);
  }

  has(memberId: Id64, type: number): boolean {
    return this.#alarms.some((alarm) => alarm.type === type && id64Equal(alarm.memberId, memberId));
  }

  /** Raises an alarm; one that is raised already stays as it is. Raising NONE does nothing. */
  activate(memberId: Id64, type: number): Alarm | undefined {
    if (type === ALARM_NONE) return undefined;
    const alarm = { memberId, type, isDivergence: false };
    const known = this.#find(memberId, type);
    // What a client says counts for the whole cluster, also when the members had raised it before.
    if (known === undefined || known.isDivergence) this.#put(alarm);
    return alarm;
  }

  /** The state of this member differs from the others'. */
  activateDivergence(memberId: Id64): void {
    if (!this.has(memberId, ALARM_CORRUPT)) this.#put({ memberId, type: ALARM_CORRUPT, isDivergence: true });
  }

  /** It does not any more. What a client raised stays. */
  deactivateDivergence(memberId: Id64): void {
    if (this.isDiverged(memberId)) this.deactivate(memberId, ALARM_CORRUPT);
  }

  isDiverged(memberId: Id64): boolean {
    return this.#find(memberId, ALARM_CORRUPT)?.isDivergence ?? false;
  }

  /** Whether the members have raised any for one of them. */
  get hasDivergence(): boolean {
    return this.#alarms.some((alarm) => alarm.isDivergence);
  }

  setVoters(voters: readonly Id64[]): void {
    this.#voters = voters;
    this.#refresh();
  }

  /** Takes one back; undefined when it was not raised for exactly this member and type. */
  deactivate(memberId: Id64, type: number): Alarm | undefined {
    if (!this.has(memberId, type)) return undefined;
    this.#alarms = this.#alarms.filter(
      (alarm) => alarm.type !== type || !id64Equal(alarm.memberId, memberId),
    );
    this.#refresh();
    return { memberId, type, isDivergence: false };
  }

  /**
   * The types that matter to whoever asks about the health of a member: another one's wrong state does not, as long as
   * the cluster goes on; an orchestrator would restart members that are well.
   */
  healthNames(): string[] {
    const names = this.#alarms
      .filter((alarm) => !alarm.isDivergence)
      .map((alarm) => ALARM_NAMES[alarm.type]!);
    if (this.isCorrupt) names.push(ALARM_NAMES[ALARM_CORRUPT]!);
    return [...new Set(names)];
  }

  /** The lines of Status.errors, in etcd's form with its trailing space. */
  statusLines(): string[] {
    return this.#alarms.map(
      (alarm) => `memberID:${id64ToBigInt(alarm.memberId)} alarm:${ALARM_NAMES[alarm.type]} `,
    );
  }

  toJson(): string {
    return JSON.stringify(
      this.#alarms.map(({ memberId, type, isDivergence }) => [
        memberId.hi,
        memberId.lo,
        type,
        Number(isDivergence),
      ]),
    );
  }

  static fromJson(text: string): Alarms {
    const alarms = new Alarms();
    for (const [hi, lo, type, isDivergence] of JSON.parse(text) as [number, number, number, number?][]) {
      if (isDivergence === 1) alarms.activateDivergence(id64(hi, lo));
      else alarms.activate(id64(hi, lo), type);
    }
    return alarms;
  }

  #find(memberId: Id64, type: number): Alarm | undefined {
    return this.#alarms.find((alarm) => alarm.type === type && id64Equal(alarm.memberId, memberId));
  }

  #put(alarm: Alarm): void {
    this.#alarms = this.#alarms.filter(
      (other) => other.type !== alarm.type || !id64Equal(other.memberId, alarm.memberId),
    );
    this.#alarms.push(alarm);
    this.#alarms.sort((a, b) => a.type - b.type || id64Compare(a.memberId, b.memberId));
    this.#refresh();
  }

  #refresh(): void {
    this.isNoSpace = this.#alarms.some((alarm) => alarm.type === ALARM_NOSPACE);
    this.isCorrupt =
      this.#alarms.some((alarm) => alarm.type === ALARM_CORRUPT && !alarm.isDivergence) ||
      !this.#isMajoritySound;
  }

  get #isMajoritySound(): boolean {
    if (!this.hasDivergence) return true;
    const sound = this.#voters.filter((id) => !this.isDiverged(id)).length;
    return sound > this.#voters.length >> 1;
  }
}
