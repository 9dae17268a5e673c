import assert from "node:assert/strict";
import { test } from "node:test";
import { checkCheckpointIsThere } from "./recovery.ts";

test("a member does not start without the checkpoint that its log knows of (S8)", () => {
  const markers = [{ index: 0 }, { index: 40 }, { index: 90 }];
  const check = (foundIndex: number): void => checkCheckpointIsThere("member/data", foundIndex, markers);
  assert.throws(() => check(0), /index 90 and the file is missing.*member\/data\/manifest/);
  assert.throws(() => check(40), /index 90 and the one that is there is of 40/);
  check(90);
  // Received and turned to, but not marked yet when the member crashed.
  check(120);
  checkCheckpointIsThere("member/data", 0, []);
});
