// Who was the primary of the leases when, as far as it can be known for certain from outside: what a leader had surely
// written down before another one took over.

import { MESSAGE_TIMEOUT_NOW, type RaftMessage } from "../../core/raft/message.ts";
import type { Promotion } from "./lease-oracle.ts";

/** A leader that was asked to hand over orders it at last so much later; what it does after that is something else. */
const HAND_OVER_US_MAX = 1_000_000;

/** A leader tries one target for as long as a request may take, at most. */
const TRIED_US_MAX = 8_000_000;

interface Primary {
  readonly place: number;
  readonly term: number;
  readonly beganUs: number;
  /**
   * Two writes, the second asked for after the first was answered, both in this leader's log: whatever was due when the first
   * was asked for stands before the second.
   */
  doneUs: number;
  /** When it last went on after a pause; -1: it had none. */
  resumedUs: number;
  candidate: { readonly calledUs: number; readonly returnedUs: number } | undefined;
  handOver: { readonly askedUs: number; readonly target: number } | undefined;
  isOrdered: boolean;
}

export class Leadership {
  readonly #now: () => number;
  #primary: Primary | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Undefined when this one rules already, or ruled before the one that rules. */
  promoted(place: number, term: number, extensionUs: number): Promotion | undefined {
    const before = this.#primary;
    if (before !== undefined && before.term >= term) return undefined;
    this.#primary = {
      place,
      term,
      beganUs: this.#now(),
      doneUs: -1,
      resumedUs: -1,
      candidate: undefined,
      handOver: undefined,
      isOrdered: false,
    };
    const isHandedOver = before?.isOrdered === true && before.handOver?.target === place;
    return {
      extensionUs,
      handOverAskedUs: isHandedOver ? before.handOver!.askedUs : -1,
      beforeBeganUs: before?.beganUs ?? -1,
      beforeAwakeUs: Math.max(before?.beganUs ?? -1, before?.resumedUs ?? -1),
      beforeDoneUs: before?.doneUs ?? -1,
    };
  }

  /** A member goes on after a pause. */
  resumed(place: number): void {
    if (this.#primary?.place === place) this.#primary.resumedUs = this.#now();
  }

  /** A leader is asked to hand over. */
  asked(place: number, target: number): void {
    const primary = this.#primary;
    if (primary?.place !== place) return;
    // While the first one is tried, others are refused.
    const { handOver } = primary;
    if (handOver !== undefined && this.#now() - handOver.askedUs < TRIED_US_MAX) return;
    primary.handOver = { askedUs: this.#now(), target };
    primary.isOrdered = false;
  }

  /** A member said something to another. */
  said(place: number, message: RaftMessage, target: number): void {
    const primary = this.#primary;
    if (message.kind !== MESSAGE_TIMEOUT_NOW || primary?.place !== place || primary.term !== message.term)
      return;
    const { handOver } = primary;
    primary.isOrdered = handOver?.target === target && this.#now() - handOver.askedUs < HAND_OVER_US_MAX;
  }

  /** A write was answered; its entry is of this term. */
  written(term: number, calledUs: number): void {
    const primary = this.#primary;
    if (primary?.term !== term || calledUs < primary.beganUs) return;
    const { candidate } = primary;
    if (candidate !== undefined && calledUs < candidate.returnedUs) return;
    if (candidate !== undefined) primary.doneUs = candidate.calledUs;
    primary.candidate = { calledUs, returnedUs: this.#now() };
  }
}
