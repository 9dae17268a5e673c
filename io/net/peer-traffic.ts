// How many bytes went to and came from each member, also one whose connections came and went: for metrics.

import { type Id64, id64Hex } from "../../core/base/ids.ts";

export interface ByteCount {
  bytes: number;
}

/** Members that are told apart; the bytes of further ones go together, under etcd's name for an unknown one. */
const PEER_COUNT_MAX = 64;
const UNKNOWN = "0";

export class PeerTraffic {
  readonly #sent = new Map<string, ByteCount>();
  readonly #received = new Map<string, ByteCount>();

  sent(to: Id64): ByteCount {
    return countOf(this.#sent, id64Hex(to));
  }

  received(from: Id64): ByteCount {
    return countOf(this.#received, id64Hex(from));
  }

  /** Bytes by member, in hexadecimal. */
  listSent(): (readonly [member: string, bytes: number])[] {
    return [...this.#sent].map(([member, { bytes }]) => [member, bytes]);
  }

  listReceived(): (readonly [member: string, bytes: number])[] {
    return [...this.#received].map(([member, { bytes }]) => [member, bytes]);
  }
}

function countOf(counts: Map<string, ByteCount>, member: string): ByteCount {
  const key = counts.has(member) || counts.size < PEER_COUNT_MAX ? member : UNKNOWN;
  let count = counts.get(key);
  if (count === undefined) counts.set(key, (count = { bytes: 0 }));
  return count;
}
