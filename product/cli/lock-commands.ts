// lock and elect, with the keys that etcdctl and Go's concurrency package use: all of them contend together.

import { METHOD } from "../../core/wire/service.ts";
import type { Client } from "../client/client.ts";
import { Election, Mutex, Session } from "../client/concurrency.ts";
import { EtcdError } from "../client/errors.ts";
import { getOperation } from "../client/kv.ts";
import type { GetResponse } from "../client/kv.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, rethrow } from "./command.ts";
import { boolFlag, intFlag } from "./flags.ts";
import { CommandError, EXIT } from "./io.ts";
import type { Answers } from "./print.ts";
import { execute } from "./watch-command.ts";

/** Aborted by SIGINT or SIGTERM, so that what is held can be given back. */
class Interruption {
  readonly #controller = new AbortController();
  readonly #abort = (): void => this.#controller.abort();

  constructor() {
    // Also further signals: whoever is giving something back is not to be stopped in the middle.
    process.on("SIGINT", this.#abort).on("SIGTERM", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get happened(): Promise<"interrupted"> {
    return new Promise((resolve) => {
      if (this.signal.aborted) resolve("interrupted");
      else this.signal.addEventListener("abort", () => resolve("interrupted"), { once: true });
    });
  }

  close(): void {
    process.off("SIGINT", this.#abort).off("SIGTERM", this.#abort);
  }
}

export const lockCommand: Command = {
  name: "lock",
  usage: "<lockname> [exec-command arg1 arg2 ...]",
  summary: "Takes a lock, and holds it while a command runs or until it is interrupted",
  details:
    "The command gets ETCD_LOCK_KEY and ETCD_LOCK_REV; its exit code becomes this one's. Put -- before it if it has flags.",
  flags: [intFlag("ttl", "seconds that the lock outlives this program, if it dies", "10")],
  async run(context) {
    const [name, ...command] = context.args;
    if (name === undefined)
      badArguments("lock takes a lock name argument and an optional command to execute");
    const client = await context.client();
    const interruption = new Interruption();
    try {
      const ttlSeconds = context.flags.number("ttl");
      const session = await Session.create(client, {
        ttlSeconds: ttlSeconds > 0 ? ttlSeconds : 60,
        timeoutMs: Infinity,
      });
      const mutex = new Mutex(session, name);
      const { revision } = await mutex.lock({ signal: interruption.signal });
      if (command.length > 0) {
        const result = await execute(context, command, {
          ETCD_LOCK_KEY: mutex.key,
          ETCD_LOCK_REV: String(revision),
        });
        await mutex.unlock();
        if (result.exitCode !== 0) throw new CommandError(result.exitCode, result.problem);
        return EXIT.success;
      }
      await showKey(context, client, mutex.key, "lock lost on init");
      const reason = await Promise.race([interruption.happened, session.ended]);
      if (reason !== "interrupted") throw new CommandError(EXIT.error, "session expired");
      await mutex.unlock();
      return EXIT.success;
    } catch (error) {
      rethrow(error, EXIT.error);
    } finally {
      interruption.close();
    }
  },
};

async function showKey(context: Context, client: Client, key: string, otherwise: string): Promise<void> {
  const answer = await client.call(METHOD.range, getOperation(key).request_range ?? {});
  if (answer.kvs.length === 0) throw new CommandError(EXIT.error, otherwise);
  context.printer.print("get", answer);
}

export const electCommand: Command = {
  name: "elect",
  usage: "<election-name> [proposal]",
  summary: "Stands for election with a proposal, or (-l) shows who is elected",
  flags: [boolFlag("listen", "only show who is elected", "l")],
  async run(context) {
    const [name, proposal, ...others] = context.args;
    if (name === undefined || others.length > 0) {
      badArguments("elect takes one election name argument and an optional proposal argument");
    }
    const isListening = context.flags.bool("listen");
    if (proposal === undefined && !isListening) badArguments("no proposal argument but -l not set");
    if (proposal !== undefined && isListening) badArguments("proposal given but -l is set");
    const client = await context.client();
    const interruption = new Interruption();
    try {
      const session = await Session.create(client, { timeoutMs: Infinity });
      const election = new Election(session, name);
      if (proposal === undefined) return await observe(context, election, interruption);
      return await campaign({ context, client, session, election, proposal, interruption });
    } catch (error) {
      if (interruption.signal.aborted && error instanceof EtcdError) return EXIT.success;
      rethrow(error, EXIT.error);
    } finally {
      interruption.close();
    }
  },
};

async function observe(context: Context, election: Election, interruption: Interruption): Promise<number> {
  for await (const answer of election.observe({ signal: interruption.signal })) {
    context.printer.print("get", rawAnswer(answer));
  }
  if (!interruption.signal.aborted) throw new CommandError(EXIT.error, "elect: observer lost");
  return EXIT.success;
}

/** In the protocol's words, which printers understand. */
function rawAnswer({ header, kvs }: GetResponse): Answers["get"] {
  return {
    header: {
      cluster_id: header.clusterId,
      member_id: header.memberId,
      revision: header.revision,
      raft_term: header.raftTerm,
    },
    kvs: kvs.map((kv) => ({
      key: kv.key,
      create_revision: kv.createRevision,
      mod_revision: kv.modRevision,
      version: kv.version,
      value: kv.value,
      lease: kv.lease,
    })),
    more: false,
    count: 0,
  };
}

interface Campaign {
  readonly context: Context;
  readonly client: Client;
  readonly session: Session;
  readonly election: Election;
  readonly proposal: string;
  readonly interruption: Interruption;
}

async function campaign(it: Campaign): Promise<number> {
  await it.election.campaign(it.proposal, { signal: it.interruption.signal });
  await showKey(it.context, it.client, it.election.key, "elect: session expired");
  const reason = await Promise.race([it.interruption.happened, it.session.ended]);
  if (reason !== "interrupted") throw new CommandError(EXIT.error, "elect: session expired");
  await it.election.resign();
  return EXIT.success;
}
