import assert from "node:assert/strict";
import { test } from "node:test";
import { type Id64, id64 } from "../../core/base/ids.ts";
import type { Listed } from "./ask-peer.ts";
import { Newcomer } from "./newcomer.ts";

const CLUSTER = id64(0, 7);
const SELF = id64(0, 1);
const OTHER = id64(0, 2);
const THIRD = id64(0, 3);

/** What a member says who has heard from us, or not. */
function listed(clientUrls: readonly string[]): Listed {
  const self = { id: SELF, name: "m1", peerUrls: [], clientUrls, isLearner: false };
  return { clusterId: CLUSTER, members: [self] };
}

function make(answers: readonly Listed[]) {
  const state = { hasSpoken: false, isKnown: false, admitted: [] as Id64[] };
  let next = 0;
  const newcomer = new Newcomer({
    memberId: SELF,
    clusterId: CLUSTER,
    urlsOf: () => ["http://other"],
    ask: () => Promise.resolve(answers[next++]!),
    hasSpoken: () => state.hasSpoken,
    onAdmitted: (peer) => void state.admitted.push(peer),
    onKnown: () => (state.isKnown = true),
  });
  return { newcomer, state };
}

const answered = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a member that the cluster knows from an earlier life listens to nobody and is told", async () => {
  const { newcomer, state } = make([listed(["http://client"])]);
  assert.equal(newcomer.admits(OTHER), false);
  await answered();
  assert.equal(state.isKnown, true);
  assert.equal(newcomer.admits(OTHER), false);
  assert.deepEqual(state.admitted, []);
});

test("who is asked and knows nothing is listened to from then on", async () => {
  const { newcomer, state } = make([listed([])]);
  assert.equal(newcomer.admits(OTHER), false);
  await answered();
  assert.deepEqual(state.admitted, [OTHER]);
  assert.equal(newcomer.admits(OTHER), true);
});

test("what others know of a member since it has spoken is of this life", async () => {
  const { newcomer, state } = make([listed([]), listed(["http://client"])]);
  newcomer.admits(OTHER);
  newcomer.admits(THIRD);
  // The first answer let it take part; the second one comes when what it published is known already.
  state.hasSpoken = true;
  await answered();
  assert.equal(newcomer.admits(OTHER), true);
  assert.equal(newcomer.admits(THIRD), true);
  assert.equal(state.isKnown, false);
});
