// The service table: every RPC that etcd registers on its client port, with the paths of its JSON gateway. Transport,
// gateway, metrics and client all read this one.

import * as m from "./messages.ts";
import type { Schema } from "./schema.ts";

/** Which side sends more than one message: nobody, the client, the server, both. */
export type MethodKind = "unary" | "client" | "server" | "bidi";

export interface Method<Request = unknown, Response = unknown> {
  /** Position in METHODS: an index for tables of counters. */
  readonly id: number;
  /** `etcdserverpb.KV` */
  readonly service: string;
  /** `Range` */
  readonly name: string;
  /** `/etcdserverpb.KV/Range` */
  readonly path: string;
  readonly kind: MethodKind;
  readonly request: Schema<Request>;
  readonly response: Schema<Response>;
  /** Paths of the JSON gateway (POST); empty where it has none. */
  readonly restPaths: readonly string[];
}

let idNext = 0;

/** The methods, by the name that our code gives them. */
export const METHOD = {
  range: rpc("/etcdserverpb.KV/Range", "unary", [m.RangeRequest, m.RangeResponse], ["/v3/kv/range"]),
  rangeStream: rpc("/etcdserverpb.KV/RangeStream", "server", [m.RangeRequest, m.RangeStreamResponse], []),
  put: rpc("/etcdserverpb.KV/Put", "unary", [m.PutRequest, m.PutResponse], ["/v3/kv/put"]),
  deleteRange: rpc(
    "/etcdserverpb.KV/DeleteRange",
    "unary",
    [m.DeleteRangeRequest, m.DeleteRangeResponse],
    ["/v3/kv/deleterange"],
  ),
  txn: rpc("/etcdserverpb.KV/Txn", "unary", [m.TxnRequest, m.TxnResponse], ["/v3/kv/txn"]),
  compact: rpc(
    "/etcdserverpb.KV/Compact",
    "unary",
    [m.CompactionRequest, m.CompactionResponse],
    ["/v3/kv/compaction"],
  ),
  watch: rpc("/etcdserverpb.Watch/Watch", "bidi", [m.WatchRequest, m.WatchResponse], ["/v3/watch"]),
  leaseGrant: rpc(
    "/etcdserverpb.Lease/LeaseGrant",
    "unary",
    [m.LeaseGrantRequest, m.LeaseGrantResponse],
    ["/v3/lease/grant"],
  ),
  leaseRevoke: rpc(
    "/etcdserverpb.Lease/LeaseRevoke",
    "unary",
    [m.LeaseRevokeRequest, m.LeaseRevokeResponse],
    ["/v3/lease/revoke", "/v3/kv/lease/revoke"],
  ),
  leaseKeepAlive: rpc(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "bidi",
    [m.LeaseKeepAliveRequest, m.LeaseKeepAliveResponse],
    ["/v3/lease/keepalive"],
  ),
  leaseTimeToLive: rpc(
    "/etcdserverpb.Lease/LeaseTimeToLive",
    "unary",
    [m.LeaseTimeToLiveRequest, m.LeaseTimeToLiveResponse],
    ["/v3/lease/timetolive", "/v3/kv/lease/timetolive"],
  ),
  leaseLeases: rpc(
    "/etcdserverpb.Lease/LeaseLeases",
    "unary",
    [m.LeaseLeasesRequest, m.LeaseLeasesResponse],
    ["/v3/lease/leases", "/v3/kv/lease/leases"],
  ),
  memberAdd: rpc(
    "/etcdserverpb.Cluster/MemberAdd",
    "unary",
    [m.MemberAddRequest, m.MemberAddResponse],
    ["/v3/cluster/member/add"],
  ),
  memberRemove: rpc(
    "/etcdserverpb.Cluster/MemberRemove",
    "unary",
    [m.MemberRemoveRequest, m.MemberRemoveResponse],
    ["/v3/cluster/member/remove"],
  ),
  memberUpdate: rpc(
    "/etcdserverpb.Cluster/MemberUpdate",
    "unary",
    [m.MemberUpdateRequest, m.MemberUpdateResponse],
    ["/v3/cluster/member/update"],
  ),
  memberList: rpc(
    "/etcdserverpb.Cluster/MemberList",
    "unary",
    [m.MemberListRequest, m.MemberListResponse],
    ["/v3/cluster/member/list"],
  ),
  memberPromote: rpc(
    "/etcdserverpb.Cluster/MemberPromote",
    "unary",
    [m.MemberPromoteRequest, m.MemberPromoteResponse],
    ["/v3/cluster/member/promote"],
  ),
  alarm: rpc(
    "/etcdserverpb.Maintenance/Alarm",
    "unary",
    [m.AlarmRequest, m.AlarmResponse],
    ["/v3/maintenance/alarm"],
  ),
  status: rpc(
    "/etcdserverpb.Maintenance/Status",
    "unary",
    [m.StatusRequest, m.StatusResponse],
    ["/v3/maintenance/status"],
  ),
  defragment: rpc(
    "/etcdserverpb.Maintenance/Defragment",
    "unary",
    [m.DefragmentRequest, m.DefragmentResponse],
    ["/v3/maintenance/defragment"],
  ),
  hash: rpc(
    "/etcdserverpb.Maintenance/Hash",
    "unary",
    [m.HashRequest, m.HashResponse],
    ["/v3/maintenance/hash"],
  ),
  hashKV: rpc(
    "/etcdserverpb.Maintenance/HashKV",
    "unary",
    [m.HashKVRequest, m.HashKVResponse],
    ["/v3/maintenance/hashkv"],
  ),
  snapshot: rpc(
    "/etcdserverpb.Maintenance/Snapshot",
    "server",
    [m.SnapshotRequest, m.SnapshotResponse],
    ["/v3/maintenance/snapshot"],
  ),
  moveLeader: rpc(
    "/etcdserverpb.Maintenance/MoveLeader",
    "unary",
    [m.MoveLeaderRequest, m.MoveLeaderResponse],
    ["/v3/maintenance/transfer-leadership"],
  ),
  downgrade: rpc(
    "/etcdserverpb.Maintenance/Downgrade",
    "unary",
    [m.DowngradeRequest, m.DowngradeResponse],
    ["/v3/maintenance/downgrade"],
  ),
  authEnable: rpc(
    "/etcdserverpb.Auth/AuthEnable",
    "unary",
    [m.AuthEnableRequest, m.AuthEnableResponse],
    ["/v3/auth/enable"],
  ),
  authDisable: rpc(
    "/etcdserverpb.Auth/AuthDisable",
    "unary",
    [m.AuthDisableRequest, m.AuthDisableResponse],
    ["/v3/auth/disable"],
  ),
  authStatus: rpc(
    "/etcdserverpb.Auth/AuthStatus",
    "unary",
    [m.AuthStatusRequest, m.AuthStatusResponse],
    ["/v3/auth/status"],
  ),
  authenticate: rpc(
    "/etcdserverpb.Auth/Authenticate",
    "unary",
    [m.AuthenticateRequest, m.AuthenticateResponse],
    ["/v3/auth/authenticate"],
  ),
  userAdd: rpc(
    "/etcdserverpb.Auth/UserAdd",
    "unary",
    [m.AuthUserAddRequest, m.AuthUserAddResponse],
    ["/v3/auth/user/add"],
  ),
  userGet: rpc(
    "/etcdserverpb.Auth/UserGet",
    "unary",
    [m.AuthUserGetRequest, m.AuthUserGetResponse],
    ["/v3/auth/user/get"],
  ),
  userList: rpc(
    "/etcdserverpb.Auth/UserList",
    "unary",
    [m.AuthUserListRequest, m.AuthUserListResponse],
    ["/v3/auth/user/list"],
  ),
  userDelete: rpc(
    "/etcdserverpb.Auth/UserDelete",
    "unary",
    [m.AuthUserDeleteRequest, m.AuthUserDeleteResponse],
    ["/v3/auth/user/delete"],
  ),
  userChangePassword: rpc(
    "/etcdserverpb.Auth/UserChangePassword",
    "unary",
    [m.AuthUserChangePasswordRequest, m.AuthUserChangePasswordResponse],
    ["/v3/auth/user/changepw"],
  ),
  userGrantRole: rpc(
    "/etcdserverpb.Auth/UserGrantRole",
    "unary",
    [m.AuthUserGrantRoleRequest, m.AuthUserGrantRoleResponse],
    ["/v3/auth/user/grant"],
  ),
  userRevokeRole: rpc(
    "/etcdserverpb.Auth/UserRevokeRole",
    "unary",
    [m.AuthUserRevokeRoleRequest, m.AuthUserRevokeRoleResponse],
    ["/v3/auth/user/revoke"],
  ),
  roleAdd: rpc(
    "/etcdserverpb.Auth/RoleAdd",
    "unary",
    [m.AuthRoleAddRequest, m.AuthRoleAddResponse],
    ["/v3/auth/role/add"],
  ),
  roleGet: rpc(
    "/etcdserverpb.Auth/RoleGet",
    "unary",
    [m.AuthRoleGetRequest, m.AuthRoleGetResponse],
    ["/v3/auth/role/get"],
  ),
  roleList: rpc(
    "/etcdserverpb.Auth/RoleList",
    "unary",
    [m.AuthRoleListRequest, m.AuthRoleListResponse],
    ["/v3/auth/role/list"],
  ),
  roleDelete: rpc(
    "/etcdserverpb.Auth/RoleDelete",
    "unary",
    [m.AuthRoleDeleteRequest, m.AuthRoleDeleteResponse],
    ["/v3/auth/role/delete"],
  ),
  roleGrantPermission: rpc(
    "/etcdserverpb.Auth/RoleGrantPermission",
    "unary",
    [m.AuthRoleGrantPermissionRequest, m.AuthRoleGrantPermissionResponse],
    ["/v3/auth/role/grant"],
  ),
  roleRevokePermission: rpc(
    "/etcdserverpb.Auth/RoleRevokePermission",
    "unary",
    [m.AuthRoleRevokePermissionRequest, m.AuthRoleRevokePermissionResponse],
    ["/v3/auth/role/revoke"],
  ),
  lock: rpc("/v3lockpb.Lock/Lock", "unary", [m.LockRequest, m.LockResponse], ["/v3/lock/lock"]),
  unlock: rpc("/v3lockpb.Lock/Unlock", "unary", [m.UnlockRequest, m.UnlockResponse], ["/v3/lock/unlock"]),
  campaign: rpc(
    "/v3electionpb.Election/Campaign",
    "unary",
    [m.CampaignRequest, m.CampaignResponse],
    ["/v3/election/campaign"],
  ),
  proclaim: rpc(
    "/v3electionpb.Election/Proclaim",
    "unary",
    [m.ProclaimRequest, m.ProclaimResponse],
    ["/v3/election/proclaim"],
  ),
  leader: rpc(
    "/v3electionpb.Election/Leader",
    "unary",
    [m.LeaderRequest, m.LeaderResponse],
    ["/v3/election/leader"],
  ),
  observe: rpc(
    "/v3electionpb.Election/Observe",
    "server",
    [m.LeaderRequest, m.LeaderResponse],
    ["/v3/election/observe"],
  ),
  resign: rpc(
    "/v3electionpb.Election/Resign",
    "unary",
    [m.ResignRequest, m.ResignResponse],
    ["/v3/election/resign"],
  ),
  healthCheck: rpc(
    "/grpc.health.v1.Health/Check",
    "unary",
    [m.HealthCheckRequest, m.HealthCheckResponse],
    [],
  ),
  healthList: rpc("/grpc.health.v1.Health/List", "unary", [m.HealthListRequest, m.HealthListResponse], []),
  healthWatch: rpc(
    "/grpc.health.v1.Health/Watch",
    "server",
    [m.HealthCheckRequest, m.HealthCheckResponse],
    [],
  ),
} as const satisfies Record<string, Method>;

/** All of them, by `id`. */
export const METHODS: readonly Method[] = Object.values(METHOD);

const BY_PATH: ReadonlyMap<string, Method> = new Map(METHODS.map((it) => [it.path, it]));
const SERVICES: ReadonlySet<string> = new Set(METHODS.map((it) => it.service));

export function methodByPath(path: string): Method | undefined {
  return BY_PATH.get(path);
}

/** Whether any method of this service exists: it decides between the two texts of Unimplemented. */
export function isService(service: string): boolean {
  return SERVICES.has(service);
}

function rpc<Q, S>(
  path: string,
  kind: MethodKind,
  schemas: readonly [Schema<Q>, Schema<S>],
  restPaths: readonly string[],
): Method<Q, S> {
  const [, service, name] = path.split("/") as [string, string, string];
  return { id: idNext++, service, name, path, kind, request: schemas[0], response: schemas[1], restPaths };
}
