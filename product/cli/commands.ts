// The table of all client commands: what --help shows and what shells complete comes from here.

import type { Command } from "./command.ts";
import { checkCommands } from "./check-commands.ts";
import { completionCommand } from "./completion.ts";
import { alarmCommands, defragCommand, endpointCommands } from "./endpoint-commands.ts";
import { compactionCommand, deleteCommand, getCommand, putCommand } from "./kv-commands.ts";
import { leaseCommands } from "./lease-commands.ts";
import { electCommand, lockCommand } from "./lock-commands.ts";
import { memberCommands, moveLeaderCommand } from "./member-commands.ts";
import { notBuiltCommands } from "./not-built-commands.ts";
import { txnCommand } from "./txn-command.ts";
import { versionCommand } from "./version-command.ts";
import { watchCommand } from "./watch-command.ts";

export const COMMANDS: readonly Command[] = [
  getCommand,
  putCommand,
  deleteCommand,
  txnCommand,
  watchCommand,
  compactionCommand,
  ...leaseCommands,
  lockCommand,
  electCommand,
  ...endpointCommands,
  ...memberCommands,
  moveLeaderCommand,
  ...alarmCommands,
  defragCommand,
  ...checkCommands,
  completionCommand(() => COMMANDS),
  versionCommand,
  ...notBuiltCommands,
];
