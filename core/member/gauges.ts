// Metrics that are the member's state, read when somebody asks: gauges.

import { id64Equal, id64Hex, type Id64 } from "../base/ids.ts";
import type { Metrics } from "../base/metrics.ts";
import { ALARM_NAMES } from "./alarms.ts";
import type { MemberState } from "./member-state.ts";
import type { Housekeeping } from "./housekeeping.ts";

export interface GaugesHost extends MemberState {
  readonly housekeeping: Housekeeping;
}

/** Metrics that are the member's state, read when somebody asks. */
export function registerGauges(member: GaugesHost, metrics: Metrics): void {
  const gauge: RegisterGauge = (name, help, read, labels) =>
    metrics.gauge(`etcd_${name}`, help, read, labels);
  registerServerGauges(member, gauge);
  registerProposalGauges(member, gauge);
  registerStoreGauges(member, gauge);
  registerAlarmGauges(member, gauge);
  registerStoreCounters(member, metrics);
  registerWork(member, metrics);
  registerPeers(member, metrics);
}

type RegisterGauge = (
  name: string,
  help: string,
  read: () => number,
  labels?: Record<string, string>,
) => void;

function registerServerGauges(member: GaugesHost, gauge: RegisterGauge): void {
  gauge("server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.", () =>
    Number(member.hasLeader),
  );
  gauge("server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", () =>
    Number(member.isLeader),
  );
  gauge("server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.", () =>
    Number(member.isLearner),
  );
  gauge(
    "server_quota_backend_bytes",
    "Current backend storage quota size in bytes.",
    () => member.quotaBytes,
  );
  gauge(
    "server_id",
    "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
    () => 1,
    {
      server_id: id64Hex(member.options.memberId),
    },
  );
  gauge(
    "server_version",
    "Which version is running. 1 for 'server_version' label with current version.",
    () => 1,
    {
      server_version: member.options.reportedVersion,
    },
  );
  gauge(
    "server_snapshot_apply_in_progress_total",
    "1 if the server is fetching and applying a snapshot, 0 if none.",
    () => Number(member.housekeeping.receiver.isReceiving),
  );
}

function registerProposalGauges(member: GaugesHost, gauge: RegisterGauge): void {
  const { raft } = member;
  gauge(
    "server_proposals_committed_total",
    "The total number of consensus proposals committed.",
    () => raft.commitIndex,
  );
  gauge(
    "server_proposals_applied_total",
    "The total number of consensus proposals applied.",
    () => member.appliedIndex,
  );
  gauge(
    "server_proposals_pending",
    "The current number of pending proposals to commit.",
    () => member.pending.count,
  );
}

function registerStoreGauges(member: GaugesHost, gauge: RegisterGauge): void {
  gauge(
    "mvcc_db_total_size_in_bytes",
    "Total size of the data in bytes, superseded versions included.",
    () => member.store.sizeBytes,
  );
  gauge(
    "mvcc_db_total_size_in_use_in_bytes",
    "Size of the live data in bytes.",
    () => member.store.sizeInUseBytes,
  );
  gauge(
    "mvcc_db_open_read_transactions",
    "The number of currently open read transactions: checkpoints and hashes.",
    () => member.housekeeping.past.readerCount,
  );
  gauge(
    "disk_defrag_inflight",
    "Whether or not defrag is active on the member. 1 means active, 0 means not.",
    () => Number(member.housekeeping.past.isDefragmenting),
  );
  gauge(
    "disk_wal_write_bytes_total",
    "Total number of bytes written in WAL.",
    () => member.wal.stats.writtenBytes,
  );
  gauge("debugging_mvcc_keys_total", "Total number of keys.", () => member.store.keyCount);
  gauge("debugging_mvcc_current_revision", "The current revision of store.", () => member.store.revision);
  gauge(
    "debugging_mvcc_compact_revision",
    "The revision of the last compaction in store.",
    () => member.store.compactedRevision,
  );
  gauge("debugging_mvcc_watcher_total", "Total number of watchers.", () => member.hub.watcherCount);
  gauge("debugging_mvcc_watch_stream_total", "Total number of watch streams.", () => member.hub.streamCount);
  gauge(
    "debugging_mvcc_slow_watcher_total",
    "Total number of unsynced slow watchers.",
    () => member.hub.laggingCount,
  );
}

function registerAlarmGauges(member: GaugesHost, gauge: RegisterGauge): void {
  for (const [type, name] of ALARM_NAMES.entries()) {
    if (type === 0) continue;
    const labels = { server_id: id64Hex(member.options.memberId), alarm_type: name };
    gauge(
      "debugging_server_alarms",
      "Alarms for every member in cluster. 1 for 'server_id' label with current ID.",
      () => Number(member.alarms.has(member.options.memberId, type)),
      labels,
    );
  }
}

function registerStoreCounters(member: GaugesHost, metrics: Metrics): void {
  const { kvCounts, counters } = member;
  const counter = (name: string, help: string, read: () => number): void =>
    metrics.counterOf(`etcd_${name}`, help, read);
  counter("mvcc_put_total", "Total number of puts seen by this member.", () => kvCounts.puts);
  counter("mvcc_range_total", "Total number of ranges seen by this member.", () => kvCounts.ranges);
  counter("mvcc_delete_total", "Total number of deletes seen by this member.", () => kvCounts.deletes);
  counter("mvcc_txn_total", "Total number of txns seen by this member.", () => kvCounts.txns);
  counter(
    "debugging_mvcc_events_total",
    "Total number of events sent by this member.",
    () => member.hub.eventCount,
  );
  counter(
    "debugging_mvcc_db_compaction_keys_total",
    "Total number of db keys compacted.",
    () => member.housekeeping.past.compaction.droppedCount,
  );
  metrics.gauge(
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "The total size of put kv pairs seen by this member.",
    () => kvCounts.putBytes,
  );
  metrics.gauge(
    "etcd_debugging_mvcc_db_compaction_last",
    "The unix time of the last db compaction. Resets to 0 on start.",
    () => counters.compactionLastSeconds,
  );
}

/** What runs beside the requests, so that a benchmark can mark it. */
function registerWork(member: GaugesHost, metrics: Metrics): void {
  const { housekeeping } = member;
  metrics.gauge("holdfast_checkpoint_running", "1 while a checkpoint is taken.", () =>
    Number(housekeeping.past.isCheckpointing),
  );
  metrics.gauge("holdfast_compaction_running", "1 while a compaction is carried out.", () =>
    Number(housekeeping.past.isCompacting),
  );
  const help = "Syncs of the log: on the loop, or in the background.";
  const { stats } = member.wal;
  metrics.counterOf("holdfast_wal_syncs_total", help, () => stats.inlineSyncCount, { mode: "inline" });
  metrics.counterOf("holdfast_wal_syncs_total", help, () => stats.backgroundSyncCount, {
    mode: "background",
  });
}

function registerPeers(member: GaugesHost, metrics: Metrics): void {
  const self = id64Hex(member.options.memberId);
  const pair = (id: Id64): Record<string, string> => ({ Local: self, Remote: id64Hex(id) });
  const others = (): Id64[] =>
    member.membership.list().flatMap(({ id }) => (id64Equal(id, member.options.memberId) ? [] : [id]));
  // etcd counts the member itself among those that it knows, and not among those that it reaches.
  metrics.seriesOf("etcd_network_known_peers", "gauge", "The current number of known peers.", () =>
    member.membership.list().map(({ id }) => [pair(id), 1] as const),
  );
  metrics.seriesOf(
    "etcd_network_active_peers",
    "gauge",
    "The current number of active peer connections.",
    () => others().map((id) => [pair(id), Number(member.connectedForMs(id) > 0)] as const),
  );
  metrics.seriesOf(
    "etcd_cluster_version",
    "gauge",
    "Which version is running. 1 for 'cluster_version' label with current cluster version",
    () => (member.clusterVersion === "" ? [] : [[{ cluster_version: minorOf(member.clusterVersion) }, 1]]),
  );
}

/** `3.6.0` is version 3.6 of a cluster. */
function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}
