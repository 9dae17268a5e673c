import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { DiskError } from "../base/ports.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { Member } from "./member.ts";
import { Membership } from "./membership.ts";
import { Alarms } from "./alarms.ts";
import { EMPTY_CONF_STATE } from "../raft/configuration.ts";

test("a member whose snapshot marker cannot be made durable fails", () => {
  const failures: Error[] = [];
  let ended: ((error: DiskError | undefined) => void) | undefined;
  const error = new DiskError("input/output error", "EIO", "member/wal/x");
  const member = {
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
    options: { disk: {}, events: { info: () => undefined } },
    clock: { now: () => 0 },
    counters: { checkpointSeconds: { observe: () => undefined } },
    lessor: { image: { begin: () => undefined, isRunning: false } },
    housekeeping: {
      past: {
        checkpoint: (options: { done: typeof ended }) => {
          ended = options.done;
          return {};
        },
      },
    },
    wal: {
      stats: { writtenBytes: 0 },
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
