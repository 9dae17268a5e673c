// A message between two members. One class with plain fields for all kinds, so that messages are pooled and every
// reader is monomorphic; the table says which fields a kind uses. The wire form is in codec.ts.
//
//   kind             | fields besides from, to, term
//   append           | index, logTerm: the entry before; commit; entriesFirst..entriesLast of the log, or batch
//   appendReply      | index: durable and equal up to here; or reject, index: that entry is missing, hintIndex, hintTerm
//   heartbeat        | commit <= match of the receiver; sequence (0: no answer wanted)
//   heartbeatReply   | sequence
//   preVote, vote    | index, logTerm: the candidate's last entry; force: the leader asked for it; commit, commitTerm
//   their replies    | reject; commit, commitTerm: the last entry that the sender knows to be committed
//   timeoutNow       |
//   readIndex        | incarnation, sequence: the follower's name for the request
//   readIndexReply   | incarnation, sequence; index
//   snapshot         | index, logTerm, confState: what the streamed snapshot stands for
//   forward          | incarnation, sequence; batch
//   forwardRefused   | incarnation, sequence; reject: because the sender does not lead, or not for long; force: nor will it in this term

import type { ConfState } from "./configuration.ts";
import type { EntryBatch } from "./entry-batch.ts";

export const MESSAGE_APPEND = 1;
export const MESSAGE_APPEND_REPLY = 2;
export const MESSAGE_HEARTBEAT = 3;
export const MESSAGE_HEARTBEAT_REPLY = 4;
export const MESSAGE_PRE_VOTE = 5;
export const MESSAGE_PRE_VOTE_REPLY = 6;
export const MESSAGE_VOTE = 7;
export const MESSAGE_VOTE_REPLY = 8;
export const MESSAGE_TIMEOUT_NOW = 9;
export const MESSAGE_READ_INDEX = 10;
export const MESSAGE_READ_INDEX_REPLY = 11;
export const MESSAGE_SNAPSHOT = 12;
export const MESSAGE_FORWARD = 13;
export const MESSAGE_FORWARD_REFUSED = 14;

export const MESSAGE_NAMES: readonly string[] = [
  "",
  "append",
  "appendReply",
  "heartbeat",
  "heartbeatReply",
  "preVote",
  "preVoteReply",
  "vote",
  "voteReply",
  "timeoutNow",
  "readIndex",
  "readIndexReply",
  "snapshot",
  "forward",
  "forwardRefused",
];

export class RaftMessage {
  kind = 0;
  toHi = 0;
  toLo = 0;
  fromHi = 0;
  fromLo = 0;
  /** The sender's; of preVote and a granted preVoteReply: the term that is asked for. */
  term = 0;
  index = 0;
  logTerm = 0;
  commit = 0;
  commitTerm = 0;
  sequence = 0;
  incarnation = 0;
  hintIndex = 0;
  hintTerm = 0;
  reject = false;
  force = false;
  /** Entries by reference to the sender's log; 0, 0: none. Encode before the log's next change. */
  entriesFirst = 0;
  entriesLast = 0;
  /** Entries by value: of a received message (valid during step), read from storage, or forwarded. */
  batch: EntryBatch | undefined = undefined;
  confState: ConfState | undefined = undefined;

  reset(): void {
    this.kind = 0;
    this.toHi = 0;
    this.toLo = 0;
    this.fromHi = 0;
    this.fromLo = 0;
    this.term = 0;
    this.index = 0;
    this.logTerm = 0;
    this.commit = 0;
    this.commitTerm = 0;
    this.sequence = 0;
    this.incarnation = 0;
    this.hintIndex = 0;
    this.hintTerm = 0;
    this.reject = false;
    this.force = false;
    this.entriesFirst = 0;
    this.entriesLast = 0;
    this.batch = undefined;
    this.confState = undefined;
  }
}
