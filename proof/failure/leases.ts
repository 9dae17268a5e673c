// Leases are held to both sides of their promise. While a lease is renewed, and until its TTL after the last renewal that
// was acknowledged, its key is there. When it is renewed no more, the key is gone after the TTL and a slack, counted from
// when the cluster last had no leader, or another one: a new leader may grant the whole TTL again.

import { Prng } from "../../core/base/prng.ts";
import { Client, EtcdError } from "../../product/client/index.ts";

const PREFIX = "failure-lease/";
const TTL_SECONDS = 3;
/** Above what servers promise (theirs look twice a second), as the machine is busy with everything else, too. */
const SLACK_MS = 3_000;
const RENEW_MS = 400;
const LOOK_MS = 150;
/** A read that takes longer says that there was no leader for a time. */
const PROMPT_MS = 500;
const CALL_TIMEOUT_MS = 3_000;
const RENEWALS_MAX = 20;

interface Lease {
  readonly id: bigint;
  readonly key: string;
  readonly ttlMs: number;
  /** When the last acknowledged grant or renewal was sent, and when its answer came. */
  sentMs: number;
  renewedMs: number;
}

export class LeaseHolder {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #prng: Prng;
  readonly problems: string[] = [];
  /** Checks that found the key where it had to be, and leases that ended neither too early nor too late. */
  keptCount = 0;
  endedCount = 0;
  /** The longest time from the end of the TTL to the end of the key, with a leader all the while. */
  latestMs = 0;
  #stopped = false;
  #stoppedMs = 0;
  #loop: Promise<void> | undefined;

  constructor(endpoints: readonly string[], number: number) {
    this.#client = Client.connect({ endpoints });
    this.#prefix = `${PREFIX}${number}/`;
    this.#prng = new Prng(number);
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      this.problems.push(`the holder of ${this.#prefix} failed: ${String((error as Error).stack ?? error)}`);
    });
  }

  /** Resolves when the lease held last has ended, too. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stoppedMs = performance.now();
    await this.#loop;
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const lease = await this.#grant();
        if (await this.#hold(lease)) await this.#awaitEnd(lease);
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        await pause(100);
      }
    }
  }

  async #grant(): Promise<Lease> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const sentMs = performance.now();
    const { id, ttlSeconds } = await this.#client.lease.grant(TTL_SECONDS, options);
    const renewedMs = performance.now();
    // A key of its own for every lease: the put of one before, of unknown outcome, may still come.
    const key = this.#prefix + id.toString(16);
    await this.#client.kv.put(key, "held", { ...options, lease: id });
    return { id, key, ttlMs: ttlSeconds * 1000, sentMs, renewedMs };
  }

  /** Renews for a while; false when the lease has ended, which it may when no renewal came through. */
  async #hold(lease: Lease): Promise<boolean> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    for (let left = this.#prng.between(1, RENEWALS_MAX); left > 0 && !this.#stopped; left--) {
      await pause(RENEW_MS);
      const sentMs = performance.now();
      const renewal = await this.#client.lease.keepAliveOnce(lease.id, options);
      if (renewal.ttlSeconds <= 0) return false;
      lease.sentMs = sentMs;
      lease.renewedMs = performance.now();
      const { count } = await this.#client.kv.get(lease.key, options);
      if (count > 0) this.keptCount++;
      else if (this.#isTooEarly(lease)) return false;
    }
    return true;
  }

  #isTooEarly(lease: Lease): boolean {
    const sinceMs = performance.now() - lease.sentMs;
    if (sinceMs >= lease.ttlMs) return false;
    this.problems.push(
      `LEASE TOO SHORT: ${nameOf(lease)}: its key was gone ${Math.round(sinceMs)} ms after a renewal for ${lease.ttlMs} ms`,
    );
    return true;
  }

  async #awaitEnd(lease: Lease): Promise<void> {
    // Since when one leader is there: all that time the TTL must run.
    let calmMs = lease.renewedMs;
    let term = 0;
    while (!this.#isGivenUp(lease)) {
      await pause(LOOK_MS);
      const calledMs = performance.now();
      const look = await this.#look(lease.key);
      const nowMs = performance.now();
      if (look === undefined) {
        calmMs = nowMs;
        continue;
      }
      if (look.count === 0) {
        if (this.#isTooEarly(lease)) return;
        this.endedCount++;
        this.latestMs = Math.max(this.latestMs, nowMs - calmMs - lease.ttlMs);
        return;
      }
      // The first look: the leader may have changed since the renewal.
      if (look.term !== term || nowMs - calledMs > PROMPT_MS) calmMs = nowMs;
      term = look.term;
      if (calledMs > calmMs + lease.ttlMs + SLACK_MS) {
        this.problems.push(
          `LEASE TOO LONG: ${nameOf(lease)}: its key is there ${Math.round(nowMs - lease.renewedMs)} ms after the last renewal, ` +
            `${Math.round(nowMs - calmMs)} ms of them with the leader of term ${term}`,
        );
        return;
      }
    }
  }

  /** At the end of a test whose cluster does not serve, nobody waits for an end. */
  #isGivenUp(lease: Lease): boolean {
    return this.#stopped && performance.now() > this.#stoppedMs + 2 * (lease.ttlMs + SLACK_MS);
  }

  async #look(key: string): Promise<{ readonly count: number; readonly term: number } | undefined> {
    try {
      const { count, header } = await this.#client.kv.get(key, { timeoutMs: CALL_TIMEOUT_MS });
      return { count, term: header.raftTerm };
    } catch (error) {
      if (error instanceof EtcdError) return undefined;
      throw error;
    }
  }
}

/** When nobody renews any more and the cluster is well, every key of a lease goes, also those whose grant was unanswered. */
export async function checkNoneLeft(client: Client): Promise<string[]> {
  const endMs = performance.now() + TTL_SECONDS * 1000 + 2 * SLACK_MS;
  for (;;) {
    const options = { prefix: true, timeoutMs: CALL_TIMEOUT_MS };
    const { kvs } = await client.kv.get(PREFIX, options);
    if (kvs.length === 0) return [];
    if (performance.now() > endMs) {
      return kvs.map((kv) => `LEASE TOO LONG: ${new TextDecoder().decode(kv.key)} is still there at the end`);
    }
    await pause(LOOK_MS);
  }
}

function nameOf(lease: Lease): string {
  return `lease ${lease.id.toString(16)}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
