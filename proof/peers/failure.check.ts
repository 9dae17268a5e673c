/**
 * The failure test as a check: three real members are killed, paused and cut off while clients work, and every history
 * is checked afterwards.
 *
 *   HOLDFAST_FAILURE_MINUTES=30 npx tsx proof/peers/failure.check.ts     for a release; 3 by default
 */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { failureTest } from "../failure/main.ts";
import { claim } from "./conversation.ts";
import { ourCommand } from "./server-process.ts";

const minutes = Number(process.env["HOLDFAST_FAILURE_MINUTES"] ?? "3");
const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

// The test starts the program that runs, and that is this check.
const [, program] = ourCommand();
process.argv[1] = program!;
process.execArgv.length = 0;

const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
const options = { memberCount: 3, durationMs: minutes * 60_000, exec: "holdfast", seed, clientsPerMember: 3 };
await claim(`failure: three members broken for ${minutes} minutes keep every promise`, async () => {
  const result = await failureTest(options, { stdout: silent, stderr: silent });
  const {
    timeline,
    operations,
    acknowledgedWrites,
    checkedEvents,
    checkedLeases,
    violations,
    directory,
    gaps,
  } = result;
  console.log(
    `note - ${timeline.length} faults, ${operations} operations (${acknowledgedWrites} acknowledged writes), ${checkedEvents} watch events, ` +
      `${checkedLeases} lease renewals checked, longest gap ${gaps[0]?.lengthMs ?? 0} ms, seed ${seed}`,
  );
  assert.deepEqual(violations.slice(0, 20), [], `seed ${seed}, data and logs in ${directory}`);
  assert.ok(acknowledgedWrites > 100, "hardly anything was written");
  assert.ok(timeline.length > 0, "nothing was broken");
});
