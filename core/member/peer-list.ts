// Whom this member connects: the members that its log names, and those it has heard of before its log does.
//
// A member sends only on connections it opened. One whose log lags behind changes of the membership cannot answer a leader or
// a candidate that was added meanwhile, unless it learns the address elsewhere: from the flags it was started with, from
// what its server asked others, and from the stranger itself, which says its own address with the first frames of every
// connection. Without that, members that lag and members that are new could wait for each other for ever.

import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import type { PeerAddress } from "../base/ports.ts";
import type { Formats } from "./format.ts";
import type { MemberState } from "./member-state.ts";
import { arePeerUrls } from "./membership.ts";
import { sendAddress, sendFormat } from "./state-frames.ts";

/** More than any cluster has members; further ones are not connected until the log names them. */
const STRANGER_COUNT_MAX = 32;

export interface PeerListHost extends MemberState {
  readonly formats: Formats;
}

export class PeerList {
  readonly #member: PeerListHost;
  /** Members that the log has not named here yet, by hexadecimal id. */
  readonly #strangers = new Map<string, PeerAddress>();
  #isStale = false;

  constructor(member: PeerListHost) {
    this.#member = member;
    for (const { id, peerUrls } of member.options.initialMembers) this.#add({ id, urls: peerUrls });
    this.#update();
  }

  /** The log named other members, or other addresses. */
  changed(): void {
    this.#isStale = true;
    this.#member.options.waker.wake();
  }

  /** Where a member is that the log may not have named here yet. */
  learn(addresses: readonly PeerAddress[]): void {
    for (const address of addresses) this.#add(address);
    this.changed();
  }

  /** A connection was made: the other side may not know where this member is, and which formats it knows. */
  introduce(peer: Id64): void {
    const { options, membership, formats } = this.#member;
    sendFormat(options.peers, peer, formats.own);
    const isOwn = (info: { readonly id: Id64 }): boolean => id64Equal(info.id, options.memberId);
    const own = membership.get(options.memberId) ?? options.initialMembers.find(isOwn);
    if (own !== undefined) sendAddress(options.peers, peer, own.peerUrls);
  }

  /** Another member said where it is. */
  introduced(peer: Id64, urls: readonly string[]): void {
    const { membership } = this.#member;
    if (membership.get(peer) !== undefined || membership.isRemoved(peer)) return;
    if (arePeerUrls(urls)) this.learn([{ id: peer, urls }]);
  }

  // At the start of a turn, when the one before has been sent: a member that was removed may still be told so. And not with
  // every change: while the first entries are applied one by one, members would be dropped and dialled anew.
  turn(): void {
    if (this.#isStale) this.#update();
  }

  #add(address: PeerAddress): void {
    const hex = id64Hex(address.id);
    if (id64Equal(address.id, this.#member.options.memberId)) return;
    if (this.#strangers.size < STRANGER_COUNT_MAX || this.#strangers.has(hex))
      this.#strangers.set(hex, address);
  }

  #update(): void {
    this.#isStale = false;
    const { options, membership } = this.#member;
    const peers: PeerAddress[] = [];
    for (const { id, peerUrls } of membership.list())
      if (!id64Equal(id, options.memberId)) peers.push({ id, urls: peerUrls });
    for (const [hex, address] of this.#strangers) {
      if (membership.isRemoved(address.id) || membership.get(address.id) !== undefined)
        this.#strangers.delete(hex);
      else peers.push(address);
    }
    options.peers.setPeers(peers, (id) => this.#member.membership.isRemoved(id));
  }
}
