import assert from "node:assert/strict";
import { test } from "node:test";
import { type Acknowledged, costOfMove } from "./ack-gaps.ts";

/** Acknowledgements that end at these milliseconds. */
function acknowledged(endsMs: readonly number[], term: (endMs: number) => number): Acknowledged[] {
  return endsMs.map((endMs) => ({ startUs: (endMs - 1) * 1000, endUs: endMs * 1000, term: term(endMs) }));
}

test("the gap of a move is the longest between acknowledgements, from the last one before it was asked for", () => {
  const found = acknowledged([7, 8, 9, 13, 14, 15], (endMs) => (endMs > 12 ? 3 : 2));
  assert.equal(costOfMove(found, 11_000)?.gapUs, 4_000);
});

test("a gap that begins after the move was asked for counts, also between two acknowledgements of the old leader", () => {
  const found = acknowledged([9, 10, 11, 16, 17, 19, 20], (endMs) => (endMs > 18 ? 3 : 2));
  assert.equal(costOfMove(found, 10_000)?.gapUs, 5_000);
});

test("hiccups before and long after a move are none of it", () => {
  const found = acknowledged([0, 8, 9, 10, 12, 22, 23, 60], (endMs) => (endMs > 11 ? 3 : 2));
  assert.equal(costOfMove(found, 9_500)?.gapUs, 10_000, "it is under way 10 ms after the first one");
  const later = acknowledged([0, 8, 9, 10, 12, 20, 23, 60], (endMs) => (endMs > 11 ? 3 : 2));
  assert.equal(costOfMove(later, 9_500)?.gapUs, 8_000, "60 comes after it");
});

test("without an acknowledgement of a later term nothing has moved", () => {
  assert.equal(
    costOfMove(
      acknowledged([1, 2, 3, 30], () => 2),
      2_500,
    ),
    undefined,
  );
  assert.equal(costOfMove([], 0), undefined);
});

test("a put that waited longer than nobody was answered is told apart: it was lost, and sent again", () => {
  const found = acknowledged([7, 8, 9, 13, 14, 15, 16, 40, 41, 42], (endMs) => (endMs > 12 ? 3 : 2));
  const lost = { startUs: 11_500, endUs: 7_011_500, term: 3 };
  assert.deepEqual(costOfMove([...found, lost], 11_000), { gapUs: 24_000, longestPutUs: 7_000_000 });
  const before = { startUs: 2_000, endUs: 10_900, term: 2 };
  const later = { startUs: 24_000, endUs: 7_024_000, term: 3 };
  const inOrder = [...found.slice(0, 3), before, ...found.slice(3), later];
  assert.deepEqual(costOfMove(inOrder, 11_000), { gapUs: 24_000, longestPutUs: 1_000 });
});
