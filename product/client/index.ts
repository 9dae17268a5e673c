/** The client library, `holdfast/client`. */

export type { CallOptions } from "./caller.ts";
export type { ClientOptions, TlsFiles } from "./client.ts";
export { Client } from "./client.ts";
export type { MembersResponse } from "./cluster.ts";
export { Election, Mutex, Session } from "./concurrency.ts";
export type { WaitOptions } from "./concurrency.ts";
export { EtcdError } from "./errors.ts";
export type {
  Compare,
  DeleteOptions,
  DeleteResponse,
  GetOptions,
  GetResponse,
  Operation,
  OperationResponse,
  PutOptions,
  PutResponse,
  TxnRequest,
  TxnResponse,
} from "./kv.ts";
export {
  compare,
  compareLease,
  compareValue,
  deleteOperation,
  getOperation,
  putOperation,
  txnOperation,
} from "./kv.ts";
export type { KeepAlive, LeaseGrantResponse, LeaseRenewal, LeaseTimeToLiveResponse } from "./lease.ts";
export type { Alarm, AlarmKind, HashResponse, StatusResponse } from "./maintenance.ts";
export type { KeySelection } from "./range.ts";
export type { Bytes, Header, KeyValue, Member, WatchEvent } from "./types.ts";
export type { Watch, WatchCallbacks, WatchOptions, WatchResponse } from "./watch.ts";
export { WatchCompactedError } from "./watch-stream.ts";
