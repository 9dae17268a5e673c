// What a committed configuration change does to the list of members, and when it does nothing. Changes were looked at when
// they were proposed, but by a member that may not have applied the ones before: two of them may want the same address, or
// one place for a learner. So each is checked again when it is applied, as in etcd, and all members come to the same answer,
// because they look at nothing but the change and the state before it. What is refused changes neither the list nor consensus:
// the two name the same members in the same roles, always (M1).

import { assert } from "../base/assert.ts";
import { type Id64, id64Equal } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import {
  ADD_LEARNER,
  ADD_VOTER,
  type ConfChange,
  type MemberChange,
  REMOVE_MEMBER,
} from "../raft/conf-change.ts";
import { type ConfState, changedConfiguration } from "../raft/configuration.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { type MemberContext, type Membership, parseMemberContext } from "./membership.ts";

/** Why this change may not be made now; undefined when it may. */
export function refusalOfChange(
  membership: Membership,
  confState: ConfState,
  change: ConfChange,
): Status | undefined {
  for (const one of change.changes) {
    const refusal = refusalOfOne(membership, one, contextOf(change, one));
    if (refusal !== undefined) return refusal;
  }
  // Consensus has the last word: a voter must be left.
  return typeof changedConfiguration(confState, change) === "string"
    ? STATUS.notEnoughStartedMembers
    : undefined;
}

/** Makes the change, which was not refused. */
export function applyChange(membership: Membership, change: ConfChange): void {
  for (const one of change.changes) {
    if (one.type === REMOVE_MEMBER) membership.remove(one.id);
    else put(membership, one, contextOf(change, one));
  }
}

/** The list of members and consensus speak of the same cluster. */
export function assertSameMembers(membership: Membership, confState: ConfState): void {
  const members = membership.list();
  const voters = members.filter((info) => !info.isLearner);
  const learners = members.filter((info) => info.isLearner);
  assert(areSame(voters, confState.voters), "consensus and the list of members name the same voters");
  const { learners: present, learnersNext } = confState;
  assert(
    areSame(learners, [...present, ...learnersNext]),
    "consensus and the list of members name the same learners",
  );
}

function areSame(members: readonly { readonly id: Id64 }[], ids: readonly Id64[]): boolean {
  if (members.length !== ids.length) return false;
  return members.every((info) => ids.some((id) => id64Equal(id, info.id)));
}

/** Undefined without one: a forced start changes roles only. */
function contextOf({ context }: ConfChange, { type, id }: MemberChange): MemberContext | undefined {
  if (type === REMOVE_MEMBER || context.length === 0) return undefined;
  return parseMemberContext(id, decodeUtf8(context, 0, context.length));
}

function refusalOfOne(
  membership: Membership,
  { type, id }: MemberChange,
  context: MemberContext | undefined,
): Status | undefined {
  if (membership.isRemoved(id)) return STATUS.memberNotFound;
  const known = membership.get(id);
  const isNew = (type === ADD_VOTER || type === ADD_LEARNER) && context?.isPromote === false;
  if (isNew) return known === undefined ? refusalToAdd(membership, type, context) : STATUS.memberExists;
  if (known === undefined) return STATUS.memberNotFound;
  if (context === undefined) return undefined;
  if (context.isPromote) return known.isLearner ? undefined : STATUS.memberNotLearner;
  return membership.usesPeerUrl(context.peerUrls, id) ? STATUS.peerUrlExists : undefined;
}

function refusalToAdd(membership: Membership, type: number, context: MemberContext): Status | undefined {
  if (membership.usesPeerUrl(context.peerUrls, context.id)) return STATUS.peerUrlExists;
  if (type === ADD_LEARNER && membership.learnerCount >= context.learnerCountMax)
    return STATUS.tooManyLearners;
  return undefined;
}

function put(membership: Membership, { type, id }: MemberChange, context: MemberContext | undefined): void {
  const known = membership.get(id);
  const isLearner = type === ADD_LEARNER || (type !== ADD_VOTER && (known?.isLearner ?? false));
  if (context === undefined) {
    if (known !== undefined) membership.put({ ...known, isLearner });
    return;
  }
  // Only before changes were checked.
  if (membership.isRemoved(id)) return;
  // A promotion or an update carries what it changes; name and client URLs stay what the member published.
  const name = known?.name || context.name;
  const hasClientUrls = known !== undefined && known.clientUrls.length > 0;
  const clientUrls = hasClientUrls ? known.clientUrls : context.clientUrls;
  const peerUrls = context.isPromote && known !== undefined ? known.peerUrls : context.peerUrls;
  membership.put({ id, name, clientUrls, peerUrls, isLearner });
}
