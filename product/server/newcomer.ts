// A member that has not taken part in anything yet listens to nobody before it has asked that member what the cluster
// knows of it. One that lost its data and starts again under its old id would else vote twice in one term (trap M2), and
// when it started the others may have been down, so that nobody could tell it.

import { type Id64, id64Equal } from "../../core/base/ids.ts";
import type { Listed } from "./ask-peer.ts";
import { knowsFromBefore } from "./join.ts";

export interface NewcomerOptions {
  readonly memberId: Id64;
  readonly clusterId: Id64;
  /** Where to ask it; where to ask anybody, when it is not known. */
  readonly urlsOf: (peer: Id64) => readonly string[];
  readonly ask: (url: string) => Promise<Listed>;
  /** This member has told the cluster of itself: from then on what others know of it may be of this life. */
  readonly hasSpoken: () => boolean;
  /** What this member said before it listened to it is lost: who it is, and what it knows. */
  readonly onAdmitted: (peer: Id64) => void;
  /** The cluster knows this member from an earlier life. */
  readonly onKnown: () => void;
}

export class Newcomer {
  readonly #options: NewcomerOptions;
  /** Members that have been asked and know of no earlier life. */
  readonly #admitted: Id64[] = [];
  readonly #asked: Id64[] = [];

  constructor(options: NewcomerOptions) {
    this.#options = options;
  }

  /** Whether to listen to this member; asks it when it has not said what it knows. */
  admits(peer: Id64): boolean {
    if (includes(this.#admitted, peer) || this.#options.hasSpoken()) return true;
    this.#ask(peer);
    return false;
  }

  #ask(peer: Id64): void {
    if (includes(this.#asked, peer)) return;
    this.#asked.push(peer);
    const { urlsOf, ask } = this.#options;
    Promise.any(urlsOf(peer).map((url) => ask(url))).then(
      (listed) => this.#answered(peer, listed),
      () => {
        // With its next word.
        this.#asked.splice(this.#asked.indexOf(peer), 1);
      },
    );
  }

  #answered(peer: Id64, listed: Listed): void {
    const { clusterId, memberId, hasSpoken, onAdmitted, onKnown } = this.#options;
    const isKnown = id64Equal(listed.clusterId, clusterId) && knowsFromBefore(listed, memberId);
    if (isKnown && !hasSpoken()) return onKnown();
    this.#admitted.push(peer);
    onAdmitted(peer);
  }
}

function includes(ids: readonly Id64[], id: Id64): boolean {
  for (const one of ids) if (id64Equal(one, id)) return true;
  return false;
}
