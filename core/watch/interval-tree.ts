// Which ranges hold a key: a treap of the ranges ordered by their first key (then end), each node knowing the range of
// its subtree that ends last. A descent skips subtrees that end before the key and those that start behind it: with n
// ranges of which m hold the key, about log n + m steps. Priorities are a hash of the node, so the shape needs no chance.

import { assert } from "../base/assert.ts";
import { Rows } from "../base/rows.ts";

/** Ranges by slot; implemented by Interests. */
export interface RangeTable {
  compare(a: number, b: number): number;
  compareEnds(a: number, b: number): number;
  compareKey(slot: number, bytes: Uint8Array, start: number, end: number): number;
  endsAfter(slot: number, bytes: Uint8Array, start: number, end: number): boolean;
}

const RANGE = 0;
const LEFT = 1;
const RIGHT = 2;
/** The range of this subtree that ends last. */
const LAST = 3;

export class IntervalTree {
  readonly #ranges: RangeTable;
  readonly #rows = new Rows(4);
  #root = 0;

  constructor(ranges: RangeTable) {
    this.#ranges = ranges;
  }

  get sizeBytes(): number {
    return this.#rows.count === 0 ? 0 : this.#rows.sizeBytes;
  }

  /** Adds a range that is not in the tree and returns its node. */
  insert(range: number): number {
    const node = this.#rows.allocate();
    this.#rows.set(node, RANGE, range);
    this.#rows.set(node, LAST, range);
    this.#root = this.#insert(this.#root, node);
    return node;
  }

  remove(node: number): void {
    this.#root = this.#remove(this.#root, node);
    this.#rows.release(node);
  }

  /** Appends the ranges that hold this key, in their order. */
  stab(bytes: Uint8Array, start: number, end: number, matched: number[]): void {
    if (this.#root !== 0) this.#stab(this.#root, bytes, start, end, matched);
  }

  // oxlint-disable-next-line max-params -- an object per descent would cost more than the descent
  #stab(node: number, bytes: Uint8Array, start: number, end: number, matched: number[]): void {
    const rows = this.#rows;
    while (node !== 0) {
      if (!this.#ranges.endsAfter(rows.get(node, LAST), bytes, start, end)) return;
      const left = rows.get(node, LEFT);
      if (left !== 0) this.#stab(left, bytes, start, end, matched);
      const range = rows.get(node, RANGE);
      if (this.#ranges.compareKey(range, bytes, start, end) > 0) return;
      if (this.#ranges.endsAfter(range, bytes, start, end)) matched.push(range);
      node = rows.get(node, RIGHT);
    }
  }

  #insert(root: number, node: number): number {
    if (root === 0) return node;
    const rows = this.#rows;
    const isLess = this.#ranges.compare(rows.get(node, RANGE), rows.get(root, RANGE)) < 0;
    const side = isLess ? LEFT : RIGHT;
    const child = this.#insert(rows.get(root, side), node);
    rows.set(root, side, child);
    if (priority(child) > priority(root)) return this.#rotateUp(root, child, side);
    this.#update(root);
    return root;
  }

  #remove(root: number, node: number): number {
    assert(root !== 0, "only a range in the tree is removed from it");
    const rows = this.#rows;
    if (root === node) return this.#join(rows.get(root, LEFT), rows.get(root, RIGHT));
    const isLess = this.#ranges.compare(rows.get(node, RANGE), rows.get(root, RANGE)) < 0;
    const side = isLess ? LEFT : RIGHT;
    rows.set(root, side, this.#remove(rows.get(root, side), node));
    this.#update(root);
    return root;
  }

  /** One tree of two, all of `left` before all of `right`. */
  #join(left: number, right: number): number {
    if (left === 0) return right;
    if (right === 0) return left;
    const rows = this.#rows;
    if (priority(left) > priority(right)) {
      rows.set(left, RIGHT, this.#join(rows.get(left, RIGHT), right));
      this.#update(left);
      return left;
    }
    rows.set(right, LEFT, this.#join(left, rows.get(right, LEFT)));
    this.#update(right);
    return right;
  }

  #rotateUp(root: number, child: number, side: number): number {
    const rows = this.#rows;
    const other = side === LEFT ? RIGHT : LEFT;
    rows.set(root, side, rows.get(child, other));
    rows.set(child, other, root);
    this.#update(root);
    this.#update(child);
    return child;
  }

  #update(node: number): void {
    const rows = this.#rows;
    let last = rows.get(node, RANGE);
    for (let side = LEFT; side <= RIGHT; side++) {
      const child = rows.get(node, side);
      if (child === 0) continue;
      const lastOfChild = rows.get(child, LAST);
      if (this.#ranges.compareEnds(lastOfChild, last) > 0) last = lastOfChild;
    }
    rows.set(node, LAST, last);
  }
}

function priority(node: number): number {
  let hash = Math.imul(node, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
