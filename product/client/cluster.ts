/** Membership. Every change is refused (Unavailable, "unhealthy cluster") while it would endanger the quorum. */

import { METHOD } from "../../core/wire/service.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { Header, Member } from "./types.ts";
import { toHeader, toMember } from "./types.ts";

export interface MembersResponse {
  readonly header: Header;
  /** All members after the change. */
  readonly members: readonly Member[];
}

export class ClusterClient {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** `serializable`: the asked member's own knowledge, also without a leader. */
  async list(options: { readonly serializable?: boolean } & CallOptions = {}): Promise<MembersResponse> {
    const request = { linearizable: options.serializable !== true };
    const answer = await this.#caller.unary(METHOD.memberList, request, options);
    return { header: toHeader(answer.header), members: answer.members.map(toMember) };
  }

  /** Announces a member; start it afterwards. A learner has no vote until it is promoted. */
  async add(
    peerUrls: readonly string[],
    options: { readonly isLearner?: boolean } & CallOptions = {},
  ): Promise<MembersResponse & { readonly member: Member }> {
    const request = { peerURLs: peerUrls, isLearner: options.isLearner ?? false };
    const answer = await this.#caller.unary(METHOD.memberAdd, request, options);
    if (answer.member === undefined)
      throw new TypeError("Cannot read the answer of MemberAdd: it holds no member");
    const members = answer.members.map(toMember);
    return { header: toHeader(answer.header), member: toMember(answer.member), members };
  }

  async remove(id: bigint, options: CallOptions = {}): Promise<MembersResponse> {
    const answer = await this.#caller.unary(METHOD.memberRemove, { ID: id }, options);
    return { header: toHeader(answer.header), members: answer.members.map(toMember) };
  }

  async update(id: bigint, peerUrls: readonly string[], options: CallOptions = {}): Promise<MembersResponse> {
    const answer = await this.#caller.unary(METHOD.memberUpdate, { ID: id, peerURLs: peerUrls }, options);
    return { header: toHeader(answer.header), members: answer.members.map(toMember) };
  }

  /** Gives a learner that has caught up its vote. */
  async promote(id: bigint, options: CallOptions = {}): Promise<MembersResponse> {
    const answer = await this.#caller.unary(METHOD.memberPromote, { ID: id }, options);
    return { header: toHeader(answer.header), members: answer.members.map(toMember) };
  }
}
