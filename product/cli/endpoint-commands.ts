// endpoint health, status, hashkv; alarm list, disarm; defrag: what is asked of single members.

import { AlarmType } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { EtcdError } from "../client/errors.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, rethrow } from "./command.ts";
import type { Flag } from "./flags.ts";
import { boolFlag, intFlag } from "./flags.ts";
import { durationText } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";
import type { EndpointHash, EndpointHealth, EndpointStatus } from "./print.ts";

const CLUSTER_FLAG: Flag = boolFlag(
  "cluster",
  "ask all members of the cluster, not only those of --endpoints",
);

/** Those of --endpoints, or all that the members announce. */
async function endpointsOf(context: Context): Promise<string[]> {
  if (!context.flags.bool("cluster")) return context.flags.list("endpoints");
  const client = await context.client();
  const answer = await client
    .call(METHOD.memberList, { linearizable: true })
    .catch((error) =>
      rethrow(
        error,
        EXIT.error,
        (text) => `failed to fetch endpoints from etcd cluster member list: ${text}`,
      ),
    );
  return answer.members.flatMap((it) => it.clientURLs);
}

const healthCommand: Command = {
  name: "endpoint health",
  usage: "",
  summary: "Asks members whether they work: a read through the whole cluster",
  flags: [CLUSTER_FLAG],
  async run(context) {
    const endpoints = await endpointsOf(context);
    const list = await Promise.all(endpoints.map((it) => healthOf(context, it)));
    context.printer.print("endpointHealth", list);
    if (list.some((it) => it.error !== "")) throw new CommandError(EXIT.error, "unhealthy cluster");
    return EXIT.success;
  },
};

async function healthOf(context: Context, endpoint: string): Promise<EndpointHealth> {
  const client = await context.client([endpoint]);
  const started = performance.now();
  let error = "";
  try {
    await client.kv.get("health");
  } catch (fault) {
    if (!(fault instanceof EtcdError)) throw fault;
    // Being refused is an answer too: the cluster agreed on it.
    if (fault.message !== STATUS.permissionDenied.text) error = fault.display;
  }
  const took = durationText(performance.now() - started);
  if (error === "") error = await alarmsOf(context, endpoint);
  return { endpoint, isHealthy: error === "", took, error };
}

async function alarmsOf(context: Context, endpoint: string): Promise<string> {
  const client = await context.client([endpoint]);
  try {
    const { alarms } = await client.call(METHOD.alarm, { action: 0 });
    if (alarms.length === 0) return "";
    const names = alarms.map(({ alarm }) =>
      alarm === AlarmType.values.NOSPACE
        ? "NOSPACE "
        : alarm === AlarmType.values.CORRUPT
          ? "CORRUPT "
          : "UNKNOWN ",
    );
    return `Active Alarm(s): ${names.join("")}`;
  } catch (fault) {
    if (!(fault instanceof EtcdError)) throw fault;
    return "Unable to fetch the alarm list";
  }
}

const statusCommand: Command = {
  name: "endpoint status",
  usage: "",
  summary: "Shows version, size, leader and log position of members",
  flags: [CLUSTER_FLAG],
  async run(context) {
    const list: EndpointStatus[] = [];
    let hasFailed = false;
    for (const endpoint of await endpointsOf(context)) {
      const client = await context.client([endpoint]);
      try {
        list.push({ endpoint, status: await client.call(METHOD.status, {}) });
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        hasFailed = true;
        context.output.errorLine(`Failed to get the status of endpoint ${endpoint} (${error.display})`);
      }
    }
    context.printer.print("endpointStatus", list);
    return hasFailed ? EXIT.error : EXIT.success;
  },
};

const hashCommand: Command = {
  name: "endpoint hashkv",
  usage: "",
  summary: "Shows a hash over all keys and their history; members that agree show the same",
  flags: [CLUSTER_FLAG, intFlag("rev", "up to this revision; 0 for the last")],
  async run(context) {
    const list: EndpointHash[] = [];
    let failure: EtcdError | undefined;
    for (const endpoint of await endpointsOf(context)) {
      const client = await context.client([endpoint]);
      try {
        list.push({
          endpoint,
          hash: await client.call(METHOD.hashKV, { revision: context.flags.number("rev") }),
        });
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        failure = error;
        context.output.errorLine(`Failed to get the hash of endpoint ${endpoint} (${error.display})`);
      }
    }
    context.printer.print("endpointHash", list);
    if (failure !== undefined) throw new CommandError(EXIT.error, failure.display, { cause: failure });
    return EXIT.success;
  },
};

const alarmListCommand: Command = {
  name: "alarm list",
  usage: "",
  summary: "Lists all alarms",
  flags: [],
  async run(context) {
    if (context.args.length !== 0) badArguments("alarm list command accepts no arguments");
    const client = await context.client();
    const answer = await client
      .call(METHOD.alarm, { action: 0 })
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("alarm", answer);
    return EXIT.success;
  },
};

const alarmDisarmCommand: Command = {
  name: "alarm disarm",
  usage: "",
  summary: "Clears all alarms",
  flags: [],
  async run(context) {
    if (context.args.length !== 0) badArguments("alarm disarm command accepts no arguments");
    const client = await context.client();
    const raised = await client
      .call(METHOD.alarm, { action: 0 })
      .catch((error) => rethrow(error, EXIT.error));
    const cleared: typeof raised = { header: raised.header, alarms: [] };
    for (const { memberID, alarm } of raised.alarms) {
      const answer = await client
        .call(METHOD.alarm, { action: 2, memberID, alarm })
        .catch((error) => rethrow(error, EXIT.error));
      cleared.header = answer.header;
      cleared.alarms.push(...answer.alarms);
    }
    context.printer.print("alarm", cleared);
    return EXIT.success;
  },
};

export const defragCommand: Command = {
  name: "defrag",
  usage: "",
  summary: "Gives space that is not used back to the file system",
  flags: [CLUSTER_FLAG],
  async run(context) {
    let hasFailed = false;
    for (const endpoint of await endpointsOf(context)) {
      const client = await context.client([endpoint]);
      const started = performance.now();
      const took = (): string => durationText(performance.now() - started);
      try {
        await client.call(METHOD.defragment, {});
        context.output.line(`Finished defragmenting etcd member[${endpoint}]. took ${took()}`);
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        hasFailed = true;
        const text = `Failed to defragment etcd member[${endpoint}]. took ${took()}. (${error.display})`;
        context.output.errorLine(text);
      }
    }
    return hasFailed ? EXIT.error : EXIT.success;
  },
};

export const endpointCommands: readonly Command[] = [healthCommand, statusCommand, hashCommand];
export const alarmCommands: readonly Command[] = [alarmListCommand, alarmDisarmCommand];
