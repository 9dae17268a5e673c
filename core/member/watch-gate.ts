// Watch requests wait here after a restart, in their order, until all that this member may have shown before is applied
// again (reading.ts): a watch is created at a revision, and may start from it.

import { STATUS } from "../wire/status.ts";
import type { Call } from "./call.ts";
import type { MemberState } from "./member-state.ts";
import type { Reading } from "./reading.ts";

export interface WatchGateHost extends MemberState {
  readonly reading: Reading;
}

interface HeldRequest {
  readonly call: Call;
  readonly bytes: Uint8Array;
}

export class WatchGate {
  readonly #member: WatchGateHost;
  #held: HeldRequest[] = [];
  #isAsked = false;

  constructor(member: WatchGateHost) {
    this.#member = member;
  }

  onMessage(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const { hub, limits, reading } = this.#member;
    if (this.#held.length === 0 && reading.showsItsPast) return hub.onMessage(call, bytes, start, end);
    if (this.#held.length >= limits.watchControlBacklogMax) return hub.refuse(call, STATUS.tooManyRequests);
    this.#held.push({ call, bytes: bytes.slice(start, end) });
  }

  /** Without a leader what waits goes on waiting: the streams are open, and end when their clients say so. */
  turn(): void {
    if (this.#held.length === 0) return;
    if (this.#member.reading.showsItsPast) return this.#release();
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#member.reading.afterPast(() => {
      this.#isAsked = false;
      this.#member.options.waker.wake();
    });
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    // The hub passes over what belongs to a stream that is gone.
    for (const { call, bytes } of held) this.#member.hub.onMessage(call, bytes, 0, bytes.length);
  }
}
