// Every bound in one value that is passed in, so that the simulator can draw them small and cross every boundary.
// Each has its reason. Slices of work count work units, never time: `io` adapts the units to about 2 ms a slice.

export interface Limits {
  /** Largest marshalled Raft request, bytes; etcd's --max-request-bytes. */
  readonly requestSizeBytesMax: number;
  /** Room of the gRPC layer above it, bytes, as etcd has it: the receive limit is the sum. */
  readonly grpcOverheadBytes: number;
  /** Operations per level of a transaction; etcd's --max-txn-ops. */
  readonly txnOperationCountMax: number;
  /** Bytes of proposals that are not applied yet; above it a proposal is answered "too many requests". */
  readonly proposalBytesMax: number;
  /** Proposals that are not applied yet (etcd: 5000 entries between commit and apply). */
  readonly proposalCountMax: number;
  /**
   * How long a write may wait for its turn and its commit under overload, milliseconds: when they wait longer, fewer are admitted. Far
   * above a sync of the log, and far below what clients wait before they give up.
   */
  readonly admittedMs: number;
  /** Writes that may wait however long it takes: a stall is no overload, and a thousand clients in step are usual. */
  readonly admittedCountMin: number;
  /** Streams a client may have open on one connection. etcd says 2^32-1; we answer for memory. */
  readonly streamCountMax: number;
  /** Unsent bytes of one connection above which its streams are not served further (watch, large ranges). */
  readonly connectionOutputBytesMax: number;
  /** A connection whose peer takes nothing for so long while output waits is closed, milliseconds. */
  readonly stalledReaderMs: number;
  /** A large answer that its reader has not taken after so long is ended, milliseconds: 2 GiB at 7 MB/s. */
  readonly largeAnswerMsMax: number;
  /** Memory that only readers of large answers hold, bytes; beyond it the oldest answer is ended. */
  readonly pinnedBytesMax: number;
  /** Entries after which a checkpoint is due. */
  readonly checkpointEntryCount: number;
  /** Entries kept behind a checkpoint for peers that lag: as etcd, so that a short absence needs no snapshot. */
  readonly catchUpEntryCount: number;
  /**
   * Log bytes after which a checkpoint is due while the store is small. In a large one, because a checkpoint writes the places of all
   * keys: an eighth of its bytes, or when the last one is five seconds ago 16 bytes a key; four times these at most.
   */
  readonly checkpointLogBytes: number;
  /**
   * Size of a log segment, bytes. etcd's 64,000,000 would cost more zeros than payload in a short life, and longer starts: a
   * start reads whole segments. Each is filled once and then recycled; what is filled beyond what the log needs between two
   * checkpoints, the spare and parts of the first and the last one, is less with small ones.
   */
  readonly walSegmentSizeBytes: number;
  /** Size of a data segment, bytes: a multiple of the largest record, small enough to clean. */
  readonly dataSegmentSizeBytes: number;
  /** Superseded versions in memory, bytes; beyond it they are read from disk. Enough for watchers that lag and pages of lists. */
  readonly supersededBytesMax: number;
  /** Records looked at by one slice of compaction, hashing or checkpointing. */
  readonly sliceRecordCount: number;
  /** HashKV and physical compactions that wait for their slices; each reads the whole store, so few are plenty. */
  readonly housekeepingWaiterCountMax: number;
  /** Quota on the data's size, bytes; 0 means etcd's 2 GiB, negative none. */
  readonly quotaBytes: number;
  /**
   * Between two checkpoints of what leases have left, milliseconds: a change of leader prolongs a lease that nobody renews by
   * as much. etcd's 5 minutes, shortened, since only leases that were not renewed meanwhile are written.
   */
  readonly leaseCheckpointMs: number;
  /** Keep-alives of one stream that wait for their answer. */
  readonly keepAliveCountMax: number;
  /** Nesting of protobuf messages and transactions. */
  readonly nestingDepthMax: number;
  /** Entry bytes of one append message; etcd's 1 MiB: large enough to fill a link, small enough not to block it. */
  readonly raftAppendBytesMax: number;
  /** Append messages on their way to one peer; etcd's 512. */
  readonly raftInflightCountMax: number;
  /** Entry bytes on their way to one peer: what a peer may have to buffer. */
  readonly raftInflightBytesMax: number;
  /** Entries that are applied and durable stay in memory, for peers that lag a little, up to so many bytes. */
  readonly raftMemoryBytesMax: number;
  /** Size of one chunk of the memory that holds entries. */
  readonly raftArenaBytes: number;
  /** Linearizable reads, and groups of reads of followers, that wait for a confirmation. */
  readonly raftReadCountMax: number;
  /** Watchers of one member, about 120 bytes each; a creation above it is refused. */
  readonly watcherCountMax: number;
  /** Control messages written to a watch stream whose client reads nothing; above it the stream is ended. */
  readonly watchControlBacklogMax: number;
  /** Work of one slice of watching: a record looked at or an event handed to a watcher is one unit. */
  readonly watchSliceUnits: number;
  /** Encoded events after which watch messages are finished, at the end of the revision. */
  readonly watchBatchBytes: number;
  /** Lagging watchers that share one catch-up pass; etcd's 512. */
  readonly watchGroupCount: number;
  /** Revisions of one catch-up pass; etcd's 1000. */
  readonly watchPassRevisionCount: number;
  /**
   * How long a new commit index waits for an append that takes it along to a follower for whom nobody waits, milliseconds. Under a
   * steady load, one client's included, none is ever sent alone; a watcher at a quiet follower hears so much later.
   */
  readonly commitNoticeDelayMs: number;
  /**
   * How long the leader holds entries back from followers whose acknowledgement it does not need, milliseconds; 0: never. What they get
   * comes in fewer and larger pieces. A put whose chosen follower stalls takes so much longer; a watcher at another one hears so much later.
   */
  readonly sparedDelayMs: number;
}

const MIB = 1024 * 1024;

/** The defaults; the reasons stand at the fields. */
export const DEFAULT_LIMITS: Limits = {
  requestSizeBytesMax: 1_572_864,
  grpcOverheadBytes: 524_288,
  txnOperationCountMax: 128,
  proposalBytesMax: 64 * MIB,
  proposalCountMax: 20_000,
  admittedMs: 100,
  admittedCountMin: 1_000,
  streamCountMax: 100_000,
  connectionOutputBytesMax: 4 * MIB,
  stalledReaderMs: 30_000,
  largeAnswerMsMax: 300_000,
  pinnedBytesMax: 256 * MIB,
  checkpointEntryCount: 200_000,
  catchUpEntryCount: 5_000,
  checkpointLogBytes: 16 * MIB,
  walSegmentSizeBytes: 8 * MIB,
  dataSegmentSizeBytes: 8 * MIB,
  supersededBytesMax: 64 * MIB,
  sliceRecordCount: 2_000,
  housekeepingWaiterCountMax: 256,
  quotaBytes: 0,
  leaseCheckpointMs: 60_000,
  keepAliveCountMax: 100_000,
  nestingDepthMax: 32,
  raftAppendBytesMax: MIB,
  raftInflightCountMax: 512,
  raftInflightBytesMax: 32 * MIB,
  raftMemoryBytesMax: 16 * MIB,
  raftArenaBytes: MIB,
  raftReadCountMax: 100_000,
  watcherCountMax: 4_000_000,
  watchControlBacklogMax: 16_384,
  watchSliceUnits: 4_096,
  watchBatchBytes: MIB,
  watchGroupCount: 512,
  watchPassRevisionCount: 1_000,
  commitNoticeDelayMs: 1,
  sparedDelayMs: 2,
};
