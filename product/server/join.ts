// How a member finds the cluster that it was added to: any member's peer port lists the members, and the entry with our
// peer URLs is us.

import type { Id64 } from "../../core/base/ids.ts";
import { id64FromBigInt, parseId64Hex } from "../../core/base/ids.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import type { ServerConfig } from "./config.ts";

const ATTEMPT_TIMEOUT_MS = 3_000;

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
export async function joinCluster(config: ServerConfig): Promise<JoinedIdentity> {
  const failures: string[] = [];
  for (const [name, urls] of config.initialCluster) {
    if (name === config.name) continue;
    for (const url of urls) {
      try {
        return identityIn(config, await fetchMembers(url));
      } catch (error) {
        if (error instanceof JoinError) throw error;
        failures.push(`${url}: ${(error as Error).message}`);
      }
    }
  }
  throw new JoinError(
    `cannot fetch cluster info from peer urls: ${failures.join("; ") || "--initial-cluster names no other member"}`,
  );
}

export interface Listed {
  readonly clusterId: Id64;
  readonly members: readonly MemberInfo[];
}

/** What the member at this peer URL says who is in the cluster. */
export async function fetchMembers(url: string): Promise<Listed> {
  const response = await fetch(`${url}/members`, { signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS) });
  const clusterId = parseId64Hex(response.headers.get("x-etcd-cluster-id") ?? "");
  if (!response.ok || clusterId === undefined) throw new Error(`answered ${response.status}`);
  return { clusterId, members: parseMembers(await response.text()) };
}

/** JSON numbers lose the low bits of an id, so ids are cut out of the text. */
export function parseMembers(text: string): MemberInfo[] {
  const exact = text.replace(/"id":\s*(\d+)/g, '"id":"$1"');
  const list = JSON.parse(exact) as {
    id: string;
    name?: string;
    peerURLs: string[];
    clientURLs?: string[];
    isLearner?: boolean;
  }[];
  return list.map((member) => ({
    id: id64FromBigInt(BigInt(member.id)),
    name: member.name ?? "",
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs ?? [],
    isLearner: member.isLearner ?? false,
  }));
}

function identityIn(config: ServerConfig, listed: Listed): JoinedIdentity {
  const own = [...config.advertisePeerUrls].sort().join(",");
  const self = listed.members.find((member) => [...member.peerUrls].sort().join(",") === own);
  if (self === undefined) {
    throw new JoinError(
      `this member's peer URLs ${own} are not in the cluster: add it first with 'member add'`,
    );
  }
  return { memberId: self.id, clusterId: listed.clusterId, initialMembers: listed.members, joins: true };
}
