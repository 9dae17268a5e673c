import { test } from "node:test";
import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { ADD_VOTER, confChange } from "./conf-change.ts";
import { EMPTY_CONF_STATE } from "./configuration.ts";
import { RaftLog } from "./log.ts";
import { EMPTY_HARD_STATE, type HardState } from "./output.ts";
import { Raft } from "./raft.ts";

const ID = { hi: 7, lo: 9 };

function emptyLog(): RaftLog {
  return new RaftLog({ arenaBytes: 4096, compactedIndex: 0, compactedTerm: 0 });
}

function create(log: RaftLog, hardState: HardState = EMPTY_HARD_STATE): Raft {
  return new Raft({
    id: ID,
    incarnation: 1,
    prng: new Prng(1),
    nowMs: 0,
    electionMs: 1000,
    heartbeatMs: 100,
    limits: DEFAULT_LIMITS,
    log,
    hardState,
    confState: EMPTY_CONF_STATE,
    appliedIndex: 0,
  });
}

/** Persists and applies everything at once. Returns payloads applied. */
function settle(raft: Raft): string[] {
  const applied: string[] = [];
  for (let output = raft.takeOutput(0); output !== undefined; output = raft.takeOutput(0)) {
    const applyIndex = output.applyIndex;
    if (output.sequence !== 0) raft.persisted(output.sequence);
    for (let index = raft.appliedIndex + 1; index <= applyIndex; index++) {
      if (raft.log.type(index) !== 0) raft.applyConfChange(index, raft.confChangeAt(index));
      else
        applied.push(
          Buffer.from(raft.log.bytes(index).subarray(raft.log.start(index), raft.log.end(index))).toString(),
        );
      raft.appliedTo(index);
    }
  }
  return applied;
}

function started(): Raft {
  const raft = create(emptyLog());
  raft.bootstrap([confChange([{ type: ADD_VOTER, id: ID }])]);
  settle(raft);
  raft.onDeadline(0);
  settle(raft);
  return raft;
}

test("a member alone becomes leader of term 2 by its bootstrap entry, without waiting", () => {
  const raft = started();
  assert.equal(raft.role, "leader");
  assert.equal(raft.term, 2);
  assert.equal(raft.commitIndex, 2);
  assert.equal(raft.nextDeadlineMs, Infinity);
  assert.deepEqual(raft.confState.voters, [ID]);
});

test("a member alone commits a proposal when it is durable, not before (R6)", () => {
  const raft = started();
  const bytes = Buffer.from("hello");
  assert.equal(raft.propose(bytes, 0, 5), 3);
  const output = raft.takeOutput(0)!;
  assert.equal(output.entriesFirst, 3);
  assert.equal(output.entriesLast, 3);
  assert.equal(output.commitIndex, 2);
  raft.persisted(output.sequence);
  const next = raft.takeOutput(0)!;
  assert.equal(next.applyIndex, 3);
  raft.appliedTo(3);
  assert.equal(raft.takeOutput(0), undefined);
});

test("a restarted member alone keeps term, vote and entries and leads a new term", () => {
  const first = started();
  first.propose(Buffer.from("a"), 0, 1);
  settle(first);
  const log = emptyLog();
  for (let i = 1; i <= first.lastIndex; i++) {
    log.append(
      first.log.type(i),
      first.log.term(i),
      first.log.bytes(i),
      first.log.start(i),
      first.log.end(i),
    );
  }
  const raft = create(log, first.hardState);
  assert.deepEqual(settle(raft), ["", "a"]);
  raft.onDeadline(0);
  settle(raft);
  assert.equal(raft.role, "leader");
  assert.equal(raft.term, 3);
});

test("a read at a member alone is confirmed in the same output", () => {
  const raft = started();
  raft.readIndex(42);
  const output = raft.takeOutput(0)!;
  assert.deepEqual(output.reads, [{ index: 2, contexts: [42] }]);
});
