// Values as Go prints and reads them, because the commands' output is compared byte for byte with etcdctl's.

import { decodeUtf8, encodeUtf8, isUtf8 } from "../../core/base/utf8.ts";

const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** `%q`: a Go string literal; bytes that are not UTF-8 become \x escapes. */
export function quote(value: Uint8Array | string): string {
  const bytes = typeof value === "string" ? encodeUtf8(value) : value;
  let text = '"';
  for (let i = 0; i < bytes.length;) {
    const length = sequenceLength(bytes, i);
    if (length === 0) {
      text += `\\x${bytes[i]!.toString(16).padStart(2, "0")}`;
      i++;
      continue;
    }
    text += quotedCharacter(decodeUtf8(bytes, i, i + length));
    i += length;
  }
  return `${text}"`;
}

function quotedCharacter(character: string): string {
  const code = character.codePointAt(0)!;
  const short = SHORT_ESCAPES[code];
  if (short !== undefined) return short;
  if (PRINTABLE.test(character)) return character;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Of the character at `index`; 0 when it is not UTF-8. */
function sequenceLength(bytes: Uint8Array, index: number): number {
  const lead = bytes[index]!;
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return index + length <= bytes.length && isUtf8(bytes, index, index + length) ? length : 0;
}

const UNESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  '"': 34,
  "'": 39,
  "\\": 92,
};

/** The bytes of a Go string literal in double or back quotes; undefined when it is none. */
export function unquote(literal: string): Uint8Array | undefined {
  if (/^`[^`]*`$/.test(literal)) return encodeUtf8(literal.slice(1, -1));
  if (!/^"(?:[^"\\\n]|\\.)*"$/s.test(literal)) return undefined;
  const bytes: number[] = [];
  const pattern =
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abtnvfr"\\]))|\\|[^\\]+/gy;
  const body = literal.slice(1, -1);
  for (const match of body.matchAll(pattern)) {
    const [whole, hex, short, long, octal, letter] = match;
    if (whole === "\\") return undefined;
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff);
    else if (letter !== undefined) bytes.push(UNESCAPES[letter]!);
    else if (short !== undefined || long !== undefined) {
      const code = Number.parseInt(short ?? long!, 16);
      if (code > 0x10ffff) return undefined;
      bytes.push(...encodeUtf8(String.fromCodePoint(code)));
    } else bytes.push(...encodeUtf8(whole));
  }
  return Uint8Array.from(bytes);
}

/** `\x61\x62`, as --hex shows bytes. */
export function hexEscaped(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += `\\x${byte.toString(16).padStart(2, "0")}`;
  return text;
}

/** A JSON string as Go's encoding/json writes it: also <, >, & and the line separators are escaped. */
export function jsonString(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029\u007f]/g, (character) =>
    character === "\u007f" ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `%016x` of an int64: of a negative one Go prints the sign and pads to sixteen. */
export function hex16(id: bigint): string {
  return id < 0n ? `-${(-id).toString(16).padStart(15, "0")}` : id.toString(16).padStart(16, "0");
}

/** `%x` of a uint64. */
export function hex(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}

/** A time.Duration, given in milliseconds, to the nanosecond: `3.614413ms`, `1m2.5s`. */
export function durationText(ms: number): string {
  const ns = BigInt(Math.round(ms * 1e6));
  if (ns === 0n) return "0s";
  if (ns < 1000n) return `${ns}ns`;
  if (ns < 1_000_000n) return `${fraction(ns, 1000n)}µs`;
  if (ns < 1_000_000_000n) return `${fraction(ns, 1_000_000n)}ms`;
  const hours = ns / 3_600_000_000_000n;
  const minutes = (ns / 60_000_000_000n) % 60n;
  const seconds = `${fraction(ns % 60_000_000_000n, 1_000_000_000n)}s`;
  if (hours > 0n) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0n ? `${minutes}m${seconds}` : seconds;
}

function fraction(value: bigint, unit: bigint): string {
  const rest = (value % unit)
    .toString()
    .padStart(unit.toString().length - 1, "0")
    .replace(/0+$/, "");
  return rest === "" ? `${value / unit}` : `${value / unit}.${rest}`;
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of `5s`, `1m30s`, `100ms`, `0`; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  if (/^[+-]?0$/.test(text)) return 0;
  const match = /^([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (match === null) return undefined;
  let ms = 0;
  for (const part of match[2]!.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    ms += Number(part[1]) * UNITS_MS[part[2]!]!;
  }
  return match[1] === "-" ? -ms : ms;
}

const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** `2.1 GB`: powers of a thousand, one digit after the point below ten. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 10) return `${sizeBytes} B`;
  const exponent = Math.floor(Math.log(sizeBytes) / Math.log(1000));
  const value = Math.floor((sizeBytes / 1000 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : roundedHalfEven(value)} ${SIZE_UNITS[exponent] ?? "?"}`;
}

/** As Go's %.0f: 20.5 becomes 20. */
function roundedHalfEven(value: number): number {
  const whole = Math.floor(value);
  if (value - whole !== 0.5) return Math.round(value);
  return whole % 2 === 0 ? whole : whole + 1;
}

/** The number, or Go's words for why it is none. */
export type ParsedInt = { readonly value: bigint; readonly error?: undefined } | { readonly error: string };

/** strconv.ParseInt(text, base, 64), or ParseUint. */
export function parseInt64(text: string, base: 10 | 16, isUnsigned = false): ParsedInt {
  const name = isUnsigned ? "ParseUint" : "ParseInt";
  const digits = base === 10 ? /^[+-]?[0-9]+$/ : /^[+-]?[0-9a-fA-F]+$/;
  if (!digits.test(text) || (isUnsigned && /^[+-]/.test(text))) {
    return { error: `strconv.${name}: parsing ${quote(text)}: invalid syntax` };
  }
  const magnitude = BigInt((base === 16 ? "0x" : "") + text.replace(/^[+-]/, ""));
  const value = text.startsWith("-") ? -magnitude : magnitude;
  const isInRange = isUnsigned ? value < 2n ** 64n : value === BigInt.asIntN(64, value);
  return isInRange ? { value } : { error: `strconv.${name}: parsing ${quote(text)}: value out of range` };
}
