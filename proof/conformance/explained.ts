// Differences that are known, each with its reason. They are counted by name and shown, but do not fail a run.

export interface ExplainedDifference {
  readonly id: string;
  readonly reason: string;
  readonly matches: (request: string, ours: string, theirs: string) => boolean;
}

const COMPACT_REVISION = /"compact_revision":(-?\d+)/;
const HASH_REVISION = /"hash_revision":(\d+)/;
const COMPACTED = "error 11 etcdserver: mvcc: required revision has been compacted";
export const EXPLAINED: readonly ExplainedDifference[] = [
  {
    id: "hash-at-compaction",
    reason:
      "HashKV exactly at a revision that was compacted to: etcd answers with a hash that it kept from the compaction, made with the " +
      "compact revision before; Holdfast hashes what is there now, with the present one. At every other revision the two agree.",
    matches: (request, ours, theirs) => {
      if (!request.startsWith("HashKV")) return false;
      const revision = HASH_REVISION.exec(ours)?.[1];
      const [a, b] = [COMPACT_REVISION.exec(ours)?.[1], COMPACT_REVISION.exec(theirs)?.[1]];
      return revision !== undefined && a !== b && (a === revision || b === revision);
    },
  },
  {
    id: "hash-below-compaction",
    reason:
      "HashKV at a revision below the compacted one: etcd answers with a hash that it kept when that revision was compacted to, as long as " +
      "it is one of the last ten; Holdfast says that it was compacted, as etcd does of every other revision.",
    matches: (request, ours, theirs) => {
      const revision = HASH_REVISION.exec(theirs)?.[1];
      const compacted = Number(COMPACT_REVISION.exec(theirs)?.[1]);
      const isAsked = request === `HashKV {"revision":${revision}}`;
      return isAsked && ours === COMPACTED && compacted < Number(revision);
    },
  },
];
