// When a checkpoint is due, and what follows from it: the log before it is given up.

import type { Member } from "./member.ts";

export class Checkpointer {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  /** A slice of a checkpoint; true when there is more to do at once. */
  slice(): boolean {
    return false;
  }

  get member(): Member {
    return this.#member;
  }
}
