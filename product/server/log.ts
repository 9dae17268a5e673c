// The server's log: one line of JSON each on the standard error output, with the fields that tools for etcd expect.

import type { Writable } from "node:stream";

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export class Log {
  readonly #out: Writable;
  readonly #from: number;

  constructor(out: Writable, level: string) {
    this.#out = out;
    this.#from = Math.max(0, LEVELS.indexOf(level as LogLevel));
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
    this.#out.write(JSON.stringify({ level, ts: new Date().toISOString(), msg: message, ...fields }) + "\n");
  }
}
