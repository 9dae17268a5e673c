// The network between members and clients: which way is open, how long a thing takes, and pipes, which carry things in
// order as TCP does. Places are numbered: members first, then clients.
//
// A way can be closed in one direction only. What a pipe carries then waits, as TCP repeats it, and arrives late, in one
// burst, when the way opens; or the pipe's owner gives up and closes it.

import type { Prng } from "../../core/base/prng.ts";
import type { Scheduler } from "./scheduler.ts";

export interface NetworkWeather {
  /** Of one way, without trouble: between this and twice this. */
  readonly delayUs: number;
  /** Share of things that take much longer, up to `tailUsMax`. */
  readonly tailShare: number;
  readonly tailUsMax: number;
  /** For messages that may be treated so (Raft's): shares lost, sent twice, and overtaken by later ones. */
  readonly lossShare: number;
  readonly duplicateShare: number;
  readonly reorderShare: number;
  /** How long after the first one a duplicate may come. */
  readonly duplicateUsMax: number;
}

export const CALM: NetworkWeather = {
  delayUs: 150,
  tailShare: 0,
  tailUsMax: 0,
  lossShare: 0,
  duplicateShare: 0,
  reorderShare: 0,
  duplicateUsMax: 0,
};

export class Network {
  weather: NetworkWeather = CALM;
  readonly scheduler: Scheduler;
  readonly #prng: Prng;
  readonly #placeCount: number;
  /** Ways that are closed, by from * places + to: how many faults close each. */
  readonly #closed: Uint8Array;
  /** Things that wait longer on this way, microseconds. */
  readonly #slowUs: Float64Array;
  readonly #waiting = new Set<{ wayOpened(): void }>();

  constructor(scheduler: Scheduler, prng: Prng, placeCount: number) {
    this.scheduler = scheduler;
    this.#prng = prng;
    this.#placeCount = placeCount;
    this.#closed = new Uint8Array(placeCount * placeCount);
    this.#slowUs = new Float64Array(placeCount * placeCount);
  }

  isOpen(from: number, to: number): boolean {
    return this.#closed[from * this.#placeCount + to] === 0;
  }

  close(from: number, to: number): void {
    this.#closed[from * this.#placeCount + to]!++;
  }

  open(from: number, to: number): void {
    const way = from * this.#placeCount + to;
    if (this.#closed[way]! > 0) this.#closed[way]!--;
    if (this.#closed[way] === 0) this.#wake();
  }

  slow(from: number, to: number, delayUs: number): void {
    this.#slowUs[from * this.#placeCount + to] = delayUs;
  }

  /** Everything works again. */
  heal(): void {
    this.#closed.fill(0);
    this.#slowUs.fill(0);
    this.weather = CALM;
    this.#wake();
  }

  delayUs(from: number, to: number): number {
    const { delayUs, tailShare, tailUsMax } = this.weather;
    let delay = delayUs + this.#prng.below(delayUs) + this.#slowUs[from * this.#placeCount + to]!;
    if (tailShare > 0 && this.#prng.chance(tailShare)) {
      // Each further doubling half as likely: a heavy tail without a logarithm, whose last bit differs between machines.
      let scale = delayUs * 2;
      while (scale < tailUsMax && this.#prng.chance(0.7)) scale *= 2;
      delay += this.#prng.below(Math.min(scale, tailUsMax));
    }
    return delay;
  }

  chance(share: number): boolean {
    return share > 0 && this.#prng.chance(share);
  }

  below(bound: number): number {
    return this.#prng.below(bound);
  }

  /** Calls `wayOpened` when some way opens; once. */
  whenOpened(waiter: { wayOpened(): void }): void {
    this.#waiting.add(waiter);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiting) waiter.wayOpened();
  }
}

export interface PipeEnds {
  readonly from: number;
  readonly to: number;
  /** Of the events in the trace. */
  readonly kind: string;
}

interface Held<T> {
  readonly item: T;
  readonly digest: number;
}

/** One direction of a connection. Nothing arrives after `close`. */
export class Pipe<T> {
  readonly #network: Network;
  readonly #ends: PipeEnds;
  readonly #deliver: (item: T) => void;
  #held: Held<T>[] = [];
  #lastArrivalUs = 0;
  #closed = false;

  constructor(network: Network, ends: PipeEnds, deliver: (item: T) => void) {
    this.#network = network;
    this.#ends = ends;
    this.#deliver = deliver;
  }

  get isOpen(): boolean {
    return this.#network.isOpen(this.#ends.from, this.#ends.to);
  }

  /** `laterUs`: leaves the sender so much later than now. */
  send(item: T, digest: number, laterUs = 0): void {
    if (this.#closed) return;
    if (this.#held.length > 0 || !this.isOpen) {
      if (this.#held.length === 0) this.#network.whenOpened(this);
      this.#held.push({ item, digest });
      return;
    }
    this.#schedule(item, digest, true, laterUs);
  }

  /** Not in order with the rest, after `extraUs` more. */
  sendLoose(item: T, digest: number, extraUs: number): void {
    if (!this.#closed && this.isOpen) this.#schedule(item, digest, false, extraUs);
  }

  close(): void {
    this.#closed = true;
    this.#held = [];
  }

  /** The sender is gone: what is on its way still arrives. */
  abandon(): void {
    this.#held = [];
  }

  wayOpened(): void {
    if (this.#closed) return;
    if (!this.isOpen) return this.#network.whenOpened(this);
    const held = this.#held;
    this.#held = [];
    for (const { item, digest } of held) this.#schedule(item, digest, true);
  }

  #schedule(item: T, digest: number, inOrder: boolean, extraUs = 0): void {
    const { from, to, kind } = this.#ends;
    const { scheduler } = this.#network;
    let arrivalUs = scheduler.nowUs + this.#network.delayUs(from, to) + extraUs;
    if (inOrder) this.#lastArrivalUs = arrivalUs = Math.max(arrivalUs, this.#lastArrivalUs);
    const deliver = (): void => {
      if (!this.#closed) this.#deliver(item);
    };
    scheduler.at(arrivalUs, { node: to, kind }, deliver, digest);
  }
}
