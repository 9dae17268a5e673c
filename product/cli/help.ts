// --help: made from the table of commands.

import type { Command } from "./command.ts";
import { GLOBAL_FLAGS } from "./command.ts";
import type { Flag } from "./flags.ts";

/** Of one command, or of a group of them. */
export function commandHelp(program: string, commands: readonly Command[], group: string): string {
  const only = commands.length === 1 && commands[0]!.name === group ? commands[0]! : undefined;
  if (only === undefined) {
    const lines = [`Usage: ${program} ${group} <command>`, "", "Commands:", ...summaryLines(commands)];
    return `${lines.join("\n")}\n`;
  }
  const usage = [program, only.name, only.usage].filter((it) => it !== "").join(" ");
  const lines = [only.summary, "", `Usage: ${usage}`];
  if (only.details !== undefined) lines.push("", only.details);
  if (only.flags.length > 0) lines.push("", "Options:", ...flagLines(only.flags));
  if (only.name !== "completion" && only.name !== "version") {
    lines.push(
      "",
      "Options of every command (also ETCDCTL_… in the environment):",
      ...flagLines(GLOBAL_FLAGS),
    );
  }
  return `${lines.join("\n")}\n`;
}

export function summaryLines(commands: readonly Pick<Command, "name" | "summary">[]): string[] {
  const width = Math.max(...commands.map((it) => it.name.length));
  return commands.map((it) => `  ${it.name.padEnd(width)}  ${it.summary}`);
}

export function flagLines(flags: readonly Flag[]): string[] {
  const rows = flags.map((it): [string, string] => [spelling(it), it.help + defaultText(it)]);
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

function spelling(flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.kind === "bool" ? "" : ` <${flag.kind === "list" ? "string" : flag.kind}>`}`;
}

function defaultText(flag: Flag): string {
  const isZero = flag.default === "" || flag.default === "false" || flag.default === "0";
  return isZero ? "" : ` (${flag.default})`;
}
