// Reads of many keys: a prefix of `span` keys, pages that walk the whole key space, or all keys at once.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { METHOD } from "../../core/wire/service.ts";
import { Cursor, RangeAnswer, writeRange } from "./etcd-requests.ts";
import type { Rpc, UnarySink } from "./rpc.ts";
import type { Material, Workload } from "./workload.ts";

export interface RangeWorkloadOptions {
  readonly mode: "prefix" | "paged" | "list";
  /** Keys of one prefix read, or of one page. */
  readonly span: number;
  readonly serializable: boolean;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
}

export class RangeWorkload implements Workload, UnarySink {
  readonly kinds = ["range"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #options: RangeWorkloadOptions;
  readonly #message = new ByteWriter(4096);
  readonly #key = new Cursor();
  readonly #end = new Cursor();
  readonly #endBytes: Uint8Array;
  readonly #prefixEnd: Uint8Array;
  /** By slot: the answer that is on its way. */
  readonly #answers: RangeAnswer[] = [];
  #page = 0;
  #keysRead = 0;
  #bytesRead = 0;

  constructor(rpc: Rpc, material: Material, options: RangeWorkloadOptions) {
    this.#rpc = rpc;
    this.#material = material;
    this.#options = options;
    this.#endBytes = new Uint8Array(material.keys.bytes.length + 1);
    this.#prefixEnd = prefixEnd(material.keys.prefix);
    rpc.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}

  beginMeasuring(): void {
    this.#keysRead = 0;
    this.#bytesRead = 0;
  }

  extras(): Record<string, number> {
    return { keysRead: this.#keysRead, bytesRead: this.#bytesRead };
  }

  start(slot: number): number {
    const { keys } = this.#material;
    const options = this.#options;
    this.#message.reset();
    (this.#answers[slot] ??= new RangeAnswer()).reset();
    if (options.mode === "list") {
      const start = keys.prefix.length === 0 ? ZERO : keys.prefix;
      this.#key.set(start, 0, start.length);
      this.#end.set(this.#prefixEnd, 0, this.#prefixEnd.length);
    } else this.#aim();
    const limit = options.mode === "paged" ? options.span : 0;
    writeRange(this.#message, this.#key, this.#end, { ...options, limit });
    this.#rpc.unary(slot, METHOD.range, this.#message);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onPart(slot: number, bytes: Uint8Array, start: number, end: number): void {
    this.#answers[slot]!.take(bytes, start, end);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const answer = this.#answers[slot]!;
    answer.finish(bytes, start, end);
    this.#keysRead += this.#options.countOnly ? 0 : answer.keys;
    this.#bytesRead += end - start;
    this.#material.done(slot, answer.count === 0 ? "no keys in the range" : undefined);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }

  /** Points key and end at the next prefix or page. */
  #aim(): void {
    const { keys, chooser } = this.#material;
    const span = this.#options.span;
    const pages = Math.max(1, Math.ceil(keys.count / span));
    const page = this.#options.mode === "paged" ? this.#page++ % pages : chooser.next() % pages;
    const first = page * span;
    // Up to the key after the last one that is meant, which is that key and a zero: others may lie behind it.
    keys.write(this.#options.mode === "paged" ? keys.count - 1 : Math.min(keys.count, first + span) - 1);
    this.#endBytes.set(keys.bytes);
    this.#endBytes[keys.size] = 0;
    this.#end.set(this.#endBytes, 0, keys.size + 1);
    keys.write(first);
    this.#key.set(keys.bytes, 0, keys.size);
  }
}

const ZERO: Uint8Array = new Uint8Array(1);

/** The first key after all with this prefix; a zero byte means "to the end". */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! === 0xff) continue;
    const end = prefix.slice(0, i + 1);
    end[i]!++;
    return end;
  }
  return ZERO;
}
