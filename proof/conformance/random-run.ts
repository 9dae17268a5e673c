// Random requests, sent to both sides one after the other.

import { encodeUtf8 } from "../../core/base/utf8.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Pair } from "./pair.ts";
import { leaseId, RequestMaker, type StoreState } from "./requests.ts";

const LEASE_COUNT = 4;
/** Long enough not to end during the run. */
const LEASE_TTL_SECONDS = 86_400;
/** Twice what etcd waits between two looks at watchers that lag. */
const ETCD_SYNC_MS = 200;

export interface RandomRunOptions {
  readonly requestCount: number;
  readonly seed: number;
  readonly prefix: string;
  readonly onProgress: (done: number) => void;
  readonly isStopped: () => boolean;
}

export async function randomRun(pair: Pair, options: RandomRunOptions): Promise<number> {
  const maker = new RequestMaker(options.seed, `${options.prefix}random/`);
  const { prng } = maker;
  let done = 0;
  while (done < options.requestCount && !options.isStopped()) {
    const where = `seed ${options.seed} request ${done}`;
    const state: StoreState = { revision: pair.revision, compactedRevision: pair.compactedRevision };
    const pick = prng.below(1000);
    if (pick < 300) await pair.send(where, METHOD.put, maker.put());
    else if (pick < 600) await pair.send(where, METHOD.range, maker.range(state));
    else if (pick < 720) await pair.send(where, METHOD.deleteRange, maker.deletion());
    else if (pick < 920) await pair.send(where, METHOD.txn, maker.txn(state));
    else if (pick < 980) await leaseRequest(pair, where, maker);
    else if (pick < 992) await compactRequest(pair, where, maker, state);
    else if (pick < 996) await pair.send(where, METHOD.hashKV, { revision: maker.revision(state) });
    else done += await watchRequests(pair, where, maker, state);
    done++;
    options.onProgress(done);
  }
  return done;
}

async function leaseRequest(pair: Pair, where: string, maker: RequestMaker): Promise<void> {
  const { prng } = maker;
  const id = prng.chance(0.05) ? 99n : leaseId(prng.below(LEASE_COUNT));
  const pick = prng.below(12);
  if (pick >= 10) await pair.send(where, METHOD.leaseTimeToLive, { ID: id, keys: prng.chance(0.7) });
  else if (pick < 5) {
    const ttl = prng.chance(0.03) ? 9_000_000_001 : LEASE_TTL_SECONDS;
    await pair.send(where, METHOD.leaseGrant, { ID: id, TTL: ttl });
  } else if (pick < 7) await pair.send(where, METHOD.leaseRevoke, { ID: id });
  else if (pick < 9) await pair.send(where, METHOD.leaseKeepAlive, { ID: id });
  else await pair.send(where, METHOD.leaseLeases, {});
}

// (pair, where, maker, state): as the others, with what is known of the store.
async function compactRequest(
  pair: Pair,
  where: string,
  maker: RequestMaker,
  state: StoreState,
): Promise<void> {
  const { prng } = maker;
  const revision = prng.chance(0.3) ? maker.revision(state) : state.revision - prng.below(15);
  const outcome = await pair.send(where, METHOD.compact, { revision, physical: prng.chance(0.5) });
  if (outcome.kind === "answer") pair.compactedRevision = Math.max(pair.compactedRevision, revision);
}

/** Some watchers, some writes, some cancellations; returns the number of requests sent beyond the first. */
async function watchRequests(
  pair: Pair,
  where: string,
  maker: RequestMaker,
  state: StoreState,
): Promise<number> {
  const { prng } = maker;
  const shown: string[] = [];
  const count = prng.between(1, 5);
  for (let i = 0; i < count; i++) {
    const create = maker.watchCreate(state);
    shown.push(
      JSON.stringify(create, (_key, value: unknown) =>
        typeof value === "bigint"
          ? `${value}`
          : value instanceof Uint8Array
            ? Buffer.from(value).toString()
            : value,
      ),
    );
    pair.watch({ create_request: create });
  }
  await created(pair, count);
  for (let i = 0; i < 5; i++) await pair.send(where, METHOD.put, maker.put());
  await pair.send(where, METHOD.deleteRange, maker.deletion());
  if (prng.chance(0.3)) {
    // Those that start below the last compaction are told by etcd when its loop comes round, which names the newest one.
    await new Promise((resolve) => setTimeout(resolve, ETCD_SYNC_MS));
    await compactRequest(pair, where, maker, { ...state, revision: pair.revision });
  }
  await pair.compareWatches(where, shown.join("\n"));
  return count + 6;
}

/** A watch that starts "now" must be there before the writes on both sides. */
async function created(pair: Pair, count: number): Promise<void> {
  for (let waited = 0; waited < 200; waited++) {
    const have = [pair.ours, pair.theirs].map(
      (side) => side.watched.filter((answer) => answer.created).length,
    );
    if (Math.min(...have) >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function scratchKey(prefix: string): Uint8Array {
  return encodeUtf8(`${prefix}zz-align`);
}
