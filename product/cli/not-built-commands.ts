// Commands of etcdctl that are not built yet. They are here so that they say so, and what to use instead.

import type { Command } from "./command.ts";
import { CommandError, EXIT } from "./io.ts";

function notBuilt(name: string, summary: string): Command {
  return {
    name,
    usage: "…",
    summary: `${summary} (not built yet)`,
    flags: [],
    run() {
      const text = `${name} is not built yet; against an etcd use etcdctl ${name}`;
      return Promise.reject(new CommandError(EXIT.error, text));
    },
  };
}

export const notBuiltCommands: readonly Command[] = [
  notBuilt("snapshot save", "Saves all data of a member to a file"),
  notBuilt("make-mirror", "Copies changes to another cluster as they happen"),
  notBuilt("downgrade validate", "Asks whether the cluster may be downgraded"),
  notBuilt("downgrade enable", "Begins a downgrade of the cluster"),
  notBuilt("downgrade cancel", "Ends a downgrade of the cluster"),
  notBuilt("auth enable", "Turns authentication on"),
  notBuilt("auth disable", "Turns authentication off"),
  notBuilt("auth status", "Shows whether authentication is on"),
  notBuilt("user add", "Adds a user"),
  notBuilt("user delete", "Deletes a user"),
  notBuilt("user get", "Shows a user"),
  notBuilt("user list", "Lists users"),
  notBuilt("user passwd", "Changes a user's password"),
  notBuilt("user grant-role", "Gives a user a role"),
  notBuilt("user revoke-role", "Takes a role from a user"),
  notBuilt("role add", "Adds a role"),
  notBuilt("role delete", "Deletes a role"),
  notBuilt("role get", "Shows a role"),
  notBuilt("role list", "Lists roles"),
  notBuilt("role grant-permission", "Lets a role read or write keys"),
  notBuilt("role revoke-permission", "Takes keys from a role"),
];
