// The messages of etcd's API: field numbers, names and kinds as in its rpc.proto, kv.proto, auth.proto, v3lock.proto and
// v3election.proto. Names are spelled as they are on the wire of the JSON gateway (`ID`, `peerURLs`, `isLearner`).
// Messages that never leave the cluster are in raft-messages.ts.

import type { EnumTable, MessageOf, Schema } from "./schema.ts";
import {
  bool,
  bytes,
  enumeration,
  id,
  int64,
  message,
  nested,
  oneof,
  repeated,
  string,
  uint32,
  uint64,
  unsignedId,
} from "./schema.ts";

export const SortOrder = {
  name: "etcdserverpb.RangeRequest.SortOrder",
  values: { NONE: 0, ASCEND: 1, DESCEND: 2 },
} as const satisfies EnumTable;
export const SortTarget = {
  name: "etcdserverpb.RangeRequest.SortTarget",
  values: { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 },
} as const satisfies EnumTable;
export const CompareResult = {
  name: "etcdserverpb.Compare.CompareResult",
  values: { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 },
} as const satisfies EnumTable;
export const CompareTarget = {
  name: "etcdserverpb.Compare.CompareTarget",
  values: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 },
} as const satisfies EnumTable;
export const FilterType = {
  name: "etcdserverpb.WatchCreateRequest.FilterType",
  values: { NOPUT: 0, NODELETE: 1 },
} as const satisfies EnumTable;
export const AlarmType = {
  name: "etcdserverpb.AlarmType",
  values: { NONE: 0, NOSPACE: 1, CORRUPT: 2 },
} as const satisfies EnumTable;
export const AlarmAction = {
  name: "etcdserverpb.AlarmRequest.AlarmAction",
  values: { GET: 0, ACTIVATE: 1, DEACTIVATE: 2 },
} as const satisfies EnumTable;
export const DowngradeAction = {
  name: "etcdserverpb.DowngradeRequest.DowngradeAction",
  values: { VALIDATE: 0, ENABLE: 1, CANCEL: 2 },
} as const satisfies EnumTable;
export const EventType = {
  name: "mvccpb.Event.EventType",
  values: { PUT: 0, DELETE: 1 },
} as const satisfies EnumTable;
export const PermissionType = {
  name: "authpb.Permission.Type",
  values: { READ: 0, WRITE: 1, READWRITE: 2 },
} as const satisfies EnumTable;

export const ResponseHeader = message("etcdserverpb.ResponseHeader", {
  cluster_id: unsignedId(1),
  member_id: unsignedId(2),
  revision: int64(3),
  raft_term: uint64(4),
});
export const RangeRequest = message("etcdserverpb.RangeRequest", {
  key: bytes(1),
  range_end: bytes(2),
  limit: int64(3),
  revision: int64(4),
  sort_order: enumeration(5, SortOrder),
  sort_target: enumeration(6, SortTarget),
  serializable: bool(7),
  keys_only: bool(8),
  count_only: bool(9),
  min_mod_revision: int64(10),
  max_mod_revision: int64(11),
  min_create_revision: int64(12),
  max_create_revision: int64(13),
});
export const RangeResponse = message("etcdserverpb.RangeResponse", {
  header: nested(1, () => ResponseHeader),
  kvs: repeated(nested(2, () => KeyValue)),
  more: bool(3),
  count: int64(4),
});
export const PutRequest = message("etcdserverpb.PutRequest", {
  key: bytes(1),
  value: bytes(2),
  lease: id(3),
  prev_kv: bool(4),
  ignore_value: bool(5),
  ignore_lease: bool(6),
});
export const PutResponse = message("etcdserverpb.PutResponse", {
  header: nested(1, () => ResponseHeader),
  prev_kv: nested(2, () => KeyValue),
});
export const DeleteRangeRequest = message("etcdserverpb.DeleteRangeRequest", {
  key: bytes(1),
  range_end: bytes(2),
  prev_kv: bool(3),
});
export const DeleteRangeResponse = message("etcdserverpb.DeleteRangeResponse", {
  header: nested(1, () => ResponseHeader),
  deleted: int64(2),
  prev_kvs: repeated(nested(3, () => KeyValue)),
});
/** Written out, because a type cannot be derived from a table that contains itself. */
export interface RequestOpMessage {
  request_range: MessageOf<typeof RangeRequest> | undefined;
  request_put: MessageOf<typeof PutRequest> | undefined;
  request_delete_range: MessageOf<typeof DeleteRangeRequest> | undefined;
  request_txn: TxnRequestMessage | undefined;
}
export interface TxnRequestMessage {
  compare: MessageOf<typeof Compare>[];
  success: RequestOpMessage[];
  failure: RequestOpMessage[];
}
export interface ResponseOpMessage {
  response_range: MessageOf<typeof RangeResponse> | undefined;
  response_put: MessageOf<typeof PutResponse> | undefined;
  response_delete_range: MessageOf<typeof DeleteRangeResponse> | undefined;
  response_txn: TxnResponseMessage | undefined;
}
export interface TxnResponseMessage {
  header: MessageOf<typeof ResponseHeader> | undefined;
  succeeded: boolean;
  responses: ResponseOpMessage[];
}
export const RequestOp: Schema<RequestOpMessage> = message("etcdserverpb.RequestOp", {
  request_range: oneof(nested(1, () => RangeRequest)),
  request_put: oneof(nested(2, () => PutRequest)),
  request_delete_range: oneof(nested(3, () => DeleteRangeRequest)),
  request_txn: oneof(nested(4, () => TxnRequest)),
});
export const ResponseOp: Schema<ResponseOpMessage> = message("etcdserverpb.ResponseOp", {
  response_range: oneof(nested(1, () => RangeResponse)),
  response_put: oneof(nested(2, () => PutResponse)),
  response_delete_range: oneof(nested(3, () => DeleteRangeResponse)),
  response_txn: oneof(nested(4, () => TxnResponse)),
});
export const Compare = message("etcdserverpb.Compare", {
  result: enumeration(1, CompareResult),
  target: enumeration(2, CompareTarget),
  key: bytes(3),
  version: oneof(int64(4)),
  create_revision: oneof(int64(5)),
  mod_revision: oneof(int64(6)),
  value: oneof(bytes(7)),
  lease: oneof(id(8)),
  range_end: bytes(64),
});
export const TxnRequest: Schema<TxnRequestMessage> = message("etcdserverpb.TxnRequest", {
  compare: repeated(nested(1, () => Compare)),
  success: repeated(nested(2, () => RequestOp)),
  failure: repeated(nested(3, () => RequestOp)),
});
export const TxnResponse: Schema<TxnResponseMessage> = message("etcdserverpb.TxnResponse", {
  header: nested(1, () => ResponseHeader),
  succeeded: bool(2),
  responses: repeated(nested(3, () => ResponseOp)),
});
export const CompactionRequest = message("etcdserverpb.CompactionRequest", {
  revision: int64(1),
  physical: bool(2),
});
export const CompactionResponse = message("etcdserverpb.CompactionResponse", {
  header: nested(1, () => ResponseHeader),
});
export const HashRequest = message("etcdserverpb.HashRequest", {});
export const HashKVRequest = message("etcdserverpb.HashKVRequest", {
  revision: int64(1),
});
export const HashKVResponse = message("etcdserverpb.HashKVResponse", {
  header: nested(1, () => ResponseHeader),
  hash: uint32(2),
  compact_revision: int64(3),
  hash_revision: int64(4),
});
export const HashResponse = message("etcdserverpb.HashResponse", {
  header: nested(1, () => ResponseHeader),
  hash: uint32(2),
});
export const SnapshotRequest = message("etcdserverpb.SnapshotRequest", {});
export const SnapshotResponse = message("etcdserverpb.SnapshotResponse", {
  header: nested(1, () => ResponseHeader),
  remaining_bytes: uint64(2),
  blob: bytes(3),
  version: string(4),
});
export const WatchRequest = message("etcdserverpb.WatchRequest", {
  create_request: oneof(nested(1, () => WatchCreateRequest)),
  cancel_request: oneof(nested(2, () => WatchCancelRequest)),
  progress_request: oneof(nested(3, () => WatchProgressRequest)),
});
export const WatchCreateRequest = message("etcdserverpb.WatchCreateRequest", {
  key: bytes(1),
  range_end: bytes(2),
  start_revision: int64(3),
  progress_notify: bool(4),
  filters: repeated(enumeration(5, FilterType)),
  prev_kv: bool(6),
  watch_id: id(7),
  fragment: bool(8),
});
export const WatchCancelRequest = message("etcdserverpb.WatchCancelRequest", {
  watch_id: id(1),
});
export const WatchProgressRequest = message("etcdserverpb.WatchProgressRequest", {});
export const WatchResponse = message("etcdserverpb.WatchResponse", {
  header: nested(1, () => ResponseHeader),
  watch_id: id(2),
  created: bool(3),
  canceled: bool(4),
  compact_revision: int64(5),
  cancel_reason: string(6),
  fragment: bool(7),
  events: repeated(nested(11, () => Event)),
});
export const LeaseGrantRequest = message("etcdserverpb.LeaseGrantRequest", {
  TTL: int64(1),
  ID: id(2),
});
export const LeaseGrantResponse = message("etcdserverpb.LeaseGrantResponse", {
  header: nested(1, () => ResponseHeader),
  ID: id(2),
  TTL: int64(3),
  error: string(4),
});
export const LeaseRevokeRequest = message("etcdserverpb.LeaseRevokeRequest", {
  ID: id(1),
});
export const LeaseRevokeResponse = message("etcdserverpb.LeaseRevokeResponse", {
  header: nested(1, () => ResponseHeader),
});
export const LeaseCheckpoint = message("etcdserverpb.LeaseCheckpoint", {
  ID: id(1),
  remaining_TTL: int64(2),
});
export const LeaseCheckpointRequest = message("etcdserverpb.LeaseCheckpointRequest", {
  checkpoints: repeated(nested(1, () => LeaseCheckpoint)),
});
export const LeaseCheckpointResponse = message("etcdserverpb.LeaseCheckpointResponse", {
  header: nested(1, () => ResponseHeader),
});
export const LeaseKeepAliveRequest = message("etcdserverpb.LeaseKeepAliveRequest", {
  ID: id(1),
});
export const LeaseKeepAliveResponse = message("etcdserverpb.LeaseKeepAliveResponse", {
  header: nested(1, () => ResponseHeader),
  ID: id(2),
  TTL: int64(3),
});
export const LeaseTimeToLiveRequest = message("etcdserverpb.LeaseTimeToLiveRequest", {
  ID: id(1),
  keys: bool(2),
});
export const LeaseTimeToLiveResponse = message("etcdserverpb.LeaseTimeToLiveResponse", {
  header: nested(1, () => ResponseHeader),
  ID: id(2),
  TTL: int64(3),
  grantedTTL: int64(4),
  keys: repeated(bytes(5)),
});
export const LeaseLeasesRequest = message("etcdserverpb.LeaseLeasesRequest", {});
export const LeaseStatus = message("etcdserverpb.LeaseStatus", {
  ID: id(1),
});
export const LeaseLeasesResponse = message("etcdserverpb.LeaseLeasesResponse", {
  header: nested(1, () => ResponseHeader),
  leases: repeated(nested(2, () => LeaseStatus)),
});
export const Member = message("etcdserverpb.Member", {
  ID: unsignedId(1),
  name: string(2),
  peerURLs: repeated(string(3)),
  clientURLs: repeated(string(4)),
  isLearner: bool(5),
});
export const MemberAddRequest = message("etcdserverpb.MemberAddRequest", {
  peerURLs: repeated(string(1)),
  isLearner: bool(2),
});
export const MemberAddResponse = message("etcdserverpb.MemberAddResponse", {
  header: nested(1, () => ResponseHeader),
  member: nested(2, () => Member),
  members: repeated(nested(3, () => Member)),
});
export const MemberRemoveRequest = message("etcdserverpb.MemberRemoveRequest", {
  ID: unsignedId(1),
});
export const MemberRemoveResponse = message("etcdserverpb.MemberRemoveResponse", {
  header: nested(1, () => ResponseHeader),
  members: repeated(nested(2, () => Member)),
});
export const MemberUpdateRequest = message("etcdserverpb.MemberUpdateRequest", {
  ID: unsignedId(1),
  peerURLs: repeated(string(2)),
});
export const MemberUpdateResponse = message("etcdserverpb.MemberUpdateResponse", {
  header: nested(1, () => ResponseHeader),
  members: repeated(nested(2, () => Member)),
});
export const MemberListRequest = message("etcdserverpb.MemberListRequest", {
  linearizable: bool(1),
});
export const MemberListResponse = message("etcdserverpb.MemberListResponse", {
  header: nested(1, () => ResponseHeader),
  members: repeated(nested(2, () => Member)),
});
export const MemberPromoteRequest = message("etcdserverpb.MemberPromoteRequest", {
  ID: unsignedId(1),
});
export const MemberPromoteResponse = message("etcdserverpb.MemberPromoteResponse", {
  header: nested(1, () => ResponseHeader),
  members: repeated(nested(2, () => Member)),
});
export const DefragmentRequest = message("etcdserverpb.DefragmentRequest", {});
export const DefragmentResponse = message("etcdserverpb.DefragmentResponse", {
  header: nested(1, () => ResponseHeader),
});
export const MoveLeaderRequest = message("etcdserverpb.MoveLeaderRequest", {
  targetID: unsignedId(1),
});
export const MoveLeaderResponse = message("etcdserverpb.MoveLeaderResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AlarmRequest = message("etcdserverpb.AlarmRequest", {
  action: enumeration(1, AlarmAction),
  memberID: unsignedId(2),
  alarm: enumeration(3, AlarmType),
});
export const AlarmMember = message("etcdserverpb.AlarmMember", {
  memberID: unsignedId(1),
  alarm: enumeration(2, AlarmType),
});
export const AlarmResponse = message("etcdserverpb.AlarmResponse", {
  header: nested(1, () => ResponseHeader),
  alarms: repeated(nested(2, () => AlarmMember)),
});
export const DowngradeRequest = message("etcdserverpb.DowngradeRequest", {
  action: enumeration(1, DowngradeAction),
  version: string(2),
});
export const DowngradeResponse = message("etcdserverpb.DowngradeResponse", {
  header: nested(1, () => ResponseHeader),
  version: string(2),
});
export const DowngradeVersionTestRequest = message("etcdserverpb.DowngradeVersionTestRequest", {
  ver: string(1),
});
export const StatusRequest = message("etcdserverpb.StatusRequest", {});
export const StatusResponse = message("etcdserverpb.StatusResponse", {
  header: nested(1, () => ResponseHeader),
  version: string(2),
  dbSize: int64(3),
  leader: unsignedId(4),
  raftIndex: uint64(5),
  raftTerm: uint64(6),
  raftAppliedIndex: uint64(7),
  errors: repeated(string(8)),
  dbSizeInUse: int64(9),
  isLearner: bool(10),
  storageVersion: string(11),
  dbSizeQuota: int64(12),
  downgradeInfo: nested(13, () => DowngradeInfo),
});
export const DowngradeInfo = message("etcdserverpb.DowngradeInfo", {
  enabled: bool(1),
  targetVersion: string(2),
});
export const AuthEnableRequest = message("etcdserverpb.AuthEnableRequest", {});
export const AuthDisableRequest = message("etcdserverpb.AuthDisableRequest", {});
export const AuthStatusRequest = message("etcdserverpb.AuthStatusRequest", {});
export const AuthenticateRequest = message("etcdserverpb.AuthenticateRequest", {
  name: string(1),
  password: string(2),
});
export const AuthUserAddRequest = message("etcdserverpb.AuthUserAddRequest", {
  name: string(1),
  password: string(2),
  options: nested(3, () => UserAddOptions),
  hashedPassword: string(4),
});
export const AuthUserGetRequest = message("etcdserverpb.AuthUserGetRequest", {
  name: string(1),
});
export const AuthUserDeleteRequest = message("etcdserverpb.AuthUserDeleteRequest", {
  name: string(1),
});
export const AuthUserChangePasswordRequest = message("etcdserverpb.AuthUserChangePasswordRequest", {
  name: string(1),
  password: string(2),
  hashedPassword: string(3),
});
export const AuthUserGrantRoleRequest = message("etcdserverpb.AuthUserGrantRoleRequest", {
  user: string(1),
  role: string(2),
});
export const AuthUserRevokeRoleRequest = message("etcdserverpb.AuthUserRevokeRoleRequest", {
  name: string(1),
  role: string(2),
});
export const AuthRoleAddRequest = message("etcdserverpb.AuthRoleAddRequest", {
  name: string(1),
});
export const AuthRoleGetRequest = message("etcdserverpb.AuthRoleGetRequest", {
  role: string(1),
});
export const AuthUserListRequest = message("etcdserverpb.AuthUserListRequest", {});
export const AuthRoleListRequest = message("etcdserverpb.AuthRoleListRequest", {});
export const AuthRoleDeleteRequest = message("etcdserverpb.AuthRoleDeleteRequest", {
  role: string(1),
});
export const AuthRoleGrantPermissionRequest = message("etcdserverpb.AuthRoleGrantPermissionRequest", {
  name: string(1),
  perm: nested(2, () => Permission),
});
export const AuthRoleRevokePermissionRequest = message("etcdserverpb.AuthRoleRevokePermissionRequest", {
  role: string(1),
  key: bytes(2),
  range_end: bytes(3),
});
export const AuthEnableResponse = message("etcdserverpb.AuthEnableResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthDisableResponse = message("etcdserverpb.AuthDisableResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthStatusResponse = message("etcdserverpb.AuthStatusResponse", {
  header: nested(1, () => ResponseHeader),
  enabled: bool(2),
  authRevision: uint64(3),
});
export const AuthenticateResponse = message("etcdserverpb.AuthenticateResponse", {
  header: nested(1, () => ResponseHeader),
  token: string(2),
});
export const AuthUserAddResponse = message("etcdserverpb.AuthUserAddResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthUserGetResponse = message("etcdserverpb.AuthUserGetResponse", {
  header: nested(1, () => ResponseHeader),
  roles: repeated(string(2)),
});
export const AuthUserDeleteResponse = message("etcdserverpb.AuthUserDeleteResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthUserChangePasswordResponse = message("etcdserverpb.AuthUserChangePasswordResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthUserGrantRoleResponse = message("etcdserverpb.AuthUserGrantRoleResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthUserRevokeRoleResponse = message("etcdserverpb.AuthUserRevokeRoleResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthRoleAddResponse = message("etcdserverpb.AuthRoleAddResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthRoleGetResponse = message("etcdserverpb.AuthRoleGetResponse", {
  header: nested(1, () => ResponseHeader),
  perm: repeated(nested(2, () => Permission)),
});
export const AuthRoleListResponse = message("etcdserverpb.AuthRoleListResponse", {
  header: nested(1, () => ResponseHeader),
  roles: repeated(string(2)),
});
export const AuthUserListResponse = message("etcdserverpb.AuthUserListResponse", {
  header: nested(1, () => ResponseHeader),
  users: repeated(string(2)),
});
export const AuthRoleDeleteResponse = message("etcdserverpb.AuthRoleDeleteResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthRoleGrantPermissionResponse = message("etcdserverpb.AuthRoleGrantPermissionResponse", {
  header: nested(1, () => ResponseHeader),
});
export const AuthRoleRevokePermissionResponse = message("etcdserverpb.AuthRoleRevokePermissionResponse", {
  header: nested(1, () => ResponseHeader),
});
export const RangeStreamResponse = message("etcdserverpb.RangeStreamResponse", {
  range_response: nested(1, () => RangeResponse),
});
export const LockRequest = message("v3lockpb.LockRequest", {
  name: bytes(1),
  lease: id(2),
});
export const LockResponse = message("v3lockpb.LockResponse", {
  header: nested(1, () => ResponseHeader),
  key: bytes(2),
});
export const UnlockRequest = message("v3lockpb.UnlockRequest", {
  key: bytes(1),
});
export const UnlockResponse = message("v3lockpb.UnlockResponse", {
  header: nested(1, () => ResponseHeader),
});
export const CampaignRequest = message("v3electionpb.CampaignRequest", {
  name: bytes(1),
  lease: id(2),
  value: bytes(3),
});
export const CampaignResponse = message("v3electionpb.CampaignResponse", {
  header: nested(1, () => ResponseHeader),
  leader: nested(2, () => LeaderKey),
});
export const LeaderKey = message("v3electionpb.LeaderKey", {
  name: bytes(1),
  key: bytes(2),
  rev: int64(3),
  lease: id(4),
});
export const LeaderRequest = message("v3electionpb.LeaderRequest", {
  name: bytes(1),
});
export const LeaderResponse = message("v3electionpb.LeaderResponse", {
  header: nested(1, () => ResponseHeader),
  kv: nested(2, () => KeyValue),
});
export const ResignRequest = message("v3electionpb.ResignRequest", {
  leader: nested(1, () => LeaderKey),
});
export const ResignResponse = message("v3electionpb.ResignResponse", {
  header: nested(1, () => ResponseHeader),
});
export const ProclaimRequest = message("v3electionpb.ProclaimRequest", {
  leader: nested(1, () => LeaderKey),
  value: bytes(2),
});
export const ProclaimResponse = message("v3electionpb.ProclaimResponse", {
  header: nested(1, () => ResponseHeader),
});
export const KeyValue = message("mvccpb.KeyValue", {
  key: bytes(1),
  create_revision: int64(2),
  mod_revision: int64(3),
  version: int64(4),
  value: bytes(5),
  lease: id(6),
});
export const Event = message("mvccpb.Event", {
  type: enumeration(1, EventType),
  kv: nested(2, () => KeyValue),
  prev_kv: nested(3, () => KeyValue),
});
export const UserAddOptions = message("authpb.UserAddOptions", {
  no_password: bool(1),
});
export const User = message("authpb.User", {
  name: bytes(1),
  password: bytes(2),
  roles: repeated(string(3)),
  options: nested(4, () => UserAddOptions),
});
export const Permission = message("authpb.Permission", {
  permType: enumeration(1, PermissionType),
  key: bytes(2),
  range_end: bytes(3),
});
export const Role = message("authpb.Role", {
  name: bytes(1),
  keyPermission: repeated(nested(2, () => Permission)),
});

// gRPC's health service (grpc/health/v1/health.proto), which etcd serves for the name "".

export const ServingStatus = {
  name: "grpc.health.v1.HealthCheckResponse.ServingStatus",
  values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 },
} as const satisfies EnumTable;
export const HealthCheckRequest = message("grpc.health.v1.HealthCheckRequest", { service: string(1) });
export const HealthCheckResponse = message("grpc.health.v1.HealthCheckResponse", {
  status: enumeration(1, ServingStatus),
});
export const HealthListRequest = message("grpc.health.v1.HealthListRequest", {});
/** A map on the wire is a list of entries. */
export const HealthListEntry = message("grpc.health.v1.HealthListResponse.StatusesEntry", {
  key: string(1),
  value: nested(2, () => HealthCheckResponse),
});
export const HealthListResponse = message("grpc.health.v1.HealthListResponse", {
  statuses: repeated(nested(1, () => HealthListEntry)),
});
