// Queues of operations in libuv's thread pool, which is the log's: its writes, and the changes of its files' names. Each
// queue does one thing after the other, so that none takes more than one of the few threads.

import * as fs from "node:fs";
import type { DiskDone, NameChange } from "../../core/base/ports.ts";
import { diskError } from "./disk-error.ts";
import { IdleActions } from "./idle-actions.ts";

export interface PoolWrite {
  readonly path: string;
  readonly handle: number;
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly sync: boolean;
  readonly done: DiskDone;
}

export class PoolLane {
  readonly #queue: PoolWrite[] = [];
  #closing: { readonly handles: readonly number[]; readonly action: () => void }[] = [];
  readonly #idle = new IdleActions();

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  write(operation: PoolWrite): void {
    this.#queue.push(operation);
    if (this.#queue.length === 1) this.#start(operation.start);
  }

  /** Calls when nothing is under way: at once, or after the last operation. */
  whenIdle(action: () => void): void {
    if (this.isIdle) action();
    else this.#idle.add(action);
  }

  /** Calls when none of these is being used: a busy lane is never idle. */
  whenUnused(handles: readonly number[], action: () => void): void {
    if (this.#uses(handles)) this.#closing.push({ handles, action });
    else action();
  }

  #uses(handles: readonly number[]): boolean {
    return this.#queue.some((operation) => handles.includes(operation.handle));
  }

  #start(from: number): void {
    const { handle, source, start, end, offset } = this.#queue[0]!;
    if (from === end) {
      this.#finish();
      return;
    }
    fs.write(handle, source, from, end - from, offset + from - start, (error, count) => {
      if (error !== null) this.#end(error);
      else if (from + count < end) this.#start(from + count);
      else this.#finish();
    });
  }

  #finish(): void {
    const { handle, sync } = this.#queue[0]!;
    if (sync) fs.fdatasync(handle, (fault) => this.#end(fault));
    else this.#end(null);
  }

  #end(error: NodeJS.ErrnoException | null): void {
    const operation = this.#queue.shift()!;
    if (this.#queue.length > 0) this.#start(this.#queue[0]!.start);
    operation.done(error === null ? undefined : diskError(error, operation.path));
    if (this.#closing.length > 0) this.#runClosing();
    if (this.isIdle) this.#idle.run();
  }

  #runClosing(): void {
    const closing = this.#closing;
    this.#closing = [];
    for (const { handles, action } of closing) this.whenUnused(handles, action);
  }
}

export interface NameChanges {
  /** Of the directory, as the port has it. */
  readonly path: string;
  /** Of the machine, as the paths of the changes. */
  readonly directory: string;
  readonly changes: readonly NameChange[];
  readonly done: DiskDone;
}

export class NameLane {
  readonly #queue: NameChanges[] = [];
  readonly #idle = new IdleActions();

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  change(operation: NameChanges): void {
    this.#queue.push(operation);
    if (this.#queue.length === 1) this.#step(0);
  }

  whenIdle(action: () => void): void {
    if (this.isIdle) action();
    else this.#idle.add(action);
  }

  /** Makes one change after the other, then makes all of them durable. */
  #step(number: number): void {
    const { changes, directory } = this.#queue[0]!;
    if (number === changes.length) {
      fs.open(directory, fs.constants.O_RDONLY, (error, handle) => {
        if (error !== null) this.#end(error);
        else this.#sync(handle);
      });
      return;
    }
    const next = (error: NodeJS.ErrnoException | null): void => {
      if (error !== null) this.#end(error);
      else this.#step(number + 1);
    };
    const change = changes[number]!;
    if (change.kind === "rename") fs.rename(change.from, change.to, next);
    else fs.unlink(change.path, next);
  }

  #sync(handle: number): void {
    fs.fsync(handle, (error) => fs.close(handle, (fault) => this.#end(error ?? fault ?? null)));
  }

  #end(error: NodeJS.ErrnoException | null): void {
    const operation = this.#queue.shift()!;
    if (this.#queue.length > 0) this.#step(0);
    operation.done(error === null ? undefined : diskError(error, operation.path));
    if (this.isIdle) this.#idle.run();
  }
}
