import assert from "node:assert/strict";
import { test } from "node:test";
import { DIFF_FLAGS } from "./build-diff.ts";
import { COMPARE_FLAGS } from "./compare.ts";
import { GROWTH_FLAGS } from "./growth.ts";
import { helpOf } from "./help.ts";
import { RUN_FLAGS, WORKLOADS } from "./options.ts";

for (const [command, flags] of [
  [undefined, RUN_FLAGS],
  ["compare", COMPARE_FLAGS],
  ["diff", DIFF_FLAGS],
  ["growth", GROWTH_FLAGS],
] as const) {
  test(`bench help: ${command ?? "a workload"} has every flag, and no other`, () => {
    const help = helpOf(command);
    const documented = new Set([...help.matchAll(/--([a-z][a-z-]*)/g)].map((match) => match[1]!));
    assert.deepEqual(
      Object.keys(flags).filter((name) => !documented.has(name)),
      [],
    );
    // The whole's help names some flags of the other commands.
    const others = command === undefined ? ["rival", "suite", "rows", "of", "help", "etcd-style"] : [];
    assert.deepEqual(
      [...documented].filter((name) => !(name in flags) && !others.includes(name)),
      [],
    );
  });
}

test("bench help: every workload is named", () => {
  for (const workload of WORKLOADS) assert.match(helpOf(undefined), new RegExp(`^  ${workload} `, "m"));
});
