// member add, remove, update, promote, list; move-leader.

import { METHOD } from "../../core/wire/service.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, CONSISTENCY_FLAG, isSerializable, rethrow } from "./command.ts";
import { boolFlag, stringFlag } from "./flags.ts";
import { parseInt64, quote } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";

function memberArgument(context: Context): bigint {
  if (context.args.length !== 1) badArguments("member ID is not provided");
  const id = parseInt64(context.args[0]!, 16, true);
  if (id.error !== undefined) badArguments(`bad member ID arg (${id.error}), expecting ID in Hex`);
  return id.value;
}

function peerUrls(context: Context): string[] {
  const text = context.flags.text("peer-urls");
  if (text === "") badArguments("member peer urls not provided");
  return text.split(",");
}

const addCommand: Command = {
  name: "member add",
  usage: "<memberName> [options]",
  summary: "Announces a member that is going to be started",
  flags: [
    stringFlag("peer-urls", "where the other members will reach it, separated by commas"),
    boolFlag("learner", "let it catch up before it gets a vote"),
  ],
  async run(context) {
    const [name, ...others] = context.args;
    if (name === undefined) badArguments("member name not provided");
    if (others.length > 0) {
      const hints = context.args.filter((it) => it.toLowerCase().startsWith("http"));
      badArguments(`too many arguments${hints.map((it) => `, did you mean --peer-urls=${it}`).join("")}`);
    }
    const urls = peerUrls(context);
    const client = await context.client();
    const request = { peerURLs: urls, isLearner: context.flags.bool("learner") };
    const answer = await client.call(METHOD.memberAdd, request).catch((error) => rethrow(error, EXIT.error));
    context.printer.print("memberAdd", answer);
    if (!context.printer.isSimple) return EXIT.success;
    const cluster = answer.members.flatMap((member) =>
      member.peerURLs.map((url) => `${member.ID === answer.member?.ID ? name : member.name}=${url}`),
    );
    context.output.line("");
    context.output.line(`ETCD_NAME=${quote(name)}`);
    context.output.line(`ETCD_INITIAL_CLUSTER=${quote(cluster.join(","))}`);
    context.output.line(`ETCD_INITIAL_ADVERTISE_PEER_URLS=${quote(context.flags.text("peer-urls"))}`);
    context.output.line('ETCD_INITIAL_CLUSTER_STATE="existing"');
    return EXIT.success;
  },
};

const removeCommand: Command = {
  name: "member remove",
  usage: "<memberID>",
  summary: "Removes a member from the cluster, for good",
  flags: [],
  async run(context) {
    const id = memberArgument(context);
    const client = await context.client();
    const answer = await client
      .call(METHOD.memberRemove, { ID: id })
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("memberRemove", { id, answer });
    return EXIT.success;
  },
};

const updateCommand: Command = {
  name: "member update",
  usage: "<memberID> [options]",
  summary: "Changes where a member is reached by the others",
  flags: [stringFlag("peer-urls", "the new URLs, separated by commas")],
  async run(context) {
    const id = memberArgument(context);
    const urls = peerUrls(context);
    const client = await context.client();
    const answer = await client
      .call(METHOD.memberUpdate, { ID: id, peerURLs: urls })
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("memberUpdate", { id, answer });
    return EXIT.success;
  },
};

const promoteCommand: Command = {
  name: "member promote",
  usage: "<memberID>",
  summary: "Gives a learner its vote",
  flags: [],
  async run(context) {
    const id = memberArgument(context);
    const client = await context.client();
    const answer = await client
      .call(METHOD.memberPromote, { ID: id })
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("memberPromote", { id, answer });
    return EXIT.success;
  },
};

const listCommand: Command = {
  name: "member list",
  usage: "",
  summary: "Lists the members of the cluster",
  details:
    "The simple form shows id, status, name, peer URLs, client URLs, and whether the member is a learner.",
  flags: [CONSISTENCY_FLAG],
  async run(context) {
    const linearizable = !isSerializable(context.flags);
    const client = await context.client();
    const answer = await client
      .call(METHOD.memberList, { linearizable })
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("memberList", answer);
    return EXIT.success;
  },
};

export const moveLeaderCommand: Command = {
  name: "move-leader",
  usage: "<transferee-member-id>",
  summary: "Hands the leadership to another member",
  flags: [],
  async run(context) {
    if (context.args.length !== 1) badArguments("move-leader command needs 1 argument");
    const target = parseInt64(context.args[0]!, 16, true);
    if (target.error !== undefined) badArguments(target.error);
    for (const endpoint of context.endpoints) {
      const client = await context.client([endpoint]);
      const status = await client.call(METHOD.status, {}).catch((error) => rethrow(error, EXIT.error));
      if (status.leader !== status.header?.member_id) continue;
      const answer = await client
        .call(METHOD.moveLeader, { targetID: target.value })
        .catch((error) => rethrow(error, EXIT.error));
      context.printer.print("moveLeader", { leader: status.leader, target: target.value, answer });
      return EXIT.success;
    }
    throw new CommandError(EXIT.badArguments, `no leader endpoint given at [${context.endpoints.join(" ")}]`);
  },
};

export const memberCommands: readonly Command[] = [
  addCommand,
  removeCommand,
  updateCommand,
  promoteCommand,
  listCommand,
];
