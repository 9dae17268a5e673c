// A planted bug: a change of the source that breaks one promise, put in while the simulation is bundled, so that `core`
// itself stays clean. The simulator must find each; that is how we know that its oracles look.

export interface SourcePatch {
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface PlantedBug extends SourcePatch {
  /** As in the list of known traps: R raft, S storage, W watch, L lease, M membership, C clients. */
  readonly id: string;
  readonly title: string;
  /** The situation that makes the bug show; without one any. */
  readonly profile?: string;
  /** Further places, for bugs that two lines keep out. */
  readonly also?: readonly SourcePatch[];
}
