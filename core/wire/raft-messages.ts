// Messages that live in the log, on disk or between members, as etcd has them: raft.proto, record.proto, lease.proto,
// membership.proto, raft_internal.proto. Those of raft and wal are proto2: their fields are written even when zero.

import {
  AlarmRequest,
  AuthDisableRequest,
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleListRequest,
  AuthRoleRevokePermissionRequest,
  AuthStatusRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGrantRoleRequest,
  AuthUserListRequest,
  AuthUserRevokeRoleRequest,
  CompactionRequest,
  DeleteRangeRequest,
  DowngradeVersionTestRequest,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from "./messages.ts";
import type { EnumTable } from "./schema.ts";
import {
  bool,
  bytes,
  enumeration,
  id,
  int64,
  message,
  nested,
  repeated,
  repeatedUnpacked,
  required,
  string,
  uint32,
  uint64,
  unsignedId,
} from "./schema.ts";

// raftpb

export const EntryType = {
  name: "raftpb.EntryType",
  values: { EntryNormal: 0, EntryConfChange: 1, EntryConfChangeV2: 2 },
} as const satisfies EnumTable;
export const Entry = message("raftpb.Entry", {
  Type: required(enumeration(1, EntryType)),
  Term: required(uint64(2)),
  Index: required(uint64(3)),
  Data: bytes(4),
});
export const HardState = message("raftpb.HardState", {
  term: required(uint64(1)),
  vote: required(unsignedId(2)),
  commit: required(uint64(3)),
});
export const ConfState = message("raftpb.ConfState", {
  voters: repeatedUnpacked(unsignedId(1)),
  learners: repeatedUnpacked(unsignedId(2)),
  voters_outgoing: repeatedUnpacked(unsignedId(3)),
  learners_next: repeatedUnpacked(unsignedId(4)),
  auto_leave: required(bool(5)),
});
export const SnapshotMetadata = message("raftpb.SnapshotMetadata", {
  conf_state: required(nested(1, () => ConfState)),
  index: required(uint64(2)),
  term: required(uint64(3)),
});
export const RaftSnapshot = message("raftpb.Snapshot", {
  data: bytes(1),
  metadata: required(nested(2, () => SnapshotMetadata)),
});
export const ConfChangeType = {
  name: "raftpb.ConfChangeType",
  values: {
    ConfChangeAddNode: 0,
    ConfChangeRemoveNode: 1,
    ConfChangeUpdateNode: 2,
    ConfChangeAddLearnerNode: 3,
  },
} as const satisfies EnumTable;
/** `context` holds the member as JSON. */
export const ConfChange = message("raftpb.ConfChange", {
  id: required(unsignedId(1)),
  type: required(enumeration(2, ConfChangeType)),
  node_id: required(unsignedId(3)),
  context: bytes(4),
});
export const ConfChangeSingle = message("raftpb.ConfChangeSingle", {
  type: required(enumeration(1, ConfChangeType)),
  node_id: required(unsignedId(2)),
});
export const ConfChangeTransition = {
  name: "raftpb.ConfChangeTransition",
  values: {
    ConfChangeTransitionAuto: 0,
    ConfChangeTransitionJointImplicit: 1,
    ConfChangeTransitionJointExplicit: 2,
  },
} as const satisfies EnumTable;
export const ConfChangeV2 = message("raftpb.ConfChangeV2", {
  transition: required(enumeration(1, ConfChangeTransition)),
  changes: repeated(nested(2, () => ConfChangeSingle)),
  context: bytes(3),
});

// walpb, and the metadata record of etcd's log

export const RecordType = {
  name: "walpb.RecordType",
  values: { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 },
} as const satisfies EnumTable;
export const WalRecord = message("walpb.Record", {
  type: required(int64(1)),
  crc: required(uint32(2)),
  data: bytes(3),
});
export const WalSnapshot = message("walpb.Snapshot", {
  index: required(uint64(1)),
  term: required(uint64(2)),
  conf_state: nested(3, () => ConfState),
});
export const WalMetadata = message("etcdserverpb.Metadata", {
  NodeID: required(unsignedId(1)),
  ClusterID: required(unsignedId(2)),
});
/** The `.snap` file. */
export const SnapFile = message("snappb.snapshot", { crc: required(uint32(1)), data: bytes(2) });

// leasepb

export const Lease = message("leasepb.Lease", { ID: id(1), TTL: int64(2), RemainingTTL: int64(3) });
export const LeaseInternalRequest = message("leasepb.LeaseInternalRequest", {
  LeaseTimeToLiveRequest: nested(1, () => LeaseTimeToLiveRequest),
});
export const LeaseInternalResponse = message("leasepb.LeaseInternalResponse", {
  LeaseTimeToLiveResponse: nested(1, () => LeaseTimeToLiveResponse),
});

// membershippb

export const MemberAttributes = message("membershippb.Attributes", {
  name: string(1),
  client_urls: repeated(string(2)),
});
export const ClusterVersionSetRequest = message("membershippb.ClusterVersionSetRequest", { ver: string(1) });
export const ClusterMemberAttrSetRequest = message("membershippb.ClusterMemberAttrSetRequest", {
  member_ID: unsignedId(1),
  member_attributes: nested(2, () => MemberAttributes),
});
export const DowngradeInfoSetRequest = message("membershippb.DowngradeInfoSetRequest", {
  enabled: bool(1),
  ver: string(2),
});

// What a normal entry holds. The kinds as constants, and a reader of the envelope alone, are in raft-request.ts.

export const RequestHeader = message("etcdserverpb.RequestHeader", {
  ID: unsignedId(1),
  username: string(2),
  auth_revision: uint64(3),
});
export const InternalAuthenticateRequest = message("etcdserverpb.InternalAuthenticateRequest", {
  name: string(1),
  password: string(2),
  simple_token: string(3),
});
export const InternalRaftRequest = message("etcdserverpb.InternalRaftRequest", {
  ID: unsignedId(1),
  range: nested(3, () => RangeRequest),
  put: nested(4, () => PutRequest),
  delete_range: nested(5, () => DeleteRangeRequest),
  txn: nested(6, () => TxnRequest),
  compaction: nested(7, () => CompactionRequest),
  lease_grant: nested(8, () => LeaseGrantRequest),
  lease_revoke: nested(9, () => LeaseRevokeRequest),
  alarm: nested(10, () => AlarmRequest),
  lease_checkpoint: nested(11, () => LeaseCheckpointRequest),
  header: nested(100, () => RequestHeader),
  auth_enable: nested(1000, () => AuthEnableRequest),
  auth_disable: nested(1011, () => AuthDisableRequest),
  authenticate: nested(1012, () => InternalAuthenticateRequest),
  auth_status: nested(1013, () => AuthStatusRequest),
  auth_user_add: nested(1100, () => AuthUserAddRequest),
  auth_user_delete: nested(1101, () => AuthUserDeleteRequest),
  auth_user_get: nested(1102, () => AuthUserGetRequest),
  auth_user_change_password: nested(1103, () => AuthUserChangePasswordRequest),
  auth_user_grant_role: nested(1104, () => AuthUserGrantRoleRequest),
  auth_user_revoke_role: nested(1105, () => AuthUserRevokeRoleRequest),
  auth_user_list: nested(1106, () => AuthUserListRequest),
  auth_role_list: nested(1107, () => AuthRoleListRequest),
  auth_role_add: nested(1200, () => AuthRoleAddRequest),
  auth_role_delete: nested(1201, () => AuthRoleDeleteRequest),
  auth_role_get: nested(1202, () => AuthRoleGetRequest),
  auth_role_grant_permission: nested(1203, () => AuthRoleGrantPermissionRequest),
  auth_role_revoke_permission: nested(1204, () => AuthRoleRevokePermissionRequest),
  cluster_version_set: nested(1300, () => ClusterVersionSetRequest),
  cluster_member_attr_set: nested(1301, () => ClusterMemberAttrSetRequest),
  downgrade_info_set: nested(1302, () => DowngradeInfoSetRequest),
  downgrade_version_test: nested(9900, () => DowngradeVersionTestRequest),
});
