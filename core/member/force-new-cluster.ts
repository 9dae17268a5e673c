// --force-new-cluster: a member of a lost cluster goes on alone, with its data. Its whole log is taken for committed, and
// entries that remove every other member are written behind it. The commit index that the log knows is older than what was
// acknowledged, here as in etcd, which drops what lies behind it; nobody is left who could say which of those entries were
// not, and the fate of one that was not is unknown to its client anyway. For disasters only: the others must never come back.

import { assert } from "../base/assert.ts";
import { type Id64, id64Equal } from "../base/ids.ts";
import {
  ADD_VOTER,
  type ConfChange,
  confChange,
  confChangeEntryType,
  decodeConfChange,
  encodeConfChange,
  LEAVE_JOINT,
  REMOVE_MEMBER,
} from "../raft/conf-change.ts";
import { changedConfiguration, type ConfState, isJoint } from "../raft/configuration.ts";
import { ENTRY_NORMAL, type RaftLog } from "../raft/log.ts";
import type { HardState } from "../raft/output.ts";
import type { Wal } from "../wal/wal.ts";

export interface ForcedStart {
  readonly memberId: Id64;
  /** As of the checkpoint. */
  readonly confState: ConfState;
  readonly appliedIndex: number;
  readonly hardState: HardState;
}

/** Writes the entries, durably; returns the hard state to start with. */
export function forceNewCluster(log: RaftLog, wal: Wal, start: ForcedStart): HardState {
  const { term, vote } = start.hardState;
  wal.beginBatch(start.hardState);
  for (const change of changesToBeAlone(configurationAt(log, start), start.memberId)) {
    const bytes = encodeConfChange(change);
    const index = log.append(confChangeEntryType(change), term, bytes, 0, bytes.length);
    wal.entry(confChangeEntryType(change), term, index, bytes, 0, bytes.length);
  }
  const durable = wal.commitBatch(() => {});
  assert(durable, "a log that was just opened writes at once");
  return { term, vote, commit: log.lastIndex };
}

/** The configuration once the whole log is applied. */
function configurationAt(log: RaftLog, start: ForcedStart): ConfState {
  let state = start.confState;
  for (let index = start.appliedIndex + 1; index <= log.lastIndex; index++) {
    if (log.type(index) === ENTRY_NORMAL) continue;
    const change = decodeConfChange(log.type(index), log.bytes(index), log.start(index), log.end(index));
    const next = changedConfiguration(state, change);
    if (typeof next !== "string") state = next;
  }
  return state;
}

function changesToBeAlone(state: ConfState, self: Id64): ConfChange[] {
  const changes: ConfChange[] = isJoint(state) ? [LEAVE_JOINT] : [];
  if (!state.voters.some((id) => id64Equal(id, self)))
    changes.push(confChange([{ type: ADD_VOTER, id: self }]));
  for (const id of [...state.voters, ...state.learners, ...state.learnersNext]) {
    if (!id64Equal(id, self)) changes.push(confChange([{ type: REMOVE_MEMBER, id }]));
  }
  return changes;
}
