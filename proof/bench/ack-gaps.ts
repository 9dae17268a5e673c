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

/**
 * The longest time between two acknowledgements around a move of leadership that was asked for at `sinceUs`, microseconds; undefined
 * when none of a later term came. Looked at is what overlaps the time from there to shortly after the first acknowledgement of
 * the new term. When the store says that it has moved is no measure: etcd looks only every 100 ms.
 */
export function gapOfMove(inOrder: readonly Acknowledged[], sinceUs: number): number | undefined {
  let termBefore = 0;
  // Nothing is known of the time before the first one.
  let lastUs = inOrder[0]?.endUs ?? sinceUs;
  let untilUs = Number.POSITIVE_INFINITY;
  let longestUs = 0;
  for (const { endUs, term } of inOrder) {
    if (endUs < sinceUs) termBefore = Math.max(termBefore, term);
    else {
      if (lastUs > untilUs) break;
      longestUs = Math.max(longestUs, endUs - lastUs);
      if (term > termBefore && untilUs === Number.POSITIVE_INFINITY) untilUs = endUs + AFTER_MOVE_US;
    }
    lastUs = endUs;
  }
  return untilUs === Number.POSITIVE_INFINITY ? undefined : longestUs;
}
