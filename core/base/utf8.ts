// UTF-8 without TextDecoder, which the core does not have. Decoding follows the WHATWG rule: each maximal ill-formed
// part becomes one U+FFFD, so that what comes out never depends on the platform.

import { writeUtf8 } from "./byte-writer.ts";

/** Longest run handed to String.fromCharCode at once: its arguments live on the stack. */
const CHUNK_LENGTH = 4096;

/** The text of `bytes[start, end)`; ill-formed parts become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 24) {
    // Names, methods, versions: a loop of one-character strings beats the array below this length.
    let text = "";
    let position = start;
    for (; position < end; position++) {
      const byte = bytes[position]!;
      if (byte >= 0x80) break;
      text += String.fromCharCode(byte);
    }
    return position === end ? text : text + decodeUnits(bytes, position, end);
  }
  return decodeUnits(bytes, start, end);
}

/** The UTF-8 bytes of a text; unpaired surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  return bytes.slice(0, writeUtf8(bytes, 0, text));
}

/** Whether `bytes[start, end)` is well-formed UTF-8 (Unicode table 3-7: no overlong forms, no surrogates). */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let position = start;
  while (position < end) {
    if (bytes[position]! < 0x80) {
      position++;
      continue;
    }
    const length = sequenceLength(bytes, position, end);
    if (length <= 0) return false;
    position += length;
  }
  return true;
}

function decodeUnits(bytes: Uint8Array, start: number, end: number): string {
  const units: number[] = [];
  let text = "";
  let position = start;
  while (position < end) {
    if (units.length >= CHUNK_LENGTH) {
      text += String.fromCharCode.apply(undefined, units);
      units.length = 0;
    }
    const byte = bytes[position]!;
    if (byte < 0x80) {
      units.push(byte);
      position++;
      continue;
    }
    const length = sequenceLength(bytes, position, end);
    if (length <= 0) {
      units.push(0xfffd);
      position -= length;
      continue;
    }
    pushCodePoint(units, bytes, position, length);
    position += length;
  }
  return text + String.fromCharCode.apply(undefined, units);
}

function pushCodePoint(units: number[], bytes: Uint8Array, position: number, length: number): void {
  let code = bytes[position]! & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) code = (code << 6) | (bytes[position + i]! & 0x3f);
  if (code < 0x10000) units.push(code);
  else units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
}

/** Bytes of the well-formed sequence at `position` (2 to 4); else minus the length of its ill-formed part, at least 1. */
function sequenceLength(bytes: Uint8Array, position: number, end: number): number {
  const lead = bytes[position]!;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // Only the second byte has narrower bounds (Unicode table 3-7).
  let low = 0x80;
  let high = 0xbf;
  if (lead === 0xe0) low = 0xa0;
  else if (lead === 0xed) high = 0x9f;
  else if (lead === 0xf0) low = 0x90;
  else if (lead === 0xf4) high = 0x8f;
  for (let i = 1; i < length; i++) {
    if (position + i >= end) return -i;
    const byte = bytes[position + i]!;
    if (byte < low || byte > high) return -i;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}
