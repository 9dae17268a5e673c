// The rows about watchers that do nothing: idle ones (P14), and ones that have stopped reading (P15).

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { WatchRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { etcdLike, loadOn, type RowContext, type Running, sleep, withOne } from "./contenders.ts";
import { readWatchResponse } from "./etcd-requests.ts";
import type { Cluster } from "./launch.ts";
import { lower, type ProcessRow, residentBytes } from "./process-row.ts";
import { openRpc } from "./rpc-client.ts";
import type { Rpc, RpcStream } from "./rpc.ts";
import { SlowWatchers } from "./slow-watchers.ts";

const IDLE_WATCHERS = 20_000;

const IDLE: ProcessRow = {
  id: "P14",
  what: `memory of an idle watcher, of ${IDLE_WATCHERS} on keys of their own`,
  figures: [
    lower("bytes a watcher", "B", { gate: { ratio: 1 }, target: { ratio: 0.35 }, stretch: { value: 150 } }),
  ],
  run: async (context, values) => {
    for (const who of etcdLike(context.options)) {
      context.say(`opening ${IDLE_WATCHERS} watchers: ${who.name}`);
      await withOne(context, who, async (cluster) => {
        // The first thousand pay for streams and pools.
        const watchers = await IdleWatchers.open(cluster);
        await watchers.add(1000);
        await sleep(1000);
        const before = residentBytes(cluster);
        await watchers.add(IDLE_WATCHERS);
        await sleep(2000);
        values.add("bytes a watcher", who.name, (residentBytes(cluster) - before) / IDLE_WATCHERS);
        await watchers.close();
      });
    }
  },
};

/** Watchers on keys that nobody writes, on ten streams. */
class IdleWatchers {
  readonly #rpc: Rpc;
  readonly #streams: RpcStream[] = [];
  #asked = 0;
  #created = 0;
  #failure: string | undefined;

  private constructor(rpc: Rpc) {
    this.#rpc = rpc;
    for (let i = 0; i < 10; i++) {
      this.#streams.push(
        rpc.stream(i, METHOD.watch, {
          onMessage: (bytes, start, end) => {
            if (readWatchResponse(bytes, start, end, () => {}).created) this.#created++;
          },
          onEnd: (text) => (this.#failure = text),
        }),
      );
    }
  }

  static async open(cluster: Cluster): Promise<IdleWatchers> {
    const endpoints = [cluster.endpoints[0]!];
    return new IdleWatchers(
      await openRpc({ endpoints, connectionCount: 10, slotCount: 1, tls: cluster.tls, user: undefined }),
    );
  }

  async add(count: number): Promise<void> {
    const message = new ByteWriter();
    for (let i = 0; i < count; i++) {
      message.reset();
      const key = encodeUtf8(`idle/${String(this.#asked).padStart(10, "0")}`);
      encode(WatchRequest, { create_request: { key } }, message);
      this.#streams[this.#asked++ % this.#streams.length]!.send(message);
    }
    for (let waitedMs = 0; this.#created < this.#asked; waitedMs += 20) {
      if (this.#failure !== undefined) throw new Error(`a watch ended: ${this.#failure}`);
      if (waitedMs > 30_000) throw new Error(`${this.#created} of ${this.#asked} watchers after 30 s`);
      await sleep(20);
    }
  }

  async close(): Promise<void> {
    this.#failure = "closed";
    await this.#rpc.close();
  }
}

const SLOW_STREAMS = 10_000;
const SLOW_PREFIX = "slow/";
const PUTS_PER_SECOND = 500;
/** Time in which puts fill the windows of all streams, until each of them stands. */
const FILL_SECONDS = 3;

const SLOW: ProcessRow = {
  id: "P15",
  what: `put p99 with ${SLOW_STREAMS.toLocaleString("en")} watch streams that have stopped reading, against its quiet value`,
  figures: [
    lower("put p99 / quiet", "x", { gate: { value: 2 }, target: { value: 1.2 }, stretch: { value: 1 } }),
    lower("put p99", "us", {}),
  ],
  run: async (context, values) => {
    const seconds = context.options.sliceSeconds;
    for (const who of etcdLike(context.options)) {
      await withOne(context, who, async (cluster, target) => {
        await puts(context, target, 2);
        context.say(`${PUTS_PER_SECOND} put/s, quiet: ${who.name}`);
        const quiet = await puts(context, target, seconds);
        context.say(`opening ${SLOW_STREAMS} watch streams: ${who.name}`);
        const watchers = await SlowWatchers.open(cluster.endpoints[0]!, SLOW_STREAMS, SLOW_PREFIX);
        try {
          context.say(`puts until all of them stand still: ${who.name}`);
          await puts(context, target, FILL_SECONDS);
          watchers.stopReading();
          context.say(`${PUTS_PER_SECOND} put/s with slow watchers: ${who.name}`);
          const slow = await puts(context, target, seconds);
          values.add("put p99 / quiet", who.name, slow.p99Us / quiet.p99Us);
          values.add("put p99", who.name, slow.p99Us);
          if (slow.errors > 0) context.notes.push(`${who.name}: ${slow.errors} puts failed`);
          if (watchers.lost > 0)
            context.notes.push(`${who.name}: ended the connections of ${watchers.lost} of the streams`);
        } finally {
          watchers.close();
        }
      });
    }
  },
};

async function puts(
  context: RowContext,
  target: Running,
  seconds: number,
): Promise<{ p99Us: number; errors: number }> {
  const flags = ["--prefix", SLOW_PREFIX, "--rate", String(PUTS_PER_SECOND), "--duration", `${seconds}s`];
  return loadOn(context, target, "put", [...flags, "--keys", "10000", "--warmup", "300ms"]);
}

export const WATCHER_ROWS: readonly ProcessRow[] = [IDLE, SLOW];
