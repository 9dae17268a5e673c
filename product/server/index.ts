/** A member inside this process, `holdfast/server`. A bug of ours or a failing disk ends the process: see onFatal. */

import type { Writable } from "node:stream";
import { serverConfig } from "./config.ts";
import { parseServerFlags } from "./flags.ts";
import { Log } from "./log.ts";
import { startServer } from "./server.ts";

export interface MemberOptions {
  /** The server's flags, as on the command line: `--data-dir=…`, `--listen-client-urls=…`, … */
  readonly flags: readonly string[];
  /** Takes the log, a line of JSON each; default: the standard error output. */
  readonly log?: Writable;
}

export interface EmbeddedMember {
  /** Its client URLs. */
  readonly urls: readonly string[];
  /** Resolves when the member ended by itself, because it was removed from its cluster. */
  readonly ended: Promise<void>;
  /** Hands leadership over, ends the calls, closes the data. */
  stop(): Promise<void>;
}

/**
 * Starts a member; resolves when it listens, which is before it has found its cluster. Rejects when the flags contradict
 * each other (FlagError), when the data is damaged or another's, and when a port is taken.
 */
export async function startMember({ flags, log = process.stderr }: MemberOptions): Promise<EmbeddedMember> {
  const config = serverConfig(parseServerFlags(flags, {}));
  const server = await startServer(
    config,
    new Log([log], { level: config.logLevel, format: config.logFormat }),
  );
  return {
    urls: config.advertiseClientUrls,
    ended: server.ended.then(() => undefined),
    stop: () => server.stop(),
  };
}

export { FlagError } from "./flags.ts";
