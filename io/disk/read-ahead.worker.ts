// The worker that reads files ahead (read-ahead.ts): it ends by itself when there is nothing more to read, or nobody wants it.

import { workerData } from "node:worker_threads";
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

const { root, files, state, port } = workerData as ReadAheadTask;

/** Waits until file `index` may be read; false when nothing is wanted any more. */
function isWanted(index: number): boolean {
  for (;;) {
    const wanted = Atomics.load(state, WANTED);
    if (wanted === CLOSED) return false;
    if (index < wanted + FILES_AHEAD) return true;
    Atomics.wait(state, WANTED, wanted);
  }
}

for (let index = 0; index < files.length && isWanted(index); index++) {
  const word = FIRST_FILE + index;
  if (Atomics.compareExchange(state, word, FREE, CLAIMED) !== FREE) continue;
  const content = readAheadFile(root, files[index]!);
  const reply: ReadAheadReply = { index, content };
  port.postMessage(reply, content === undefined ? [] : [content.buffer, content.sums.buffer as ArrayBuffer]);
  Atomics.store(state, word, READY);
  Atomics.notify(state, word);
}
