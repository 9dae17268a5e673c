import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdError } from "../../product/client/index.ts";
import { retry } from "./retry.ts";

const timedOut = (): EtcdError => new EtcdError(14, "etcdserver: request timed out");

test("a put that one leader lost is asked for again, until the limit", async () => {
  let attempts = 0;
  const answer = await retry(performance.now() + 60_000, async () => {
    if (++attempts < 3) throw timedOut();
    return "done";
  });
  assert.deepEqual([answer, attempts], ["done", 3]);
  await assert.rejects(
    retry(performance.now() - 1, () => Promise.reject(timedOut())),
    /etcdserver: request timed out/,
  );
});

test("what the cluster did not answer ends it at once", async () => {
  let attempts = 0;
  const bug = async (): Promise<void> => {
    attempts++;
    throw new TypeError("a bug");
  };
  await assert.rejects(retry(performance.now() + 60_000, bug), /a bug/);
  assert.equal(attempts, 1);
});
