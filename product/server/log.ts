// The server's log: a line of JSON each with the fields that tools for etcd expect, or, for people, a line of text.

import { createWriteStream } from "node:fs";

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | readonly string[]>>;
export type LogFormat = "json" | "console";

/** A stream, as far as a log needs one. */
export interface LogOutput {
  write(text: string): unknown;
}

export interface LogOptions {
  readonly level: string;
  readonly format?: LogFormat;
}

export class Log {
  readonly #outputs: readonly LogOutput[];
  readonly #from: number;
  readonly #format: LogFormat;

  constructor(outputs: readonly LogOutput[], options: LogOptions) {
    this.#outputs = outputs;
    this.#from = Math.max(0, LEVELS.indexOf(options.level as LogLevel));
    this.#format = options.format ?? "json";
  }

  debug(message: string, fields?: LogFields): void {
    this.#line("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#line("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#line("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#line("error", message, fields);
  }

  #line(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (LEVELS.indexOf(level) < this.#from) return;
    const ts = new Date().toISOString();
    const line =
      this.#format === "json"
        ? JSON.stringify({ level, ts, msg: message, ...fields })
        : consoleLine([ts, level, message], fields);
    for (const output of this.#outputs) output.write(`${line}\n`);
  }
}

/** As zap's console encoder has it: columns, and the fields as JSON. */
function consoleLine(columns: readonly string[], fields: LogFields): string {
  const hasFields = Object.keys(fields).length > 0;
  return [...columns, ...(hasFields ? [JSON.stringify(fields)] : [])].join("\t");
}

/** What --log-outputs names, opened. A file that cannot be written to is said once and then left alone. */
export function openLogOutputs(
  names: readonly string[],
  standard: { readonly stdout: LogOutput; readonly stderr: LogOutput },
): LogOutput[] {
  return names.map((name) => {
    if (name === "stdout" || name === "stderr") return standard[name];
    const file = createWriteStream(name, { flags: "a", mode: 0o600 });
    file.on("error", (error) => standard.stderr.write(`cannot write the log: ${error.message}\n`));
    return file;
  });
}
