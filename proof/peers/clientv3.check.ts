/** etcd's own Go client, through our program in go/: a conversation with verified answers, and a short load. */
import assert from "node:assert/strict";
import { claim, passOn, runPeer, withTarget } from "./conversation.ts";
import { findPeer } from "./peers.ts";

const program = findPeer("clientv3");

if (program === undefined) {
  console.log("left out - clientv3: not built, because Go 1.24 or newer is not here");
} else {
  await withTarget(async ({ endpoint }) => {
    passOn("clientv3", await runPeer(program, ["check", "--endpoint", endpoint]));
    await claim(
      "clientv3: 5,000 puts of 100 clients on 10 connections, then as many gets, all answered",
      async () => {
        for (const operation of ["put", "get"]) {
          const said = await runPeer(program, [
            "load",
            "--endpoint",
            endpoint,
            "--op",
            operation,
            "--total",
            "5000",
          ]);
          assert.equal(said.exitCode, 0, said.stdout + said.stderr);
          const result = JSON.parse(said.stdout) as { operations: number; errors: number };
          assert.deepEqual([result.operations, result.errors], [5000, 0]);
        }
      },
    );
  });
}
