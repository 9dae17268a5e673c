// The text of `grpc-message`: UTF-8, percent-encoded (gRPC over HTTP/2, "Responses").

import { ByteWriter } from "../base/byte-writer.ts";
import { decodeUtf8 } from "../base/utf8.ts";

const HEX = "0123456789ABCDEF";

/** Printable ASCII but the percent sign stays; every other byte of the UTF-8 form is written as %XX. */
export function encodePercent(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  const writer = new ByteWriter(text.length * 3 + 1);
  writer.utf8(text);
  let encoded = "";
  for (const byte of writer.written()) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return encoded;
}

/** Takes what `encodePercent` writes; a sign that no two digits follow stands for itself, as the specification asks. */
export function decodePercent(encoded: string): string {
  const bytes = new Uint8Array(encoded.length);
  let count = 0;
  for (let i = 0; i < encoded.length; i++) {
    const code = encoded.charCodeAt(i);
    const digits = encoded.slice(i + 1, i + 3);
    if (code === 0x25 && /^[0-9a-fA-F]{2}$/.test(digits)) {
      bytes[count++] = Number.parseInt(digits, 16);
      i += 2;
    } else bytes[count++] = code;
  }
  return decodeUtf8(bytes, 0, count);
}
