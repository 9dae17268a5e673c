/**
 * `holdfast bench --etcd-style` beside the tool whose words it takes: the same command lines, published ones among them,
 * to the same server, and all that is printed but the figures is the same.
 */
import assert from "node:assert/strict";
import { claim, runPeer, withTarget } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { ourCommand } from "./server-process.ts";

const COMMAND_LINES: readonly string[] = [
  "--conns=1 --clients=1 put --key-size=8 --sequential-keys --total=300 --val-size=256",
  "--target-leader --conns=10 --clients=100 put --key-size=8 --sequential-keys --total=1500 --val-size=256",
  "put --total 200 --check-hashkv --dial-timeout 5s --precise",
  "put --total 1200 --rate 4000 --key-space-size 100 --compact-interval 100ms --compact-index-delta 10",
  "--conns=1 --clients=1 range YOUR_KEY --consistency=l --total=300",
  "range a z --total 200 --consistency s --count-only --limit 3",
  "txn-put --total 200 --txn-ops 4 --key-space-size 4",
  "txn-mixed key --total 200 --rw-ratio 2 --limit 10",
  "stm --total 200 --keys 10 --keys-per-txn 2 --isolation ss",
  "watch --put-total 50 --streams 2 --watch-per-stream 3 --watched-key-total 2",
  "watch-get --watchers 20 --events 2",
  "watch-latency --put-total 50 --put-rate 1000 --streams 2 --watchers-per-stream 3",
  "lease-keepalive --total 200",
];

/** All but figures, bars, and percentiles, which are left out where they are 0. */
function formOf(said: string): string[] {
  return said
    .split("\nWhat this output hides:")[0]!
    .replaceAll(/\d+(?:\.\d+)?(?:e-\d+)?(?:ns|µs|ms|s)?/g, "N")
    .replaceAll(/∎+/g, "")
    .trimEnd()
    .split("\n")
    .filter((line) => !line.includes("% in N"));
}

const benchmark = findPeer("benchmark");
if (benchmark === undefined) {
  console.log("left out - etcd's benchmark tool: not built, because Go 1.24 or newer is not here");
} else {
  const [program, ...words] = ourCommand();
  await withTarget(async (target) => {
    for (const line of COMMAND_LINES) {
      await claim(`etcd-style: ${line}`, async () => {
        const args = ["--endpoints", target.endpoint, ...line.split(" ")];
        const theirs = await runPeer(benchmark, args);
        assert.equal(theirs.exitCode, 0, theirs.stderr.slice(-300));
        const ours = await runPeer(program!, [...words, "bench", "--etcd-style", ...args]);
        assert.equal(ours.exitCode, 0, ours.stderr);
        assert.deepEqual(formOf(ours.stdout), formOf(theirs.stdout));
        assert.match(ours.stdout, /\nWhat this output hides:\n/);
      });
    }
  });
}
