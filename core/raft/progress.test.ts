import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Progress } from "./progress.ts";

const PEER = { hi: 1, lo: 2 };

function replicating(match: number): Progress {
  const progress = new Progress(PEER, 4, 100);
  progress.reset(match);
  progress.acknowledged(match, 0);
  progress.becomeReplicate();
  return progress;
}

test("a probe sends one append and waits", () => {
  const progress = new Progress(PEER, 4, 100);
  progress.reset(10);
  progress.sent(11, 5, 0);
  assert.equal(progress.paused, true);
  assert.equal(progress.next, 11);
});

test("replicate lets appends run ahead up to the limits of count and bytes", () => {
  const byCount = replicating(10);
  for (let i = 1; i <= 4; i++) {
    assert.equal(byCount.isFull, false);
    byCount.sent(10 + i, 1, 0);
  }
  assert.equal(byCount.isFull, true);
  byCount.acknowledged(11, 0);
  assert.equal(byCount.isFull, false);
  const byBytes = replicating(10);
  byBytes.sent(11, 100, 0);
  assert.equal(byBytes.isFull, true);
});

test("a rejection that contradicts an acknowledgement changes nothing (R12)", () => {
  const progress = replicating(10);
  progress.sent(15, 5, 0);
  assert.equal(progress.rejected(9, 3), false);
  assert.equal(progress.rejected(10, 3), false);
  assert.equal(progress.state, "replicate");
  assert.equal(progress.next, 16);
});

test("a rejection of another probe changes nothing (R12)", () => {
  const progress = new Progress(PEER, 4, 100);
  progress.reset(10);
  assert.equal(progress.rejected(7, 3), false);
  assert.equal(progress.next, 11);
  assert.equal(progress.rejected(10, 3), true);
  assert.equal(progress.next, 4);
});

test("a rejection in replicate falls back to probing behind what is acknowledged", () => {
  const progress = replicating(10);
  progress.sent(15, 5, 0);
  progress.sent(20, 5, 0);
  assert.equal(progress.rejected(15, 12), true);
  assert.equal(progress.state, "probe");
  assert.equal(progress.next, 11);
  assert.equal(progress.inflightBytes, 0);
});

/** The slow obvious model: a list of what is on the way. */
class Model {
  match = 0;
  flying: { last: number; bytes: number }[] = [];
}

test("what is on the way equals the slow model, whatever is sent, acknowledged and rejected (R26)", () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("send" as const),
      count: fc.integer({ min: 1, max: 5 }),
      bytes: fc.integer({ min: 1, max: 60 }),
    }),
    fc.record({ kind: fc.constant("ack" as const), index: fc.nat(60) }),
    fc.record({ kind: fc.constant("reject" as const), index: fc.nat(60), hint: fc.nat(60) }),
    fc.record({ kind: fc.constant("replicate" as const) }),
    fc.record({ kind: fc.constant("unreachable" as const) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const progress = new Progress(PEER, 20, 1000);
      progress.reset(0);
      const model = new Model();
      let last = 0;
      for (const step of actions) {
        if (step.kind === "send") {
          if (progress.paused || progress.isFull) continue;
          const to = progress.next + step.count - 1;
          const replicates = progress.state === "replicate";
          progress.sent(to, step.bytes, 0);
          last = Math.max(last, to);
          if (replicates) model.flying.push({ last: to, bytes: step.bytes });
        } else if (step.kind === "ack") {
          if (step.index > last) continue; // a peer has nothing that was not sent
          progress.acknowledged(step.index, 0);
          model.match = Math.max(model.match, step.index);
          model.flying = model.flying.filter((flying) => flying.last > step.index);
        } else if (step.kind === "reject") {
          if (progress.rejected(step.index, step.hint)) model.flying = [];
        } else if (step.kind === "replicate") {
          if (progress.state === "replicate") continue;
          progress.becomeReplicate();
          model.flying = [];
        } else {
          progress.becomeProbe();
          model.flying = [];
        }
        assert.equal(progress.match, model.match);
        assert.ok(progress.match < progress.next, "match < next");
        assert.equal(progress.inflightCount, model.flying.length);
        assert.equal(
          progress.inflightBytes,
          model.flying.reduce((sum, flying) => sum + flying.bytes, 0),
        );
        assert.equal(progress.isFull, model.flying.length >= 20 || progress.inflightBytes >= 1000);
      }
    }),
    { numRuns: 500 },
  );
});
