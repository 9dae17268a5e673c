// One watcher's stream against the truth: every event of its range and filters, once, in order, whole revisions at a
// time, and nothing else; a progress message promises that everything up to its revision was delivered.
//
// `next` is the first revision of which nothing has been delivered. It is all that is kept.

import type * as m from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import { canonical } from "./canonical.ts";
import type { GroundTruth } from "./ground-truth.ts";
import { keyValueOf, type ModelEvent } from "./kv-model.ts";
import { promise } from "./violation.ts";

export type WatchResponse = MessageOf<typeof m.WatchResponse>;
type WatchedEvent = WatchResponse["events"][number];

export interface WatchedRange {
  readonly name: string;
  readonly key: string;
  readonly rangeEnd: string;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly prevKv: boolean;
}

export class WatchOracle {
  /** 0 until the watch is created with start revision 0. */
  next: number;
  /** Messages that were checked. */
  checkedCount = 0;
  readonly #truth: GroundTruth;
  readonly #range: WatchedRange;
  /** Events of a revision whose fragments are still coming. */
  #pieces: WatchedEvent[] = [];
  #lastHeader = 0;
  /** The highest header of each member, by id. */
  readonly #lastOf = new Map<bigint, number>();

  constructor(truth: GroundTruth, range: WatchedRange, startRevision: number) {
    this.#truth = truth;
    this.#range = range;
    this.next = startRevision;
  }

  /** A stream was opened again: what was not complete comes once more, headers may start lower at another member. */
  resumed(): void {
    this.#pieces = [];
    this.#lastHeader = 0;
  }

  onResponse(response: WatchResponse): void {
    this.checkedCount++;
    const shown = response.header?.revision ?? 0;
    if (response.canceled) return;
    promise(
      shown <= this.#truth.revision,
      "watch-phantom",
      () => `${this.#range.name}: header revision ${shown}, but only ${this.#truth.revision} is committed`,
    );
    this.#checkMonotone(response, shown);
    promise(
      shown >= this.#lastHeader,
      "watch-order",
      () => `${this.#range.name}: header revision ${shown} after ${this.#lastHeader}`,
    );
    if (response.created) {
      if (this.next === 0) this.next = shown + 1;
      return;
    }
    this.#lastHeader = shown;
    if (response.events.length === 0 && !response.fragment && this.#pieces.length === 0)
      return this.#onProgress(shown);
    this.#pieces.push(...response.events);
    if (response.fragment) return;
    const events = this.#pieces;
    this.#pieces = [];
    this.#onEvents(events, shown);
  }

  /** When everything is quiet: nothing may be missing. */
  checkComplete(): void {
    promise(this.next > 0, "watch-complete", () => `${this.#range.name} was never created`);
    this.#checkNothingBetween(this.#truth.revision, "watch-complete");
  }

  /** Over all streams to a member, whatever happened to its process between them. Events of the past say theirs. */
  #checkMonotone({ header, created }: WatchResponse, shown: number): void {
    const memberId = header?.member_id ?? 0n;
    const last = this.#lastOf.get(memberId) ?? 0;
    promise(
      !created || shown >= last,
      "monotone-header",
      () => `${this.#range.name}: created at revision ${shown}, but this member had shown ${last}`,
    );
    this.#lastOf.set(memberId, Math.max(last, shown));
  }

  #onProgress(shown: number): void {
    this.#checkNothingBetween(shown, "watch-progress");
    this.next = Math.max(this.next, shown + 1);
  }

  #onEvents(events: readonly WatchedEvent[], shown: number): void {
    for (let first = 0; first < events.length;) {
      const revision = events[first]!.kv?.mod_revision ?? 0;
      let end = first + 1;
      while (end < events.length && events[end]!.kv?.mod_revision === revision) end++;
      this.#onRevision(revision, events.slice(first, end));
      first = end;
    }
    promise(
      shown >= this.next - 1,
      "watch-order",
      () => `${this.#range.name}: header revision ${shown} below its events' ${this.next - 1}`,
    );
  }

  #onRevision(revision: number, events: readonly WatchedEvent[]): void {
    const { name } = this.#range;
    promise(
      revision <= this.#truth.revision,
      "watch-phantom",
      () => `${name}: an event of revision ${revision}, but only ${this.#truth.revision} is committed`,
    );
    promise(
      revision >= this.next,
      "watch-unique",
      () => `${name}: revision ${revision} came again or too late; ${this.next} was next`,
    );
    this.#checkNothingBetween(revision - 1, "watch-reliable");
    const wanted = this.#matching(revision);
    promise(
      events.length === wanted.length,
      "watch-atomic",
      () => `${name}: ${events.length} events of revision ${revision}, there are ${wanted.length}`,
    );
    for (let i = 0; i < wanted.length; i++) this.#checkEvent(events[i]!, wanted[i]!);
    this.next = revision + 1;
  }

  #checkEvent(event: WatchedEvent, wanted: ModelEvent): void {
    const { version, previous } = wanted;
    const isDelete = version.version === 0;
    const kv = isDelete ? { key: version.key, mod_revision: version.revision } : keyValueOf(version);
    const expected = { type: isDelete ? 1 : 0, kv };
    const { prev_kv: actualPrevious, ...rest } = event;
    const actual = canonical(rest);
    promise(
      actual === canonical(expected),
      "watch-value",
      () => `${this.#range.name}: event ${actual}, the truth is ${canonical(expected)}`,
    );
    this.#checkPrevious(actualPrevious, version.revision, previous);
  }

  #checkPrevious(actual: WatchedEvent["prev_kv"], revision: number, previous: ModelEvent["previous"]): void {
    const { name, prevKv } = this.#range;
    if (actual === undefined) {
      const mayBeGone =
        !prevKv || previous === undefined || this.#truth.model.compactedRevision >= revision - 1;
      promise(
        mayBeGone,
        "watch-value",
        () => `${name}: the event of revision ${revision} lacks its previous value`,
      );
      return;
    }
    const wanted = previous === undefined || !prevKv ? "none" : canonical(keyValueOf(previous));
    promise(
      canonical(actual) === wanted,
      "watch-value",
      () => `${name}: previous value ${canonical(actual)} at revision ${revision}, the truth is ${wanted}`,
    );
  }

  #checkNothingBetween(last: number, oracle: string): void {
    for (let revision = Math.max(this.next, 1); revision <= last; revision++) {
      const missed = this.#matching(revision);
      promise(
        missed.length === 0,
        oracle,
        () =>
          `${this.#range.name}: revision ${revision} (${canonical(missed[0]!.version)}) was not delivered; all before ${this.next} were, ${last} was claimed`,
      );
    }
  }

  #matching(revision: number): readonly ModelEvent[] {
    const { key, rangeEnd, noPut, noDelete } = this.#range;
    return this.#truth.model.eventsOf(revision).filter(({ version }) => {
      if (version.version === 0 ? noDelete : noPut) return false;
      if (rangeEnd === "") return version.key === key;
      return version.key >= key && (rangeEnd === "\0" || version.key < rangeEnd);
    });
  }
}
