// What a command has of the world around it.

import type { Readable, Writable } from "node:stream";

export interface CliIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** etcdctl's exit codes. */
export const EXIT = {
  success: 0,
  error: 1,
  badConnection: 2,
  /** Of txn and watch. */
  invalidInput: 3,
  /** A flag's value is valid and not supported. */
  badFeature: 4,
  interrupted: 5,
  io: 6,
  badArguments: 128,
} as const;

/** Ends the command with `Error: <message>` on standard error, and this exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** All of standard input. */
export async function readAll(stdin: Readable): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  for await (const part of stdin) parts.push(typeof part === "string" ? Buffer.from(part) : (part as Buffer));
  return Buffer.concat(parts);
}
