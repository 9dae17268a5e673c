/** etcd's Java client, through our program in java/: a conversation with verified answers, and thousands of puts at once. */
import { passOn, runPeer, withTarget } from "./conversation.ts";
import { findPeer } from "./peers.ts";

const program = findPeer("jetcd");

if (program === undefined) {
  console.log("left out - jetcd: not built, because a JDK and Maven are not here");
} else {
  await withTarget(async ({ endpoint }) => {
    passOn("jetcd", await runPeer(program, [endpoint]));
  });
}
