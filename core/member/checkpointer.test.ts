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
    raft: { confState: EMPTY_CONF_STATE },
    options: { prng: new Prng(1), disk: {}, events: { info: () => undefined } },
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
  const store = { sizeBytes: 0 };
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
  assert.equal(turn(), 0, "a large store writes one less often");
  store.sizeBytes = 0;
  assert.equal(turn(), 1);
});
