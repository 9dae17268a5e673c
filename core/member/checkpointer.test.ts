import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { DiskError } from "../base/ports.ts";
import { Prng } from "../base/prng.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { Member } from "./member.ts";
import { Membership } from "./membership.ts";
import { Alarms } from "./alarms.ts";
import { EMPTY_CONF_STATE } from "../raft/configuration.ts";

/** What a checkpointer needs of a member. */
function memberWith(past: object): { appliedIndex: number } {
  return {
    appliedIndex: 7,
    appliedTerm: 2,
    limits: DEFAULT_LIMITS,
    membership: new Membership(),
    alarms: new Alarms(),
    clusterVersion: "",
    formatVersion: 1,
    divergence: { effects: { value: 0 } },
    dataDirectory: "member/data",
    raft: {
      confState: EMPTY_CONF_STATE,
      log: { memoryBytes: 0, compactedIndex: 0 },
      compactLog: () => undefined,
    },
    options: { prng: new Prng(1), disk: {}, events: { info: () => undefined, warn: () => undefined } },
    clock: { now: () => 0 },
    counters: { checkpointSeconds: { observe: () => undefined } },
    lessor: { image: { begin: () => undefined, isRunning: false } },
    housekeeping: { past },
  } as { appliedIndex: number };
}

test("a member whose snapshot marker cannot be made durable fails", () => {
  const failures: Error[] = [];
  let ended: ((error: DiskError | undefined) => void) | undefined;
  const error = new DiskError("input/output error", "EIO", "member/wal/x");
  const member = {
    ...memberWith({
      checkpoint: (options: { done: typeof ended }) => {
        ended = options.done;
        return {};
      },
    }),
    wal: {
      stats: { recordBytes: 0 },
      saveSnapshotMarker: (_marker: unknown, done: (failure: DiskError) => void) => {
        done(error);
        return false;
      },
    },
    fail: (failure: Error) => failures.push(failure),
  };
  const checkpointer = new Checkpointer(member as unknown as Member);
  checkpointer.adopted({ index: 1, term: 1, confState: EMPTY_CONF_STATE });
  checkpointer.want();
  checkpointer.turn(0);
  ended!(undefined);
  assert.deepEqual(failures, [error]);
});

test("a checkpoint is due after so many bytes of records, the first one after a start sooner", () => {
  let begun = 0;
  const stats = { recordBytes: 0, writtenBytes: 0 };
  const store = { sizeBytes: 0, keyCount: 0 };
  const member = {
    ...memberWith({
      checkpoint: () => {
        begun++;
        return undefined;
      },
    }),
    wal: { stats },
    store,
  };
  const checkpointer = new Checkpointer(member as unknown as Member);
  const turn = (): number => {
    member.appliedIndex++;
    checkpointer.turn(0);
    return begun;
  };
  stats.writtenBytes = 2 * DEFAULT_LIMITS.checkpointLogBytes;
  assert.equal(turn(), 0, "blocks that are written again are no reason");
  stats.recordBytes = 0.29 * DEFAULT_LIMITS.checkpointLogBytes;
  assert.equal(turn(), 0);
  stats.recordBytes = DEFAULT_LIMITS.checkpointLogBytes;
  store.sizeBytes = 100 * DEFAULT_LIMITS.checkpointLogBytes;
  store.keyCount = DEFAULT_LIMITS.checkpointLogBytes;
  assert.equal(turn(), 0, "a store of many keys writes one less often");
  store.sizeBytes = 0;
  assert.equal(turn(), 1);
});

test("in a large store a checkpoint is due after the bytes of a small one when the last is some time ago", () => {
  let ended: (error: DiskError | undefined) => void = () => assert.fail();
  let begun = 0;
  const stats = { recordBytes: 0 };
  const member = {
    ...memberWith({
      checkpoint: ({ done }: { done: typeof ended }) => {
        begun++;
        ended = done;
        return {};
      },
    }),
    wal: { stats, saveSnapshotMarker: () => false },
    store: { sizeBytes: 100 * DEFAULT_LIMITS.checkpointLogBytes, keyCount: 1000 },
  };
  const checkpointer = new Checkpointer(member as unknown as Member);
  const turn = (nowMs: number): number => {
    member.appliedIndex++;
    checkpointer.turn(nowMs);
    return begun;
  };
  stats.recordBytes = DEFAULT_LIMITS.checkpointLogBytes;
  assert.equal(turn(0), 1, "the first one after a start");
  ended(undefined);
  stats.recordBytes *= 2;
  assert.equal(turn(4_999), 1);
  assert.equal(turn(5_000), 2);
  ended(undefined);
  stats.recordBytes += 4 * DEFAULT_LIMITS.checkpointLogBytes;
  assert.equal(turn(5_001), 3, "at once when the log grows fast");
});

test("what a start found in the log behind its checkpoint counts, so that many short lives do not make it long", () => {
  let begun = 0;
  const member = {
    ...memberWith({
      checkpoint: () => {
        begun++;
        return undefined;
      },
    }),
    raft: { confState: EMPTY_CONF_STATE, log: { memoryBytes: DEFAULT_LIMITS.checkpointLogBytes } },
    wal: { stats: { recordBytes: 0 } },
    store: { sizeBytes: 0, keyCount: 0, slabs: { abandonedBytes: 0 } },
  };
  const checkpointer = new Checkpointer(member as unknown as Member);
  member.appliedIndex++;
  checkpointer.turn(0);
  assert.equal(begun, 1);
});

/** A member whose checkpoints end when the test says so. */
function stoppingMember(recordBytes: number) {
  const running: ((error: DiskError | undefined) => void)[] = [];
  const stats = { recordBytes };
  let truncatedBefore = 0;
  const past = {
    isCheckpointing: false,
    checkpoint: (options: { done: (typeof running)[number] }) => {
      running.push(options.done);
      return {};
    },
  };
  const member = {
    ...memberWith(past),
    wal: {
      stats,
      saveSnapshotMarker: () => true,
      giveUpSpares: () => false,
      truncateBefore: (index: number) => (truncatedBefore = index),
    },
    store: { sizeBytes: 0, keyCount: 0, slabs: { abandonedBytes: 0 } },
  };
  const { housekeeping, ...rest } = member as typeof member & { housekeeping: object };
  const whole = {
    ...rest,
    nowMs: 0,
    housekeeping: {
      ...housekeeping,
      sender: { logNeededFrom: Number.POSITIVE_INFINITY },
      raiseNoSpace: () => undefined,
    },
  };
  const checkpointer = new Checkpointer(whole as unknown as Member);
  return { checkpointer, member: whole, past, running, stats, truncated: () => truncatedBefore };
}

test("S8: the log's marker follows the checkpoint, and the log is given up only when the marker is durable", () => {
  const { checkpointer, member, running, truncated } = stoppingMember(2 ** 21);
  const marked: ((error: DiskError | undefined) => void)[] = [];
  const wal = {
    ...member.wal,
    saveSnapshotMarker: (_marker: unknown, done: (typeof marked)[number]) => {
      marked.push(done);
      return false;
    },
  };
  Object.assign(member, { wal });
  member.appliedIndex++;
  checkpointer.want();
  checkpointer.turn(0);
  assert.equal(running.length, 1);
  assert.equal(marked.length, 0, "the checkpoint is not durable yet");
  running[0]!(undefined);
  assert.equal(marked.length, 1);
  assert.equal(truncated(), 0, "the marker is not durable yet");
  marked[0]!(undefined);
  assert.equal(truncated(), member.appliedIndex + 1);
});

test("before a stop much log becomes a checkpoint, and whoever waits hears of it when the log is given up", () => {
  const { checkpointer, member, running, truncated } = stoppingMember(2 ** 21);
  member.appliedIndex++;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  assert.equal(ended, 0);
  checkpointer.turn(0);
  assert.equal(running.length, 1);
  assert.equal(ended, 0);
  running[0]!(undefined);
  assert.equal(ended, 1);
  assert.equal(truncated(), member.appliedIndex + 1);
});

test("before a stop the files that the checkpoint does without are removed first", () => {
  const { checkpointer, member, past, running } = stoppingMember(2 ** 21);
  member.appliedIndex++;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  checkpointer.turn(0);
  past.isCheckpointing = true;
  running[0]!(undefined);
  checkpointer.slice();
  assert.equal(ended, 0);
  past.isCheckpointing = false;
  checkpointer.slice();
  assert.equal(ended, 1);
  // The same of a checkpoint that had ended before the stop.
  past.isCheckpointing = true;
  checkpointer.beforeStop(() => ended++);
  checkpointer.slice();
  assert.equal(ended, 1);
  past.isCheckpointing = false;
  checkpointer.slice();
  assert.equal(ended, 2);
  assert.equal(running.length, 1);
});

test("before a stop a checkpoint is taken of little log when the newest one keeps much that a compaction has given up", () => {
  const { checkpointer, member, running } = stoppingMember(1000);
  member.store.slabs.abandonedBytes = 2 ** 24;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  assert.equal(ended, 1, "nothing has been applied since");
  member.appliedIndex++;
  checkpointer.beforeStop(() => ended++);
  checkpointer.turn(0);
  assert.equal(ended, 1);
  assert.equal(running.length, 1);
  member.store.slabs.abandonedBytes = 0;
  running[0]!(undefined);
  assert.equal(ended, 2);
});

test("before a stop little log is left as it is", () => {
  const { checkpointer, member, running } = stoppingMember(1000);
  member.appliedIndex++;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  assert.equal(ended, 1);
  checkpointer.turn(0);
  assert.equal(running.length, 0);
});

test("before a stop a checkpoint that is under way is waited for, and another one follows if much came since", () => {
  const { checkpointer, member, running, stats } = stoppingMember(2 ** 21);
  member.appliedIndex++;
  checkpointer.want();
  checkpointer.turn(0);
  stats.recordBytes += 2 ** 21;
  member.appliedIndex++;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  running[0]!(undefined);
  assert.equal(ended, 0);
  checkpointer.turn(0);
  running[1]!(undefined);
  assert.equal(ended, 1);
  assert.equal(running.length, 2);
});

test("a full disk does not hold a stop up", () => {
  const { checkpointer, member, running } = stoppingMember(2 ** 21);
  member.appliedIndex++;
  let ended = 0;
  checkpointer.beforeStop(() => ended++);
  checkpointer.turn(0);
  running[0]!(new DiskError("no space left on device", "ENOSPC", "member/data/x"));
  assert.equal(ended, 1);
});

test("a full disk is known until a checkpoint succeeds, and the next attempt waits for nothing but its time", () => {
  const { checkpointer, member, running } = stoppingMember(2 ** 21);
  member.appliedIndex++;
  checkpointer.want();
  checkpointer.turn(0);
  assert.equal(checkpointer.foundDiskFull, false);
  running[0]!(new DiskError("no space left on device", "ENOSPC", "member/data/x"));
  assert.equal(checkpointer.foundDiskFull, true);
  checkpointer.turn(member.nowMs + 10);
  assert.equal(running.length, 1);
  checkpointer.turn(member.nowMs + 5_000);
  assert.equal(running.length, 2, "though little came since");
  running[1]!(new DiskError("no space left on device", "ENOSPC", "member/data/x"));
  // A defragmentation makes another attempt worth it, and answers when that has ended.
  let ended = 0;
  checkpointer.retry(() => ended++);
  checkpointer.turn(member.nowMs + 20);
  assert.equal(running.length, 3);
  assert.equal(ended, 0);
  running[2]!(undefined);
  assert.equal(checkpointer.foundDiskFull, false);
  assert.equal(ended, 1);
  checkpointer.retry(() => ended++);
  assert.equal(ended, 2, "nothing to wait for");
});
