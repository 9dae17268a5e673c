// How many operations a member has carried out, whoever asked: for metrics. An operation of a transaction counts like one
// of its own, as in etcd. Outlives the store, which a snapshot replaces.

export class KvCounts {
  puts = 0;
  ranges = 0;
  /** DeleteRanges, not keys. */
  deletes = 0;
  /** Transactions of more than one operation. */
  txns = 0;
  /** Keys and values put. */
  putBytes = 0;
}
