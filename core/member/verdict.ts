// Who is right, when members name different hashes at the same applied index: a majority of the voters, or nobody.

import { type Id64, id64Hex } from "../base/ids.ts";

export interface Ballot {
  /** Voters by hexadecimal id; while the configuration is joint, of both halves (`outgoing` is empty otherwise). */
  readonly voters: readonly Id64[];
  readonly outgoing: readonly Id64[];
  /** What each member said, by hexadecimal id; learners may be among them and do not count. */
  readonly hashes: ReadonlyMap<string, number>;
}

export type Verdict =
  /** A majority is not there yet. `differ`: but not all say the same. */
  | { readonly kind: "open"; readonly differ: boolean }
  /** A majority has this hash; `diverged` are those, voters or not, that have another one. */
  | { readonly kind: "majority"; readonly hash: number; readonly diverged: readonly string[] }
  /** No hash can get a majority any more. */
  | { readonly kind: "split" };

export function judge(ballot: Ballot): Verdict {
  const { hashes } = ballot;
  const distinct = new Set(hashes.values());
  let mayStillWin = false;
  for (const hash of distinct) {
    const now = hasMajority(ballot, (said) => said === hash);
    if (now) {
      const diverged = [...hashes].filter(([, other]) => other !== hash).map(([hex]) => hex);
      return { kind: "majority", hash, diverged };
    }
    mayStillWin ||= hasMajority(ballot, (said) => said === hash || said === undefined);
  }
  if (distinct.size > 1 && !mayStillWin) return { kind: "split" };
  return { kind: "open", differ: distinct.size > 1 };
}

/** Whether those of whom `counts` is true are a majority, of both halves while the configuration is joint. */
function hasMajority(ballot: Ballot, counts: (hash: number | undefined) => boolean): boolean {
  for (const half of [ballot.voters, ballot.outgoing]) {
    if (half.length === 0) continue;
    const count = half.filter((id) => counts(ballot.hashes.get(id64Hex(id)))).length;
    if (count <= half.length >> 1) return false;
  }
  return ballot.voters.length > 0;
}
