// Nodes of the key tree: equal runs of 32-bit words in chunks that never move.

import { assert } from "../base/assert.ts";

const CHUNK_NODE_SHIFT = 8;
const CHUNK_NODE_COUNT = 1 << CHUNK_NODE_SHIFT;
const CHUNK_NODE_MASK = CHUNK_NODE_COUNT - 1;

export class NodePool {
  readonly #wordCount: number;
  readonly #chunks: Uint32Array[] = [];
  readonly #free: number[] = [];
  #nodeCount = 0;

  constructor(wordCount: number) {
    this.#wordCount = wordCount;
  }

  /** A node of zeros. Numbers start at 1, so that 0 can mean "none". */
  allocate(): number {
    const node = this.#free.pop() ?? ++this.#nodeCount;
    if (node >>> CHUNK_NODE_SHIFT === this.#chunks.length) {
      this.#chunks.push(new Uint32Array(CHUNK_NODE_COUNT * this.#wordCount));
    }
    const base = this.base(node);
    this.words(node).fill(0, base, base + this.#wordCount);
    return node;
  }

  release(node: number): void {
    assert(node > 0, "only a node is released");
    this.#free.push(node);
  }

  /** The array that holds the node, from word `base(node)` on. */
  words(node: number): Uint32Array {
    return this.#chunks[node >>> CHUNK_NODE_SHIFT]!;
  }

  base(node: number): number {
    return (node & CHUNK_NODE_MASK) * this.#wordCount;
  }
}
