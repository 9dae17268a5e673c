// How long writers waited, from the acknowledgements of puts that are sent at an even pace.

/** A put that was acknowledged. */
export interface Acknowledged {
  readonly startUs: number;
  readonly endUs: number;
  /** The term of the member that answered, when it did. */
  readonly term: number;
}

/** What befalls writers later than this after the first acknowledgement of a new term is a hiccup like any other. */
const AFTER_MOVE_US = 10_000;

/** What a move of leadership cost writers, microseconds. */
export interface CostOfMove {
  /** The longest time between two acknowledgements, whoever they were for. */
  readonly gapUs: number;
  /** The longest that one put waited for its own: it may have to be sent again, by its client or after its time was over. */
  readonly longestPutUs: number;
}

/**
 * What a move that was asked for at `sinceUs` cost; undefined when no acknowledgement of a later term came. Looked at is what overlaps
 * the time from there to shortly after the first acknowledgement of the new term. When the store says that it has moved is no
 * measure: etcd looks only every 100 ms.
 */
export function costOfMove(inOrder: readonly Acknowledged[], sinceUs: number): CostOfMove | undefined {
  const untilUs = endOfMove(inOrder, sinceUs);
  if (untilUs === undefined) return undefined;
  // Nothing is known of the time before the first one.
  let lastUs = inOrder[0]!.endUs;
  let gapUs = 0;
  let longestPutUs = 0;
  for (const { startUs, endUs } of inOrder) {
    if (endUs >= sinceUs && lastUs <= untilUs) gapUs = Math.max(gapUs, endUs - lastUs);
    if (endUs >= sinceUs && startUs <= untilUs) longestPutUs = Math.max(longestPutUs, endUs - startUs);
    lastUs = endUs;
  }
  return { gapUs, longestPutUs };
}

function endOfMove(inOrder: readonly Acknowledged[], sinceUs: number): number | undefined {
  let termBefore = 0;
  for (const { endUs, term } of inOrder) {
    if (endUs < sinceUs) termBefore = Math.max(termBefore, term);
    else if (term > termBefore) return endUs + AFTER_MOVE_US;
  }
  return undefined;
}
