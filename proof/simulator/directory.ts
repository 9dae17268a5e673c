// A simulated directory: names in memory, names on the device, and the changes between them. A rename is one change, as
// on a journalling file system, but changes need not survive in order: only `sync` promises anything.

import type { Inode, PowerLoss } from "./inode.ts";

export type Entry = { readonly kind: "file"; readonly inode: Inode } | { readonly kind: "directory" };

type Change = (names: Map<string, Entry>) => void;

export class Directory {
  #stable: Map<string, Entry>;
  readonly #cached: Map<string, Entry>;
  #changes: Change[] = [];

  constructor(entries: ReadonlyMap<string, Entry> = new Map()) {
    this.#stable = new Map(entries);
    this.#cached = new Map(entries);
  }

  names(): string[] {
    return [...this.#cached.keys()].sort();
  }

  get(name: string): Entry | undefined {
    return this.#cached.get(name);
  }

  *inodes(): Iterable<Inode> {
    for (const entry of this.#cached.values()) if (entry.kind === "file") yield entry.inode;
  }

  put(name: string, entry: Entry): void {
    this.#change((names) => names.set(name, entry));
  }

  remove(name: string): void {
    const removed = this.#cached.get(name);
    this.#change((names) => {
      // Without the changes before it the name may stand for something else.
      if (names.get(name) === removed) names.delete(name);
    });
  }

  rename(from: string, to: string): void {
    const entry = this.#cached.get(from)!;
    this.#change((names) => {
      if (names.get(from) === entry) names.delete(from);
      names.set(to, entry);
    });
  }

  sync(): void {
    this.#changes = [];
    this.#stable = new Map(this.#cached);
  }

  afterPowerLoss(loss: PowerLoss): Map<string, Entry> {
    if (loss.survivors === "all") return new Map(this.#cached);
    const names = new Map(this.#stable);
    if (loss.survivors === "none") return names;
    for (const change of this.#changes) if (loss.prng.chance(0.5)) change(names);
    return names;
  }

  #change(change: Change): void {
    change(this.#cached);
    this.#changes.push(change);
  }
}
