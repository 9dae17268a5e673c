// What a log must hold after a power loss: everything that was acknowledged, then some of what was handed in after it, in
// order and without a gap. The model is a list of operations and the number of them that were acknowledged.

import assert from "node:assert/strict";
import type { HardState } from "../../core/wal/payload.ts";
import type { Recovery } from "../../core/wal/recover.ts";

type Operation =
  | {
      readonly kind: "entry";
      readonly index: number;
      readonly term: number;
      readonly type: number;
      readonly data: Uint8Array;
    }
  | { readonly kind: "state"; readonly state: HardState };

interface Content {
  readonly entries: Map<number, Extract<Operation, { kind: "entry" }>>;
  lastIndex: number;
  term: number;
  vote: string;
}

export class LogModel {
  readonly #operations: Operation[] = [];
  acknowledgedCount = 0;
  /** Entries up to here are in a durable checkpoint. */
  checkpointIndex = 0;
  /** The log exists: its creation was acknowledged. */
  isCreated = false;

  copy(): LogModel {
    const copy = new LogModel();
    copy.#operations.push(...this.#operations);
    copy.acknowledgedCount = this.acknowledgedCount;
    copy.checkpointIndex = this.checkpointIndex;
    copy.isCreated = this.isCreated;
    return copy;
  }

  get operationCount(): number {
    return this.#operations.length;
  }

  entry(index: number, term: number, type: number, data: Uint8Array): void {
    this.#operations.push({ kind: "entry", index, term, type, data });
  }

  state(state: HardState): void {
    this.#operations.push({ kind: "state", state });
  }

  acknowledge(count: number): void {
    assert.ok(count >= this.acknowledgedCount, "acknowledgements come in order");
    this.acknowledgedCount = count;
  }

  get acknowledgedLastIndex(): number {
    return this.#contentAfter(this.acknowledgedCount).lastIndex;
  }

  /** The log is in use: what recovery found is durable, and what it did not find is gone for good. */
  settle(operationCount: number): void {
    this.#operations.length = operationCount;
    this.acknowledgedCount = operationCount;
    this.isCreated = true;
  }

  /** Fails unless the recovered log is one that the model allows; returns how many operations it holds. */
  check(recovery: Recovery | undefined): number {
    if (recovery === undefined) {
      assert.ok(!this.isCreated, "a log that was created is found");
      return 0;
    }
    const { hardState, lastIndex } = recovery;
    assert.ok(hardState.commit <= lastIndex, "the commit index lies within the log");
    let reason: unknown;
    for (let count = this.acknowledgedCount; count <= this.#operations.length; count++) {
      try {
        this.#compare(recovery, this.#contentAfter(count));
      } catch (error) {
        // What was acknowledged is the first candidate and gives the most telling message.
        reason ??= error;
        continue;
      }
      return count;
    }
    throw reason;
  }

  #compare(recovery: Recovery, content: Content): void {
    const { entries, hardState } = recovery;
    assert.equal(recovery.lastIndex, content.lastIndex, "last index");
    assert.equal(entries.lastIndex, Math.max(content.lastIndex, this.checkpointIndex), "last entry");
    assert.equal(hardState.term, content.term, "term");
    assert.equal(`${hardState.vote.hi}:${hardState.vote.lo}`, content.vote, "vote");
    for (let index = this.checkpointIndex + 1; index <= content.lastIndex; index++) {
      const expected = content.entries.get(index)!;
      assert.equal(entries.log.term(index), expected.term, `term of entry ${index}`);
      assert.equal(entries.log.type(index), expected.type, `type of entry ${index}`);
      const data = entries.log.bytes(index).subarray(entries.log.start(index), entries.log.end(index));
      assert.ok(Buffer.compare(data, expected.data) === 0, `data of entry ${index}`);
    }
  }

  #contentAfter(count: number): Content {
    const content: Content = { entries: new Map(), lastIndex: 0, term: 0, vote: "0:0" };
    for (const operation of this.#operations.slice(0, count)) {
      if (operation.kind === "entry") {
        content.entries.set(operation.index, operation);
        content.lastIndex = operation.index;
      } else {
        content.term = operation.state.term;
        content.vote = `${operation.state.vote.hi}:${operation.state.vote.lo}`;
      }
    }
    return content;
  }
}
