// The worker that reads files ahead (read-ahead.ts): it waits for its task, and ends by itself when there is nothing more to read, or nobody wants it.

import { parentPort } from "node:worker_threads";
import {
  CLAIMED,
  CLOSED,
  FILES_AHEAD,
  FIRST_FILE,
  FREE,
  READY,
  type ReadAheadReply,
  type ReadAheadTask,
  readAheadFile,
  WANTED,
} from "./read-ahead.ts";

/** Waits until file `index` may be read; false when nothing is wanted any more. */
function isWanted(state: Int32Array, index: number): boolean {
  for (;;) {
    const wanted = Atomics.load(state, WANTED);
    if (wanted === CLOSED) return false;
    if (index < wanted + FILES_AHEAD) return true;
    Atomics.wait(state, WANTED, wanted);
  }
}

function readAll({ root, files, state, port }: ReadAheadTask): void {
  for (let index = 0; index < files.length && isWanted(state, index); index++) {
    const word = FIRST_FILE + index;
    if (Atomics.compareExchange(state, word, FREE, CLAIMED) !== FREE) continue;
    const content = readAheadFile(root, files[index]!);
    const reply: ReadAheadReply = { index, content };
    port.postMessage(
      reply,
      content === undefined ? [] : [content.buffer, content.sums.buffer as ArrayBuffer],
    );
    Atomics.store(state, word, READY);
    Atomics.notify(state, word);
  }
}

// Without a listener nothing keeps the thread alive.
parentPort!.once("message", readAll);
