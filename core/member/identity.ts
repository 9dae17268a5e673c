// Who a member is (facts: etcd's rules, so that ids in headers, files and tools agree with etcd's).
//
// A bootstrap member's id is the first 8 bytes of SHA-1(its peer URLs sorted and joined, then the cluster token); one that
// is added later has the Unix time in decimal seconds instead of the token. The cluster's id is the first 8
// bytes of SHA-1(all bootstrap member ids, ascending, 8 bytes big-endian each).

import { type Id64, id64, id64Compare } from "../base/ids.ts";
import { sha1 } from "../base/sha1.ts";
import { writeUtf8 } from "../base/byte-writer.ts";

/** The id of a member that is there from the start. */
export function bootstrapMemberId(peerUrls: readonly string[], clusterToken: string): Id64 {
  return firstEightBytes([...peerUrls].sort().join("") + clusterToken);
}

/** The id of a member that MemberAdd makes at `unixSeconds`. */
export function addedMemberId(peerUrls: readonly string[], unixSeconds: number): Id64 {
  return firstEightBytes([...peerUrls].sort().join("") + String(unixSeconds));
}

export function clusterIdOf(bootstrapMemberIds: readonly Id64[]): Id64 {
  const sorted = [...bootstrapMemberIds].sort(id64Compare);
  const bytes = new Uint8Array(sorted.length * 8);
  const view = new DataView(bytes.buffer);
  sorted.forEach((id, i) => {
    view.setUint32(i * 8, id.hi);
    view.setUint32(i * 8 + 4, id.lo);
  });
  return digestId(bytes);
}

function firstEightBytes(text: string): Id64 {
  const bytes = new Uint8Array(text.length * 3);
  return digestId(bytes.subarray(0, writeUtf8(bytes, 0, text)));
}

function digestId(bytes: Uint8Array): Id64 {
  const digest = new DataView(sha1(bytes).buffer);
  return id64(digest.getUint32(0), digest.getUint32(4));
}
