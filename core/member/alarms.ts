// Raised alarms. They come out of the log, so every member knows the same ones: NOSPACE refuses what would grow the
// store, CORRUPT refuses every write. Neither goes away by itself: an operator disarms it.

import { type Id64, id64, id64Compare, id64Equal, id64ToBigInt } from "../base/ids.ts";

export const ALARM_NONE = 0;
export const ALARM_NOSPACE = 1;
export const ALARM_CORRUPT = 2;
export const ALARM_NAMES: readonly string[] = ["NONE", "NOSPACE", "CORRUPT"];

export interface Alarm {
  readonly memberId: Id64;
  readonly type: number;
}

export class Alarms {
  #alarms: Alarm[] = [];

  /** Whether any member has raised this type. Kept as fields because every write asks. */
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
    const alarm = { memberId, type };
    if (!this.has(memberId, type)) {
      this.#alarms.push(alarm);
      this.#alarms.sort((a, b) => a.type - b.type || id64Compare(a.memberId, b.memberId));
    }
    this.#refresh();
    return alarm;
  }

  /** Takes one back; undefined when it was not raised for exactly this member and type. */
  deactivate(memberId: Id64, type: number): Alarm | undefined {
    if (!this.has(memberId, type)) return undefined;
    this.#alarms = this.#alarms.filter(
      (alarm) => alarm.type !== type || !id64Equal(alarm.memberId, memberId),
    );
    this.#refresh();
    return { memberId, type };
  }

  /** The lines of Status.errors, in etcd's form with its trailing space. */
  statusLines(): string[] {
    return this.#alarms.map(
      (alarm) => `memberID:${id64ToBigInt(alarm.memberId)} alarm:${ALARM_NAMES[alarm.type]} `,
    );
  }

  toJson(): string {
    return JSON.stringify(this.#alarms.map(({ memberId, type }) => [memberId.hi, memberId.lo, type]));
  }

  static fromJson(text: string): Alarms {
    const alarms = new Alarms();
    for (const [hi, lo, type] of JSON.parse(text) as [number, number, number][])
      alarms.activate(id64(hi, lo), type);
    return alarms;
  }

  #refresh(): void {
    this.isNoSpace = this.#alarms.some((alarm) => alarm.type === ALARM_NOSPACE);
    this.isCorrupt = this.#alarms.some((alarm) => alarm.type === ALARM_CORRUPT);
  }
}
