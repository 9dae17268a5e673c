// Reading commands from standard input, a line each, as `txn` and `watch -i` do.

import type { Readable } from "node:stream";
import { decodeUtf8 } from "../../core/base/utf8.ts";
import { unquote } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";

/**
 * Lines, one at a time. Only lines that end with a newline count, as in etcdctl: what is cut off at the end of the input
 * may not be what was meant.
 */
export class LineReader {
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  #hasEnded = false;
  readonly #stop: () => void;

  constructor(input: Readable) {
    let rest = "";
    const onData = (part: Buffer | string): void => {
      rest += part.toString();
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#lines.push(line);
      this.#wake();
    };
    const onEnd = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    input.on("data", onData).once("end", onEnd).once("error", onEnd);
    this.#stop = () => {
      input.off("data", onData).off("end", onEnd).off("error", onEnd);
      input.pause();
    };
  }

  /** Undefined at the end of the input. */
  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.#hasEnded)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#lines.shift();
  }

  close(): void {
    this.#stop();
  }
}

/** Splits a line into words: blanks separate, quotes hold together, "…" as in Go. */
export function splitWords(line: string): string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?/g) ?? [];
  return words.map((word) => {
    if (word.startsWith("'")) return word.slice(1, -1);
    if (!word.startsWith('"')) return word;
    const bytes = unquote(word);
    if (bytes === undefined) throw new CommandError(EXIT.invalidInput, "invalid syntax");
    return decodeUtf8(bytes, 0, bytes.length);
  });
}
