// Who has ever taken part, as far as this member's disk knows. What a member applied before a restart it applies again only
// when a leader tells it that it is committed; until then its list of members may lack what stands in its log.

import { decode } from "../wire/schema.ts";
import { id64Equal, id64FromBigInt } from "../base/ids.ts";
import { ENTRY_NORMAL } from "../raft/log.ts";
import { ClusterMemberAttrSetRequest } from "../wire/raft-messages.ts";
import { REQUEST_KIND, RequestEnvelope } from "../wire/raft-request.ts";
import type { MemberState } from "./member-state.ts";
import type { MemberInfo } from "./membership.ts";

/**
 * The members, with client URLs also of those that have published them in an entry that is not applied yet. Who publishes has
 * taken part, whether or not the entry will be committed: asked for that, not for where clients are served.
 */
export function membersWithPublished(member: MemberState): MemberInfo[] {
  const members = member.membership.list();
  if (members.every((info) => info.clientUrls.length > 0)) return members;
  const { log } = member.raft;
  const envelope = new RequestEnvelope();
  for (let index = Math.max(member.appliedIndex + 1, log.memoryFirst); index <= log.lastIndex; index++) {
    if (log.type(index) !== ENTRY_NORMAL || log.start(index) === log.end(index)) continue;
    const bytes = log.bytes(index);
    envelope.parse(bytes, log.start(index), log.end(index));
    if (envelope.kind !== REQUEST_KIND.clusterMemberAttrSet) continue;
    const { payloadStart, payloadEnd } = envelope;
    const { member_ID, member_attributes } = decode(
      ClusterMemberAttrSetRequest,
      bytes,
      payloadStart,
      payloadEnd,
    );
    const at = members.findIndex((info) => id64Equal(info.id, id64FromBigInt(member_ID)));
    if (at < 0 || member_attributes === undefined) continue;
    const { name, client_urls: clientUrls } = member_attributes;
    members[at] = { ...members[at]!, name, clientUrls };
  }
  return members;
}
