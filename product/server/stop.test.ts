import assert from "node:assert/strict";
import { test } from "node:test";
import { TestMembers } from "./test-members.ts";

const VALUE = "v".repeat(100_000);
const PUT_COUNT = 30;

test("a clean stop leaves little to apply again at the next start", async () => {
  const members = await TestMembers.make(1);
  try {
    await members.start(0);
    const client = members.client(0);
    for (let i = 0; i < PUT_COUNT; i++) await client.kv.put(`key ${i}`, VALUE);
    client.close();
    await members.stop(0);
    assert.match(members.log, /saved snapshot/);
    const { member } = await members.start(0);
    const { index } = member.housekeeping.checkpointer;
    assert.ok(index >= PUT_COUNT, `the checkpoint is of entry ${index}`);
    assert.equal(member.store.keyCount, PUT_COUNT);
  } finally {
    await members.close();
  }
});
