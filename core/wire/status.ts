// Every status that leaves the program, byte for byte as etcd says it: clients compare the whole text (etcd's Go client
// looks it up in a map, jetcd, Patroni and APISIX compare strings). Compare by identity: `status === STATUS.compacted`.
// Reasons and triggers: docs/internals/seams.md names the facts; the odd codes at the end are etcd's own.

/** How a call ended. Not for expected outcomes of the inside; a constant of the table below wherever possible. */
export interface Status {
  readonly code: number;
  readonly text: string;
}

/** gRPC's status codes (grpc.io/grpc/core/md_doc_statuscodes.html). */
export const CODE = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** Names of the codes by number, as Go prints them. */
export const CODE_NAMES: readonly string[] = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

export const OK: Status = { code: CODE.ok, text: "" };

function etcd(code: number, text: string): Status {
  return { code, text: `etcdserver: ${text}` };
}

function plain(code: number, text: string): Status {
  return { code, text };
}

export const STATUS = {
  // InvalidArgument
  emptyKey: etcd(CODE.invalidArgument, "key is not provided"),
  keyNotFound: etcd(CODE.invalidArgument, "key not found"),
  valueProvided: etcd(CODE.invalidArgument, "value is provided"),
  leaseProvided: etcd(CODE.invalidArgument, "lease is provided"),
  tooManyOperations: etcd(CODE.invalidArgument, "too many operations in txn request"),
  duplicateKey: etcd(CODE.invalidArgument, "duplicate key given in txn request"),
  invalidClientApiVersion: etcd(CODE.invalidArgument, "invalid client api version"),
  invalidSortOption: etcd(CODE.invalidArgument, "invalid sort option"),
  requestTooLarge: etcd(CODE.invalidArgument, "request is too large"),
  memberBadUrls: etcd(CODE.invalidArgument, "given member URLs are invalid"),
  userEmpty: etcd(CODE.invalidArgument, "user name is empty"),
  roleEmpty: etcd(CODE.invalidArgument, "role name is empty"),
  authFailed: etcd(CODE.invalidArgument, "authentication failed, invalid user ID or password"),
  permissionNotGiven: etcd(CODE.invalidArgument, "permission not given"),
  invalidAuthManagement: etcd(CODE.invalidArgument, "invalid auth management"),
  authOldRevision: etcd(CODE.invalidArgument, "revision of auth store is old"),
  wrongDowngradeVersionFormat: etcd(CODE.invalidArgument, "wrong downgrade target version format"),
  invalidDowngradeTargetVersion: etcd(CODE.invalidArgument, "invalid downgrade target version"),
  // NotFound
  leaseNotFound: etcd(CODE.notFound, "requested lease not found"),
  memberNotFound: etcd(CODE.notFound, "member not found"),
  // PermissionDenied
  permissionDenied: etcd(CODE.permissionDenied, "permission denied"),
  // ResourceExhausted
  noSpace: etcd(CODE.resourceExhausted, "mvcc: database space exceeded"),
  // FailedPrecondition
  leaseExists: etcd(CODE.failedPrecondition, "lease already exists"),
  memberExists: etcd(CODE.failedPrecondition, "member ID already exist"),
  peerUrlExists: etcd(CODE.failedPrecondition, "Peer URLs already exists"),
  memberNotLearner: etcd(CODE.failedPrecondition, "can only promote a learner member"),
  learnerNotReady: etcd(
    CODE.failedPrecondition,
    "can only promote a learner member which is in sync with leader",
  ),
  tooManyLearners: etcd(CODE.failedPrecondition, "too many learner members in cluster"),
  clusterIdMismatch: etcd(CODE.failedPrecondition, "cluster ID mismatch"),
  rootUserNotExist: etcd(CODE.failedPrecondition, "root user does not exist"),
  rootRoleNotExist: etcd(CODE.failedPrecondition, "root user does not have root role"),
  userExists: etcd(CODE.failedPrecondition, "user name already exists"),
  userNotFound: etcd(CODE.failedPrecondition, "user name not found"),
  roleExists: etcd(CODE.failedPrecondition, "role name already exists"),
  roleNotFound: etcd(CODE.failedPrecondition, "role name not found"),
  roleNotGranted: etcd(CODE.failedPrecondition, "role is not granted to the user"),
  permissionNotGranted: etcd(CODE.failedPrecondition, "permission is not granted to the role"),
  authNotEnabled: etcd(CODE.failedPrecondition, "authentication is not enabled"),
  notLeader: etcd(CODE.failedPrecondition, "not leader"),
  badLeaderTransferee: etcd(CODE.failedPrecondition, "bad leader transferee"),
  notSupportedForLearner: etcd(CODE.failedPrecondition, "rpc not supported for learner"),
  notCapable: etcd(CODE.failedPrecondition, "not capable"),
  clusterVersionNotFound: etcd(CODE.failedPrecondition, "cluster version not found during downgrade"),
  downgradeInProcess: etcd(CODE.failedPrecondition, "cluster has a downgrade job in progress"),
  noInflightDowngrade: etcd(CODE.failedPrecondition, "no inflight downgrade job"),
  // OutOfRange
  compacted: etcd(CODE.outOfRange, "mvcc: required revision has been compacted"),
  futureRevision: etcd(CODE.outOfRange, "mvcc: required revision is a future revision"),
  leaseTtlTooLarge: etcd(CODE.outOfRange, "too large lease TTL"),
  // Canceled, DeadlineExceeded
  watchCanceled: etcd(CODE.canceled, "watch canceled"),
  requestCanceled: etcd(CODE.unknown, "request cancelled"), // 3.6 and older; 3.7 says Canceled, "request canceled"
  contextCanceled: plain(CODE.canceled, "context canceled"),
  contextDeadlineExceeded: plain(CODE.deadlineExceeded, "context deadline exceeded"),
  // Unavailable
  noLeader: etcd(CODE.unavailable, "no leader"),
  leaderChanged: etcd(CODE.unavailable, "leader changed"),
  stopped: etcd(CODE.unavailable, "server stopped"),
  timeout: etcd(CODE.unavailable, "request timed out"),
  timeoutLeaderFailure: etcd(CODE.unavailable, "request timed out, possibly due to previous leader failure"),
  timeoutConnectionLost: etcd(CODE.unavailable, "request timed out, possibly due to connection lost"),
  timeoutWaitAppliedIndex: etcd(
    CODE.unavailable,
    "request timed out, waiting for the applied index took too long",
  ),
  unhealthy: etcd(CODE.unavailable, "unhealthy cluster"),
  /** Ours: another member can answer. */
  stateDiverged: plain(
    CODE.unavailable,
    "holdfast: the state of this member differs from the majority's and is fetched anew",
  ),
  // DataLoss, Unauthenticated
  corrupt: etcd(CODE.dataLoss, "corrupt cluster"),
  invalidAuthToken: etcd(CODE.unauthenticated, "invalid auth token"),
  // Unimplemented
  rangeStreamSortOrders: plain(CODE.unimplemented, "RangeStream does not support custom sort orders"),
  rangeStreamRevisionFilters: plain(CODE.unimplemented, "RangeStream does not support revision filters"),
  // Unknown: errors that etcd does not map before they reach the wire; clients cope with these.
  notEnoughStartedMembers: etcd(CODE.unknown, "re-configuration failed due to not enough started members"),
  tooManyRequests: etcd(CODE.unknown, "too many requests"),
  noPasswordUser: plain(CODE.unknown, "auth: authentication failed, password was given for no password user"),
  notPrimaryLessor: plain(CODE.unknown, "not a primary lessor"),
  timeoutLeaderTransfer: etcd(CODE.unknown, "request timed out, leader transfer took too long"),
  // Lock and Election: everything inside them surfaces as Unknown, see inLockService().
  sessionExpired: plain(CODE.unknown, "mutex: session is expired"),
  electionNotLeader: plain(CODE.unknown, "election: not leader"),
  electionNoLeader: plain(CODE.unknown, "election: no leader"),
  leaderFieldMissing: plain(CODE.unknown, '"leader" field must be provided'),
} as const satisfies Record<string, Status>;

/** Texts of `cancel_reason` in WatchResponse; no status goes with them. */
export const WATCH_CANCEL_REASON = {
  duplicateId: "mvcc: duplicate watch ID provided on the WatchStream",
  emptyRange: "mvcc: watcher range is empty",
  /** A negative start revision. */
  compacted: STATUS.compacted.text,
} as const;

/** A status as `cancel_reason` carries a refused permission: the way Go prints an RPC error. */
export function statusAsReason(status: Status): string {
  return `rpc error: code = ${CODE_NAMES[status.code] ?? `Code(${status.code})`} desc = ${status.text}`;
}

/** The same text with the code Unknown: what the Lock and Election services make of every failure. */
export function inLockService(status: Status): Status {
  return { code: CODE.unknown, text: status.text };
}

// Texts that carry values.

export function unknownMethod(method: string, service: string): Status {
  return plain(CODE.unimplemented, `unknown method ${method} for service ${service}`);
}

export function unknownService(service: string): Status {
  return plain(CODE.unimplemented, `unknown service ${service}`);
}

export function messageTooLarge(sizeBytes: number, sizeBytesMax: number): Status {
  return plain(
    CODE.resourceExhausted,
    `grpc: received message larger than max (${sizeBytes} vs. ${sizeBytesMax})`,
  );
}

/** Malformed protobuf. The text after the colon differs with etcd's protobuf library and nobody compares it. */
export function malformedRequest(reason: string): Status {
  return plain(CODE.internal, `grpc: error unmarshalling request: ${reason}`);
}

const STATUS_BY_TEXT: ReadonlyMap<string, Status> = new Map(
  Object.values(STATUS).map((status) => [status.text, status]),
);

/** The table's entry with this text, whatever the code: how clients recognise errors. */
export function statusByText(text: string): Status | undefined {
  return STATUS_BY_TEXT.get(text);
}
