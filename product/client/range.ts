/** Which keys an operation is about. */

import { prefixEnd } from "../../core/base/bytes.ts";
import type { Bytes } from "./types.ts";
import { toBytes } from "./types.ts";

/** At most one of the three; none of them means the one key. */
export interface KeySelection {
  /** All keys that begin with the key; of an empty key, all keys. */
  readonly prefix?: boolean | undefined;
  /** The key and all keys after it. */
  readonly fromKey?: boolean | undefined;
  /** Keys from the key up to this one, which is left out. */
  readonly rangeEnd?: Bytes | undefined;
}

const ZERO = Uint8Array.of(0);

/** The key and range_end of a request. Throws TypeError when more than one selection is given. */
export function selectKeys(key: Bytes, selection: KeySelection): { key: Uint8Array; range_end: Uint8Array } {
  const start = toBytes(key);
  const given = [selection.prefix === true, selection.fromKey === true, selection.rangeEnd !== undefined];
  if (given.filter(Boolean).length > 1) {
    throw new TypeError("Cannot select keys: prefix, fromKey and rangeEnd exclude each other");
  }
  if (selection.rangeEnd !== undefined) return { key: start, range_end: toBytes(selection.rangeEnd) };
  if (selection.prefix !== true && selection.fromKey !== true)
    return { key: start, range_end: new Uint8Array(0) };
  // etcd takes no empty key: the first one is a zero byte.
  if (start.length === 0) return { key: ZERO, range_end: ZERO };
  return { key: start, range_end: selection.prefix === true ? prefixEnd(start) : ZERO };
}
