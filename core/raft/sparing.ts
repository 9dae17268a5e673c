// Thrift: a put needs a majority, not everybody. The leader sends entries at once to as many followers as make a quorum with it, those
// that acknowledge soonest, and spares the others: they get what has collected after `sparedDelayMs`, in one append. A spared follower
// wakes, writes and answers once for several puts, and where members share a disk or processors it is out of the way of those that count.
//
// The delay is also the hedge: an entry that the chosen followers have not acknowledged by then is on its way to the others, and
// whoever answers sooner from there on is chosen. So a follower that stalls costs one delay, once.
//
// Nobody is spared while it has something to wait for: a client there whose entry or read needs what is held back, leadership that is
// handed to it, a joint configuration, or too few followers that keep up.

import { assert } from "../base/assert.ts";
import { isJoint } from "./configuration.ts";
import type { Progress } from "./progress.ts";
import { majority } from "./quorum.ts";
import type { RaftState } from "./state.ts";

/** What is held back goes out when it is that much: more would make the spared follower's disk busy at a stretch. */
const HELD_BYTES_MAX = 64 * 1024;
/** A follower takes another one's place when its acknowledgements take less than this part of the time: the caches of one that stays are warm. */
const WORTH_A_CHANGE = 0.5;

/** Part of every output, before anything is sent: decides whose acknowledgement is needed. */
export function chooseSpared(state: RaftState): void {
  const { tracker } = state;
  const needed = neededCount(state);
  let serving = 0;
  let spared = 0;
  for (let i = 0; i < tracker.members.length; i++) {
    const member = tracker.members[i]!;
    if (member === state.self) continue;
    if (member.state !== "replicate") member.spared = false;
    else if (member.isLearner) member.spared = true;
    else if (member.spared) spared++;
    else serving++;
  }
  while (serving > needed) {
    slowest(state).spared = true;
    serving--;
    spared++;
  }
  while (serving < needed && spared > 0) {
    soonestSpared(state)!.spared = false;
    serving++;
    spared--;
  }
  // Too few keep up: whoever may be needed soon is kept level.
  state.sparing = serving >= needed;
}

/** Whether entries are held back from `member` for now. Notes when that ends. */
export function isHeldBack(state: RaftState, member: Progress): boolean {
  const { log } = state;
  const mayWait =
    state.sparing &&
    member.spared &&
    member.next <= log.lastIndex &&
    member.next >= log.memoryFirst &&
    member.next > member.wantedCommit &&
    member !== state.transferTarget;
  if (!mayWait) {
    member.heldMs = Infinity;
    return false;
  }
  if (member.heldMs === Infinity) member.heldMs = state.nowMs + state.limits.sparedDelayMs;
  if (state.nowMs >= member.heldMs) maybeTakePlace(state, member);
  else if (log.totalBytes(log.lastIndex) - log.totalBytes(member.next - 1) < HELD_BYTES_MAX) {
    if (member.heldMs < state.heldMs) state.heldMs = member.heldMs;
    return true;
  }
  member.heldMs = Infinity;
  return false;
}

/** Followers that make a quorum with this leader; Infinity where everybody is to get everything at once. */
function neededCount(state: RaftState): number {
  const { tracker, self } = state;
  if (state.limits.sparedDelayMs === 0 || self === undefined || !self.isVoter) return Infinity;
  if (isJoint(tracker.configuration)) return Infinity;
  return majority(tracker.voterCount) - 1;
}

/** At the end of a delay: whoever would have answered sooner is chosen from now on. */
function maybeTakePlace(state: RaftState, member: Progress): void {
  if (member.isLearner) return;
  const chosen = slowest(state);
  if (member.ackMs >= chosen.expectedAckMs(state.nowMs) * WORTH_A_CHANGE) return;
  member.spared = false;
  chosen.spared = true;
}

/** The chosen follower that takes longest. */
function slowest(state: RaftState): Progress {
  let found: Progress | undefined = undefined;
  let foundMs = -1;
  const { members } = state.tracker;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (member === state.self || member.isLearner || member.spared || member.state !== "replicate") continue;
    const tookMs = member.expectedAckMs(state.nowMs);
    if (tookMs <= foundMs) continue;
    found = member;
    foundMs = tookMs;
  }
  assert(found !== undefined, "somebody was chosen");
  return found;
}

/** The spared follower that lacks least, and among such takes least. */
function soonestSpared(state: RaftState): Progress | undefined {
  let found: Progress | undefined = undefined;
  const { members } = state.tracker;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (!member.spared || member.isLearner) continue;
    if (found === undefined || member.match > found.match) found = member;
    else if (member.match === found.match && member.ackMs < found.ackMs) found = member;
  }
  return found;
}
