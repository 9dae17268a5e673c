// A planted bottleneck: something that real servers suffer from, put before a real one. `holdfast profile` must name it
// (proof/peers/bottlenecks.check.ts); that is how we know that its line can be believed.

import type { SourcePatch } from "../bugs/planted-bug.ts";
import type { Cause } from "../profile/bottleneck.ts";

export interface Plant {
  readonly id: string;
  readonly title: string;
  /** What the profiler must say. */
  readonly cause: Cause;
  /** Of the servers' cluster; 1 without it. */
  readonly members?: number;
  /** Words of `holdfast bench` that load the servers while they are profiled. */
  readonly load: readonly string[];
  /** Words of `holdfast bench` that are run to their end before. */
  readonly before?: readonly string[];
  /** Bad code in the server's build. */
  readonly patches?: readonly SourcePatch[];
  /** What is wrong around the servers. */
  readonly trouble?: Trouble;
}

export type Trouble =
  /** Every sync takes so much longer, of the leader alone or of all others. */
  | { readonly kind: "slow disk"; readonly of: "leader" | "followers"; readonly delayMs: number }
  /** What members send each other takes so long. */
  | { readonly kind: "slow network"; readonly delayMs: number }
  /** Other programs want the processor. */
  | { readonly kind: "busy machine"; readonly programsPerCore: number };
