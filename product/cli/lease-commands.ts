// lease grant, revoke, timetolive, list, keep-alive.

import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import type { LeaseRenewal } from "../client/lease.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, rethrow } from "./command.ts";
import { boolFlag } from "./flags.ts";
import { hex16, parseInt64 } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";

export function leaseArgument(context: Context, otherwise: string): bigint {
  if (context.args.length !== 1) badArguments(otherwise);
  const id = parseInt64(context.args[0]!, 16);
  if (id.error !== undefined) badArguments(`bad lease ID arg (${id.error}), expecting ID in Hex`);
  return id.value;
}

const grantCommand: Command = {
  name: "lease grant",
  usage: "<ttl>",
  summary: "Makes a lease that lasts so many seconds",
  flags: [],
  async run(context) {
    if (context.args.length !== 1) badArguments("lease grant command needs TTL argument");
    const ttl = parseInt64(context.args[0]!, 10);
    if (ttl.error !== undefined) badArguments(`bad TTL (${ttl.error})`);
    const client = await context.client();
    const answer = await client
      .call(METHOD.leaseGrant, { TTL: Number(ttl.value) })
      .catch((error) => rethrow(error, EXIT.error, (text) => `failed to grant lease (${text})`));
    context.printer.print("grant", answer);
    return EXIT.success;
  },
};

const revokeCommand: Command = {
  name: "lease revoke",
  usage: "<leaseID>",
  summary: "Ends a lease and deletes its keys",
  flags: [],
  async run(context) {
    const id = leaseArgument(context, "lease revoke command needs 1 argument");
    const client = await context.client();
    const answer = await client
      .call(METHOD.leaseRevoke, { ID: id })
      .catch((error) => rethrow(error, EXIT.error, (text) => `failed to revoke lease (${text})`));
    context.printer.print("revoke", { id, answer });
    return EXIT.success;
  },
};

const timeToLiveCommand: Command = {
  name: "lease timetolive",
  usage: "<leaseID> [options]",
  summary: "Shows how long a lease will last",
  flags: [boolFlag("keys", "show the keys attached to it")],
  async run(context) {
    const id = leaseArgument(context, "lease timetolive command needs lease ID as argument");
    const withKeys = context.flags.bool("keys");
    const client = await context.client();
    const answer = await client
      .call(METHOD.leaseTimeToLive, { ID: id, keys: withKeys }, { timeoutMs: Infinity })
      .catch((error) => rethrow(error, EXIT.badConnection));
    context.printer.print("timeToLive", { withKeys, answer });
    return EXIT.success;
  },
};

const listCommand: Command = {
  name: "lease list",
  usage: "",
  summary: "Lists all leases",
  flags: [],
  async run(context) {
    const client = await context.client();
    const answer = await client
      .call(METHOD.leaseLeases, {}, { timeoutMs: Infinity })
      .catch((error) => rethrow(error, EXIT.badConnection));
    context.printer.print("leases", answer);
    return EXIT.success;
  },
};

const keepAliveCommand: Command = {
  name: "lease keep-alive",
  usage: "[options] <leaseID>",
  summary: "Renews a lease until it is gone",
  flags: [boolFlag("once", "renew once and end")],
  async run(context) {
    const id = leaseArgument(context, "lease keep-alive command needs lease ID as argument");
    const client = await context.client();
    if (context.flags.bool("once")) {
      const renewal = await client.lease
        .keepAliveOnce(id, { timeoutMs: Infinity })
        .catch((error) => rethrow(error, EXIT.badConnection));
      printRenewal(context, renewal);
      return EXIT.success;
    }
    let problem: unknown;
    const keepAlive = client.lease.keepAlive(id, (renewal) => {
      try {
        printRenewal(context, renewal);
      } catch (error) {
        problem = error;
        keepAlive.close();
      }
    });
    const error = await keepAlive.ended;
    if (problem instanceof Error) throw problem;
    if (error !== undefined && error.message !== STATUS.leaseNotFound.text) {
      throw new CommandError(EXIT.badConnection, error.display, { cause: error });
    }
    if (context.printer.isSimple) context.output.line(`lease ${hex16(id)} expired or revoked.`);
    return EXIT.success;
  },
};

function printRenewal(context: Context, renewal: LeaseRenewal): void {
  const { clusterId, memberId, revision, raftTerm } = renewal.header;
  const header = { cluster_id: clusterId, member_id: memberId, revision, raft_term: raftTerm };
  context.printer.print("keepAlive", { header, ID: renewal.id, TTL: renewal.ttlSeconds });
}

export const leaseCommands: readonly Command[] = [
  grantCommand,
  revokeCommand,
  timeToLiveCommand,
  listCommand,
  keepAliveCommand,
];
