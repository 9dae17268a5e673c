// What a member tells the cluster about itself through the log, until the log says so: its name and client URLs, and as a
// leader the cluster's version.

import { ByteWriter } from "../base/byte-writer.ts";
import { id64ToBigInt } from "../base/ids.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { ClusterMemberAttrSetRequest, ClusterVersionSetRequest } from "../wire/raft-messages.ts";
import { encode } from "../wire/schema.ts";
import type { Proposer } from "./proposals.ts";

/** The minor version that this program's entries and answers are those of. */
const CLUSTER_VERSION = "3.6.0";

export class Announcements {
  readonly #member: Proposer;
  #attributesProposedMs = Number.NEGATIVE_INFINITY;
  /** The log says what this member is; looked at again when the membership has changed. */
  #isPublished = false;
  /** The term in which this leader proposed a cluster version. */
  #versionProposedTerm = 0;

  constructor(member: Proposer) {
    this.#member = member;
  }

  get hasAnnounced(): boolean {
    return this.#attributesProposedMs > Number.NEGATIVE_INFINITY;
  }

  /** Tells the others this member's name and client URLs, until the log says so. */
  publishAttributes(nowMs: number): void {
    if (this.#isPublished) return;
    const own = this.#member.membership.get(this.#member.options.memberId);
    if (own === undefined || !this.#member.hasLeader) return;
    const { name, clientUrls } = this.#member.options;
    this.#isPublished = own.name === name && own.clientUrls.join() === clientUrls.join();
    if (this.#isPublished) return;
    if (nowMs - this.#attributesProposedMs < this.#member.options.electionMs) return;
    this.#attributesProposedMs = nowMs;
    const writer = new ByteWriter(256);
    encode(
      ClusterMemberAttrSetRequest,
      {
        member_ID: id64ToBigInt(this.#member.options.memberId),
        member_attributes: { name: this.#member.options.name, client_urls: this.#member.options.clientUrls },
      },
      writer,
    );
    this.#member.proposals.proposeInternal(
      REQUEST_KIND.clusterMemberAttrSet,
      writer.bytes,
      0,
      writer.position,
    );
  }

  /** What this member had said of itself may be gone. */
  membershipChanged(): void {
    this.#isPublished = false;
  }

  proposeClusterVersion(): void {
    if (
      !this.#member.isLeader ||
      this.#member.clusterVersion !== "" ||
      this.#versionProposedTerm === this.#member.raft.term
    )
      return;
    this.#versionProposedTerm = this.#member.raft.term;
    const writer = new ByteWriter(32);
    encode(ClusterVersionSetRequest, { ver: CLUSTER_VERSION }, writer);
    this.#member.proposals.proposeAsLeader(REQUEST_KIND.clusterVersionSet, writer.bytes, 0, writer.position);
  }
}
