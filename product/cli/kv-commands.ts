// get, put, del, compaction. Their arguments also make the requests of a transaction (txn-command.ts).

import { METHOD } from "../../core/wire/service.ts";
import type { DeleteOptions, GetOptions, PutOptions } from "../client/kv.ts";
import { deleteOperation, getOperation, putOperation } from "../client/kv.ts";
import type { Bytes } from "../client/types.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, CONSISTENCY_FLAG, isSerializable, rethrow } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { boolFlag, intFlag, stringFlag } from "./flags.ts";
import { parseInt64, quote } from "./go-text.ts";
import type { CliIo } from "./io.ts";
import { CommandError, EXIT, readAll } from "./io.ts";

const EXCLUDE = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
const TOO_MANY = "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";

export interface GetArguments {
  readonly key: string;
  readonly options: GetOptions;
}

export function getArguments(args: readonly string[], flags: FlagValues): GetArguments {
  const [key, rangeEnd] = args;
  if (key === undefined)
    badArguments("get command needs one argument as key and an optional argument as range_end");
  const prefix = flags.bool("prefix");
  const fromKey = flags.bool("from-key");
  if (prefix && fromKey) badArguments(EXCLUDE);
  if (flags.bool("keys-only") && flags.bool("count-only")) {
    badArguments("`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  }
  const serializable = isSerializable(flags);
  if (rangeEnd !== undefined && (prefix || fromKey)) badArguments(TOO_MANY);
  const options = {
    prefix,
    fromKey,
    rangeEnd,
    serializable,
    limit: flags.number("limit"),
    revision: Math.max(0, flags.number("rev")),
    order: orderOf(flags),
    sortBy: sortTargetOf(flags),
    keysOnly: flags.bool("keys-only"),
    countOnly: flags.bool("count-only"),
    ...boundsOf(flags),
  };
  return { key, options };
}

function orderOf(flags: FlagValues): GetOptions["order"] {
  const text = flags.text("order");
  const order = text.toUpperCase();
  if (order === "ASCEND") return "ascend";
  if (order === "DESCEND") return "descend";
  if (order === "") return undefined;
  throw new CommandError(EXIT.badFeature, `bad sort order ${text}`);
}

const SORT_TARGETS: Readonly<Record<string, GetOptions["sortBy"]>> = {
  CREATE: "create",
  KEY: "key",
  MODIFY: "mod",
  VALUE: "value",
  VERSION: "version",
};

function sortTargetOf(flags: FlagValues): GetOptions["sortBy"] {
  const text = flags.text("sort-by");
  const target = SORT_TARGETS[text.toUpperCase()];
  if (target === undefined && text !== "") throw new CommandError(EXIT.badFeature, `bad sort target ${text}`);
  return target;
}

function boundsOf(flags: FlagValues): GetOptions {
  const minCreate = flags.number("min-create-rev");
  const maxCreate = flags.number("max-create-rev");
  const minMod = flags.number("min-mod-rev");
  const maxMod = flags.number("max-mod-rev");
  if (maxCreate > 0 && minCreate > maxCreate) {
    throw new CommandError(
      EXIT.badFeature,
      `getMinCreateRev(=${minCreate}) > getMaxCreateRev(=${maxCreate})`,
    );
  }
  if (maxMod > 0 && minMod > maxMod) {
    throw new CommandError(EXIT.badFeature, `getMinModRev(=${minMod}) > getMaxModRev(=${maxMod})`);
  }
  return {
    minCreateRevision: Math.max(0, minCreate),
    maxCreateRevision: Math.max(0, maxCreate),
    minModRevision: Math.max(0, minMod),
    maxModRevision: Math.max(0, maxMod),
  };
}

export const getCommand: Command = {
  name: "get",
  usage: "[options] <key> [range_end]",
  summary: "Shows a key or a range of keys",
  flags: [
    CONSISTENCY_FLAG,
    stringFlag("order", "order of the result", { values: ["ASCEND", "DESCEND"] }),
    stringFlag("sort-by", "what to order by", { values: ["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"] }),
    intFlag("limit", "at most so many keys; 0 for all"),
    boolFlag("prefix", "all keys that begin with <key>"),
    boolFlag("from-key", "<key> and all keys after it"),
    intFlag("rev", "as of this revision"),
    boolFlag("keys-only", "leave values out"),
    boolFlag("count-only", "only the number of keys (with --write-out=fields)"),
    boolFlag("print-value-only", "only the values (with --write-out=simple)"),
    intFlag("min-create-rev", "created at this revision or later"),
    intFlag("max-create-rev", "created at this revision or earlier"),
    intFlag("min-mod-rev", "changed last at this revision or later"),
    intFlag("max-mod-rev", "changed last at this revision or earlier"),
  ],
  async run(context) {
    const { key, options } = getArguments(context.args, context.flags);
    const request = getOperation(key, options).request_range ?? {};
    const client = await context.client();
    const answer = await client.call(METHOD.range, request).catch((error) => rethrow(error, EXIT.error));
    if (context.flags.bool("count-only") && !context.printer.isFields) {
      badArguments("--count-only is only for `--write-out=fields`");
    }
    const isValueOnly = context.flags.bool("print-value-only");
    if (isValueOnly && !context.printer.isSimple)
      badArguments("print-value-only is only for `--write-out=simple`");
    context.printer.print(isValueOnly ? "getValues" : "get", answer);
    return EXIT.success;
  },
};

export interface PutArguments {
  readonly key: string;
  readonly value: Bytes;
  readonly options: PutOptions;
}

export async function putArguments(
  args: readonly string[],
  flags: FlagValues,
  io: CliIo,
): Promise<PutArguments> {
  const needs = "put command needs 1 argument and input from stdin or 2 arguments";
  const [key, given] = args;
  if (key === undefined) badArguments(needs);
  const ignoreValue = flags.bool("ignore-value");
  if (ignoreValue && args.length > 1)
    badArguments("put command needs only 1 argument when 'ignore-value' is set");
  let value: Bytes = "";
  if (!ignoreValue) {
    value = given ?? (await readAll(io.stdin));
    if (given === undefined && value.length === 0) badArguments(needs);
  }
  const lease = parseInt64(flags.text("lease"), 16);
  if (lease.error !== undefined) badArguments(`bad lease ID (${lease.error}), expecting ID in Hex`);
  const options = {
    lease: lease.value,
    previous: flags.bool("prev-kv"),
    ignoreValue,
    ignoreLease: flags.bool("ignore-lease"),
  };
  return { key, value, options };
}

export const putCommand: Command = {
  name: "put",
  usage: "[options] <key> <value>",
  summary: "Stores a value under a key",
  details:
    "Without <value> the value is read from standard input, all of it: `cat file | holdfast put <key>`.\n" +
    "A value that begins with a dash goes behind two of them: `holdfast put <key> -- <value>`.",
  flags: [
    stringFlag("lease", "lease to attach the key to, in hexadecimal", { default: "0" }),
    boolFlag("prev-kv", "show the version before"),
    boolFlag("ignore-value", "keep the value, change the lease"),
    boolFlag("ignore-lease", "keep the lease, change the value"),
  ],
  async run(context) {
    const { key, value, options } = await putArguments(context.args, context.flags, context.io);
    const request = putOperation(key, value, options).request_put ?? {};
    const client = await context.client();
    const answer = await client.call(METHOD.put, request).catch((error) => rethrow(error, EXIT.error));
    context.printer.print("put", answer);
    return EXIT.success;
  },
};

export interface DeleteArguments {
  readonly key: string;
  readonly options: DeleteOptions;
}

/** How long etcdctl waits before it deletes a range that was not asked for by a flag. */
const SECOND_THOUGHTS_MS = 2000;

export async function deleteArguments(
  args: readonly string[],
  flags: FlagValues,
  io: CliIo,
): Promise<DeleteArguments> {
  const [key, rangeEnd] = args;
  if (key === undefined || args.length > 2) {
    badArguments("del command needs one argument as key and an optional argument as range_end");
  }
  const prefix = flags.bool("prefix");
  const fromKey = flags.bool("from-key");
  if (prefix && fromKey) badArguments(EXCLUDE);
  if (rangeEnd !== undefined) {
    if (prefix || fromKey) badArguments(TOO_MANY);
    if (!flags.bool("range")) {
      io.stderr.write(
        `Warning: Keys between ${quote(key)} and ${quote(rangeEnd)} will be deleted. Please interrupt the command ` +
          "within next 2 seconds to cancel. You can provide `--range` flag to avoid the delay.\n",
      );
      await new Promise((resolve) => setTimeout(resolve, SECOND_THOUGHTS_MS));
    }
  }
  return { key, options: { prefix, fromKey, rangeEnd, previous: flags.bool("prev-kv") } };
}

export const deleteCommand: Command = {
  name: "del",
  usage: "[options] <key> [range_end]",
  summary: "Deletes a key or a range of keys",
  flags: [
    boolFlag("prefix", "all keys that begin with <key>"),
    boolFlag("prev-kv", "show what was deleted"),
    boolFlag("from-key", "<key> and all keys after it"),
    boolFlag("range", "delete a range at once, without two seconds to think"),
  ],
  async run(context) {
    const { key, options } = await deleteArguments(context.args, context.flags, context.io);
    const request = deleteOperation(key, options).request_delete_range ?? {};
    const client = await context.client();
    const answer = await client
      .call(METHOD.deleteRange, request)
      .catch((error) => rethrow(error, EXIT.error));
    context.printer.print("del", answer);
    return EXIT.success;
  },
};

export const compactionCommand: Command = {
  name: "compaction",
  usage: "[options] <revision>",
  summary: "Forgets the history before a revision",
  flags: [boolFlag("physical", "wait until the space is free")],
  async run(context: Context) {
    if (context.args.length !== 1) badArguments("compaction command needs 1 argument");
    const revision = parseInt64(context.args[0]!, 10);
    if (revision.error !== undefined) throw new CommandError(EXIT.error, revision.error);
    const client = await context.client();
    await client
      .call(METHOD.compact, { revision: Number(revision.value), physical: context.flags.bool("physical") })
      .catch((error) => rethrow(error, EXIT.error));
    context.output.line(`compacted revision ${revision.value}`);
    return EXIT.success;
  },
};
