// Who belongs to the cluster. Changes come out of the log as configuration changes and nowhere else, so that every
// member has the same list at the same applied index (a second source of truth is how members become zombies, M1).

import { type Id64, id64Compare, id64Equal, id64Hex, id64ToBigInt } from "../base/ids.ts";
import { assert } from "../base/assert.ts";

export interface MemberInfo {
  readonly id: Id64;
  /** Empty until the member has started and published its attributes. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** Empty until the member has started. */
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export class Membership {
  readonly #members = new Map<string, MemberInfo>();
  /** Ids that were members once and may never be again. */
  readonly #removed = new Set<string>();

  get size(): number {
    return this.#members.size;
  }

  /** Ascending by id, as every answer lists them. */
  list(): MemberInfo[] {
    return [...this.#members.values()].sort((a, b) => id64Compare(a.id, b.id));
  }

  get(id: Id64): MemberInfo | undefined {
    return this.#members.get(id64Hex(id));
  }

  isRemoved(id: Id64): boolean {
    return this.#removed.has(id64Hex(id));
  }

  /** Whether any other member than `id` uses one of these peer URLs. */
  usesPeerUrl(urls: readonly string[], id: Id64): boolean {
    for (const member of this.#members.values()) {
      if (!id64Equal(member.id, id) && member.peerUrls.some((url) => urls.includes(url))) return true;
    }
    return false;
  }

  get voterCount(): number {
    let count = 0;
    for (const member of this.#members.values()) if (!member.isLearner) count++;
    return count;
  }

  get learnerCount(): number {
    return this.size - this.voterCount;
  }

  /** Adds, or replaces when it is there (a promotion, new URLs). */
  put(member: MemberInfo): void {
    assert(!this.isRemoved(member.id), "a removed member's id is never used again");
    this.#members.set(id64Hex(member.id), member);
  }

  /** Name and client URLs, which a member publishes once it has started. Unknown ids are ignored: it may be gone. */
  setAttributes(id: Id64, name: string, clientUrls: readonly string[]): void {
    const member = this.get(id);
    if (member !== undefined) this.put({ ...member, name, clientUrls });
  }

  remove(id: Id64): void {
    this.#members.delete(id64Hex(id));
    this.#removed.add(id64Hex(id));
  }

  /** Keeps `id` alone, as --force-new-cluster asks. */
  forgetOthers(id: Id64): void {
    for (const member of this.list()) if (!id64Equal(member.id, id)) this.remove(member.id);
  }

  toJson(): string {
    return JSON.stringify({ members: this.list().map(plain), removed: [...this.#removed].sort() });
  }

  static fromJson(text: string): Membership {
    const membership = new Membership();
    const parsed = JSON.parse(text) as { members: PlainMember[]; removed: string[] };
    for (const member of parsed.members) membership.put(fromPlain(member));
    for (const hex of parsed.removed) membership.#removed.add(hex);
    return membership;
  }
}

interface PlainMember {
  readonly hi: number;
  readonly lo: number;
  readonly name: string;
  readonly peerUrls: string[];
  readonly clientUrls: string[];
  readonly isLearner: boolean;
}

function plain(member: MemberInfo): PlainMember {
  const { id, name, peerUrls, clientUrls, isLearner } = member;
  return { hi: id.hi, lo: id.lo, name, peerUrls: [...peerUrls], clientUrls: [...clientUrls], isLearner };
}

function fromPlain(member: PlainMember): MemberInfo {
  const { hi, lo, name, peerUrls, clientUrls, isLearner } = member;
  return { id: { hi, lo }, name, peerUrls, clientUrls, isLearner };
}

/** As etcd takes them: scheme, host and port, and nothing behind. */
export function arePeerUrls(urls: readonly string[]): boolean {
  return urls.length > 0 && urls.every(isPeerUrl);
}

function isPeerUrl(url: string): boolean {
  const match = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\]):(\d{1,5})$/i.exec(url);
  return match !== null && Number(match[1]) <= 65_535;
}

/** What a configuration change says about its member. */
export interface MemberContext extends MemberInfo {
  /** The change makes a learner a voter. */
  readonly isPromote: boolean;
  /** How many learners there may be with this one, as the member that proposed it was told; Infinity when it does not say. */
  readonly learnerCountMax: number;
}

/**
 * The context of a configuration change, as etcd writes it into its log, so that its offline tools can read ours:
 * `{"id":N,"peerURLs":[…],"name":"…"}`. The bound of learners is ours: members may be started with different ones, but must
 * come to the same answer when the change is applied.
 */
export function memberContextJson(
  member: MemberInfo,
  options: { readonly isPromote?: boolean; readonly learnerCountMax?: number } = {},
): string {
  const parts = [`"id":${id64ToBigInt(member.id)}`, `"peerURLs":${JSON.stringify(member.peerUrls)}`];
  if (member.isLearner) parts.push(`"isLearner":true`);
  if (member.name !== "") parts.push(`"name":${JSON.stringify(member.name)}`);
  if (member.clientUrls.length > 0) parts.push(`"clientURLs":${JSON.stringify(member.clientUrls)}`);
  if (options.isPromote === true) parts.push(`"isPromote":true`);
  if (options.learnerCountMax !== undefined) parts.push(`"maxLearners":${options.learnerCountMax}`);
  return `{${parts.join(",")}}`;
}

/** Reads that context; the id is taken from the change itself, because JSON numbers lose its low bits. */
export function parseMemberContext(id: Id64, text: string): MemberContext {
  const parsed = JSON.parse(text) as {
    name?: string;
    peerURLs?: string[];
    clientURLs?: string[];
    isLearner?: boolean;
    isPromote?: boolean;
    maxLearners?: number;
  };
  return {
    id,
    name: parsed.name ?? "",
    peerUrls: parsed.peerURLs ?? [],
    clientUrls: parsed.clientURLs ?? [],
    isLearner: parsed.isLearner ?? false,
    isPromote: parsed.isPromote ?? false,
    learnerCountMax: parsed.maxLearners ?? Number.POSITIVE_INFINITY,
  };
}
