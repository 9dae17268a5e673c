// Every operation of every client, judged when it returns (strict serializability by revisions, without a search).
//
// Let F be the highest revision that any returned operation has shown. An operation notes F when it is called; when it
// returns, showing revision h:
//   a write that changed something has  h > F,  any other linearizable operation  h >= F,
//   and its answer is what the model gives at h; for a write also: it is in the committed log, once, at exactly h.
// All pairs of operations being consistent with the order of revisions is necessary and sufficient, so this is O(1) each.

import type * as m from "../../core/wire/messages.ts";
import { decode, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { CODE, STATUS } from "../../core/wire/status.ts";
import { canonical } from "./canonical.ts";
import type { CommittedOperation, GroundTruth } from "./ground-truth.ts";
import type { Outcome } from "./kv-model.ts";
import { promise, Violation } from "./violation.ts";

/** What a client sees of a finished call. */
export interface Answer {
  readonly code: number;
  readonly text: string;
  /** The response message; undefined unless the code is OK. */
  readonly message: Uint8Array | undefined;
}

export interface Operation {
  readonly client: number;
  readonly node: number;
  readonly method: Method;
  readonly request: unknown;
  /** 0 for what does not carry one. */
  readonly tag: number;
  readonly calledUs: number;
  /** F at the call. */
  readonly floor: number;
}

/**
 * Refusals that say "it did not happen"; an operation that got one may not be in the log. A write is told that the leader
 * changed only when its leader has certainly not taken it (forwarding); that the server stopped says nothing.
 */
const DEFINITE = new Set<string>([
  STATUS.tooManyRequests.text,
  STATUS.requestTooLarge.text,
  STATUS.emptyKey.text,
  STATUS.duplicateKey.text,
  STATUS.tooManyOperations.text,
  STATUS.notSupportedForLearner.text,
  STATUS.leaderChanged.text,
]);

/** Ends that say nothing about whether it happened. */
function isUnknown(answer: Answer): boolean {
  return (
    answer.code === CODE.unavailable || answer.code === CODE.deadlineExceeded || answer.code === CODE.canceled
  );
}

export class History {
  /** F: the highest revision of an operation that has returned. */
  highestReturned = 1;
  /** Operations whose answer was checked. */
  checkedCount = 0;
  okCount = 0;
  readonly #truth: GroundTruth;
  /** The last revision each client was shown by each member, whatever happened to that one's process since. */
  readonly #lastSeen = new Map<string, number>();

  constructor(truth: GroundTruth) {
    this.#truth = truth;
  }

  returned(operation: Operation, answer: Answer): void {
    this.checkedCount++;
    if (answer.code === CODE.ok) {
      this.okCount++;
      this.#checkMonotone(operation, decodeAnswer(operation.method, answer));
    }
    switch (operation.method) {
      case METHOD.put:
      case METHOD.deleteRange:
      case METHOD.compact:
      case METHOD.leaseRevoke:
        return this.#checkWrite(operation, answer, this.#truth.operation(operation.tag));
      case METHOD.leaseGrant: {
        const { ID } = operation.request as MessageOf<typeof m.LeaseGrantRequest>;
        return this.#checkWrite(operation, answer, this.#truth.grantOf(ID));
      }
      case METHOD.txn:
        if (operation.tag === 0) return this.#checkRead(operation, answer);
        return this.#checkWrite(operation, answer, this.#truth.operation(operation.tag));
      case METHOD.range:
        return this.#checkRead(operation, answer);
      default:
        return this.#checkOther(operation, answer);
    }
  }

  #checkWrite(operation: Operation, answer: Answer, committed: CommittedOperation | undefined): void {
    const name = describe(operation);
    if (committed === undefined) {
      promise(
        answer.code !== CODE.ok,
        "durability",
        () => `${name} was acknowledged, but is not in the committed log`,
      );
      return;
    }
    promise(
      !DEFINITE.has(answer.text),
      "exactly-once",
      () => `${name} was refused with "${answer.text}", but is in the committed log at ${committed.index}`,
    );
    if (isUnknown(answer)) return;
    const { outcome } = committed;
    this.#checkOutcome(operation, answer, outcome);
    if (answer.code !== CODE.ok) return;
    const changed = committed.revision > committed.revisionBefore;
    const shown = committed.revision;
    promise(
      shown >= operation.floor + (changed ? 1 : 0),
      "strict-serializability",
      () =>
        `${name} took effect at revision ${shown}, but revision ${operation.floor} had been shown before it was called`,
    );
    this.#show(shown);
  }

  #checkRead(operation: Operation, answer: Answer): void {
    if (isUnknown(answer) || DEFINITE.has(answer.text)) return;
    if (answer.code !== CODE.ok) return this.#checkRefusedRead(operation, answer);
    const message = decodeAnswer(operation.method, answer);
    const shown = message.header?.revision ?? 0;
    this.#checkShown(operation, shown);
    if (!isSerializableRead(operation)) {
      promise(
        shown >= operation.floor,
        "strict-serializability",
        () =>
          `${describe(operation)} showed revision ${shown}, but ${operation.floor} had been shown before it was called`,
      );
      this.#show(shown);
    }
    const { model } = this.#truth;
    const outcome =
      operation.method === METHOD.range
        ? model.range(operation.request as MessageOf<typeof m.RangeRequest>, shown)
        : model.readTxn(operation.request as m.TxnRequestMessage, shown);
    this.#checkOutcome(operation, answer, outcome);
  }

  #checkRefusedRead(operation: Operation, answer: Answer): void {
    const request = operation.request as MessageOf<typeof m.RangeRequest>;
    const revision = operation.method === METHOD.range ? request.revision : 0;
    const { model } = this.#truth;
    const isTrue =
      answer.text === STATUS.compacted.text
        ? revision > 0 && revision < model.compactedRevision
        : answer.text === STATUS.futureRevision.text &&
          (isSerializableRead(operation) || revision > operation.floor);
    promise(
      isTrue,
      "value",
      () =>
        `${describe(operation)} was refused with "${answer.text}" (revision ${model.revision}, compacted ${model.compactedRevision})`,
    );
  }

  /** By what the header says of who answered: some requests are the leader's, whoever was asked. */
  #checkMonotone(operation: Operation, { header }: WithHeader): void {
    const shown = header?.revision ?? 0;
    // Some answers are about members, not about the store.
    if (header === undefined || shown === 0) return;
    const key = `${operation.client}:${header.member_id}`;
    const last = this.#lastSeen.get(key) ?? 0;
    promise(
      shown >= last,
      "monotone-header",
      () =>
        `${describe(operation)} showed revision ${shown}, but this client had seen ${last} at the same member`,
    );
    this.#lastSeen.set(key, shown);
  }

  /** Status, hashes, time to live: only that the header is not from the future. */
  #checkOther(operation: Operation, answer: Answer): void {
    if (answer.code !== CODE.ok) return;
    const message = decodeAnswer(operation.method, answer);
    this.#checkShown(operation, message.header?.revision ?? 0);
  }

  #checkShown(operation: Operation, shown: number): void {
    promise(
      shown <= this.#truth.revision,
      "phantom",
      () => `${describe(operation)} showed revision ${shown}, but only ${this.#truth.revision} is committed`,
    );
  }

  #checkOutcome(operation: Operation, answer: Answer, expected: Outcome): void {
    if (answer.code !== CODE.ok || expected.status.code !== CODE.ok) {
      promise(
        answer.text === expected.status.text,
        "value",
        () => `${describe(operation)} ended with "${answer.text}", the model says "${expected.status.text}"`,
      );
      return;
    }
    const actual = canonical(decodeAnswer(operation.method, answer));
    const wanted = canonical(expected.response);
    promise(
      actual === wanted,
      "value",
      () => `${describe(operation)} was answered\n    ${actual}\n  but the model says\n    ${wanted}`,
    );
  }

  #show(revision: number): void {
    if (revision > this.highestReturned) this.highestReturned = revision;
  }
}

export function isSerializableRead(operation: Operation): boolean {
  if (operation.method === METHOD.range)
    return (operation.request as MessageOf<typeof m.RangeRequest>).serializable;
  const { success, failure } = operation.request as m.TxnRequestMessage;
  return [...success, ...failure].every((op) => op.request_range?.serializable === true);
}

type WithHeader = { readonly header?: MessageOf<typeof m.ResponseHeader> | undefined };

function decodeAnswer(method: Method, answer: Answer): WithHeader {
  if (answer.message === undefined)
    throw new Violation("protocol", `${method.name} ended well without an answer`);
  return decode(method.response, answer.message, 0, answer.message.length) as WithHeader;
}

export function describe(operation: Operation): string {
  const { client, node, method, calledUs } = operation;
  const text = canonical(operation.request);
  const shown = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  return `${method.name}${shown} by client ${client} at member ${node}, called at ${(calledUs / 1000).toFixed(3)} ms`;
}
