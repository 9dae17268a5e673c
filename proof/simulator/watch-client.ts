// A client that only watches: some watchers on one stream, taken up again elsewhere after every break, from where the
// oracle says that they stand.

import type { Prng } from "../../core/base/prng.ts";
import { WatchResponse as WatchResponseSchema } from "../../core/wire/messages.ts";
import { decode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { ClientCall } from "../../core/grpc/client-call.ts";
import { bytesOf } from "./canonical.ts";
import type { ClientLink } from "./client-link.ts";
import { encodeTagged, keyName } from "./requests.ts";
import { promise } from "./violation.ts";
import { WatchOracle, type WatchedRange, type WatchResponse } from "./watch-oracle.ts";
import type { World } from "./world.ts";

const EVENT = { node: -1, kind: "watcher" } as const;

export class WatchClient {
  readonly oracles: WatchOracle[] = [];
  readonly number: number;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #ranges: WatchedRange[] = [];
  readonly #fragment: boolean;
  /** Which watcher an id of this stream names: the first is that of id 1. */
  readonly #named: number[] = [];
  /** Watchers that the stream has at the member, as far as it said. */
  readonly #created = new Set<number>();
  #node: number;
  #link: ClientLink | undefined;
  #call: ClientCall | undefined;

  constructor(world: World, number: number) {
    this.#world = world;
    this.number = number;
    this.#prng = world.prng.split(`watcher ${number}`);
    this.#node = this.#prng.below(world.nodes.length);
    this.#fragment = this.#prng.chance(0.3);
    const count = this.#prng.between(1, 3);
    for (let i = 0; i < count; i++) this.#addRange(i);
    this.#openLater(this.#prng.below(2_000_000));
    this.#trouble();
  }

  get place(): number {
    return this.#world.clientPlace + this.number;
  }

  get memberPlace(): number {
    return this.#node;
  }

  #addRange(i: number): void {
    const chance = this.#prng;
    const { keyCount } = this.#world.plan.keyspace;
    const first = chance.below(keyCount);
    const kind = chance.below(4);
    const range: WatchedRange = {
      name: `watcher ${this.number}.${i}`,
      key: kind === 0 ? "\0" : keyName(first),
      rangeEnd:
        kind === 0
          ? "\0"
          : kind === 1
            ? ""
            : keyName(Math.min(keyCount, first + 1 + chance.below(keyCount >> 1))),
      noPut: chance.chance(0.1),
      noDelete: chance.chance(0.1),
      prevKv: chance.chance(0.4),
    };
    this.#ranges.push(range);
    // Some from the beginning of time, which may be compacted by then.
    this.oracles.push(new WatchOracle(this.#world.truth, range, chance.chance(0.3) ? 1 : 0));
  }

  #openLater(delayUs: number): void {
    this.#world.scheduler.after(delayUs, EVENT, () => this.#open());
  }

  #open(): void {
    if (this.#call !== undefined) return;
    const node = this.#world.nodes[this.#node]!;
    if (!node.isServing || !this.#world.isReachable(this.place, node.place)) {
      this.#node = this.#prng.below(this.#world.nodes.length);
      return this.#openLater(50_000);
    }
    const link = this.#world.connect(this.place, node, this.#prng.split("link"), () => undefined);
    this.#link = link;
    this.#call = link.call(
      METHOD.watch,
      {
        onMessage: (_call, bytes, start, end) =>
          this.#onResponse(decode(WatchResponseSchema, bytes, start, end)),
        onEnd: () => this.#onEnd(),
      },
      Number.POSITIVE_INFINITY,
    );
    for (let id = 0; id < this.#ranges.length; id++) this.#create(id);
  }

  #create(id: number): void {
    const { key, rangeEnd, noPut, noDelete, prevKv } = this.#ranges[id]!;
    const oracle = this.oracles[id]!;
    oracle.resumed();
    this.#send({
      create_request: {
        key: bytesOf(key),
        range_end: bytesOf(rangeEnd),
        start_revision: oracle.next,
        progress_notify: id % 2 === 0,
        filters: [...(noPut ? [0] : []), ...(noDelete ? [1] : [])],
        prev_kv: prevKv,
        watch_id: this.#nameOf(id),
        fragment: this.#fragment,
      },
    });
  }

  /** A new id on this stream: that of a watcher which a compaction ended stays taken. 0 lets the server choose, so ours start at 1. */
  #nameOf(id: number): bigint {
    this.#named.push(id);
    return BigInt(this.#named.length);
  }

  #send(request: unknown): void {
    const bytes = encodeTagged(METHOD.watch, request, 0);
    this.#call!.send(bytes, 0, bytes.length);
  }

  #onResponse(response: WatchResponse): void {
    this.#world.watchMessageCount++;
    if (response.watch_id === -1n && !response.created && !response.canceled) {
      // An answer to a request for progress is for every watcher of the stream.
      for (const id of this.#created) this.oracles[id]!.onResponse(response);
      return;
    }
    const id = this.#named[Number(response.watch_id) - 1];
    promise(
      id !== undefined,
      "watch-protocol",
      () => `watcher ${this.number}: an answer for watch id ${response.watch_id}, which it did not ask for`,
    );
    if (response.canceled) return this.#onCanceled(id, response);
    if (response.created) this.#created.add(id);
    this.oracles[id]!.onResponse(response);
  }

  #onCanceled(id: number, response: WatchResponse): void {
    const oracle = this.oracles[id]!;
    const { compact_revision, cancel_reason } = response;
    promise(
      compact_revision > 0 && compact_revision > oracle.next,
      "watch-canceled",
      () =>
        `watcher ${this.number}.${id} at ${oracle.next} was canceled: compacted ${compact_revision}, reason "${cancel_reason}"`,
    );
    const { compactedRevision } = this.#world.truth.model;
    promise(
      compact_revision <= compactedRevision,
      "watch-canceled",
      () =>
        `watcher ${this.number}.${id} was told that ${compact_revision} is compacted, but only ${compactedRevision} is`,
    );
    oracle.next = compact_revision;
    this.#created.delete(id);
    this.#create(id);
  }

  #onEnd(): void {
    this.#call = undefined;
    this.#created.clear();
    this.#named.length = 0;
    this.#link?.close();
    this.#link = undefined;
    this.#node = this.#prng.below(this.#world.nodes.length);
    this.#openLater(10_000 + this.#prng.below(100_000));
  }

  /** From time to time: asks for progress, or breaks off and goes elsewhere. */
  #trouble(): void {
    this.#world.scheduler.after(100_000 + this.#prng.below(900_000), EVENT, () => {
      if (this.#world.isQuiet) return;
      if (this.#call !== undefined) {
        const stopsReading = this.#prng.chance(0.2);
        if (stopsReading) this.#link!.stall(this.#prng.below(3_000_000));
        else if (this.#prng.chance(0.2)) this.#call.cancel();
        else this.#send({ progress_request: {} });
      }
      this.#trouble();
    });
  }
}
