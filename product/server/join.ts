// How a member finds out who it is in a cluster that it was added to, and whether it has been there before: any member's
// peer port lists the members, and the entry with our peer URLs is us.

import { type Id64, id64Equal, id64Hex } from "../../core/base/ids.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import type { PeerTls } from "../../io/net/peer-tls.ts";
import { fetchMembers, type Listed } from "./ask-peer.ts";
import type { ServerConfig } from "./config.ts";

const ATTEMPT_TIMEOUT_MS = 3_000;
/** A first start is not held up by others that are not there yet; etcd waits as long. */
const BOOTSTRAP_TIMEOUT_MS = 1_000;

/** The cluster cannot be joined as asked; the text is for the operator. */
export class JoinError extends Error {
  override readonly name = "JoinError";
}

export interface JoinedIdentity {
  readonly memberId: Id64;
  readonly clusterId: Id64;
  /** The members as they are now: where to find them until the log says so. */
  readonly initialMembers: readonly MemberInfo[];
  readonly joins: true;
}

/** Asks the other members of --initial-cluster, one after the other. */
export async function joinCluster(config: ServerConfig, tls: PeerTls): Promise<JoinedIdentity> {
  const failures: string[] = [];
  for (const url of otherUrls(config)) {
    try {
      return identityIn(config, await fetchMembers(url, { tls, timeoutMs: ATTEMPT_TIMEOUT_MS }));
    } catch (error) {
      if (error instanceof JoinError) throw error;
      failures.push(`${url}: ${(error as Error).message}`);
    }
  }
  throw new JoinError(
    `cannot fetch cluster info from peer urls: ${failures.join("; ") || "--initial-cluster names no other member"}`,
  );
}

function otherUrls(config: ServerConfig): string[] {
  return [...config.initialCluster].flatMap(([name, urls]) => (name === config.name ? [] : urls));
}

function identityIn(config: ServerConfig, listed: Listed): JoinedIdentity {
  const own = [...config.advertisePeerUrls].sort().join(",");
  const self = listed.members.find((member) => [...member.peerUrls].sort().join(",") === own);
  if (self === undefined) {
    throw new JoinError(
      `this member's peer URLs ${own} are not in the cluster: add it first with 'member add'`,
    );
  }
  if (hasStarted(self)) throw alreadyBootstrapped(self.id);
  return { memberId: self.id, clusterId: listed.clusterId, initialMembers: listed.members, joins: true };
}

/**
 * Refuses to start under an id that the cluster knows from an earlier life (trap M2): whoever lost its data may vote a second
 * time in one term, and entries are counted as its own that it no longer has. Others that do not answer are no obstacle: at the
 * first start of a cluster nobody does. What they know is asked again when they come (newcomer.ts).
 */
export async function refuseAnotherLife(
  config: ServerConfig,
  own: { readonly memberId: Id64; readonly tls: PeerTls },
): Promise<void> {
  const options = { tls: own.tls, timeoutMs: BOOTSTRAP_TIMEOUT_MS };
  const answers = await Promise.allSettled(otherUrls(config).map((url) => fetchMembers(url, options)));
  for (const answer of answers) {
    if (answer.status === "fulfilled" && knowsFromBefore(answer.value, own.memberId))
      throw alreadyBootstrapped(own.memberId);
  }
}

export function knowsFromBefore({ members }: Listed, memberId: Id64): boolean {
  const self = members.find((member) => id64Equal(member.id, memberId));
  return self !== undefined && hasStarted(self);
}

// Only a member itself publishes its client URLs, and not before it takes part; names are in --initial-cluster.
function hasStarted(member: MemberInfo): boolean {
  return member.clientUrls.length > 0;
}

export function alreadyBootstrapped(memberId: Id64): JoinError {
  const hex = id64Hex(memberId);
  return new JoinError(
    `member ${hex} has already been bootstrapped, but its data is not here: restore the data directory, or remove the member ` +
      `('member remove ${hex}'), add it again ('member add') and start it with --initial-cluster-state=existing`,
  );
}
