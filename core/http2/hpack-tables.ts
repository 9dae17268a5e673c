// The constants of HPACK: the static table (RFC 7541 appendix A) and the Huffman code (appendix B) as a decoder that
// takes four bits a step.

/** What a field's name means to HTTP/2; computed once per table entry, so that decoding a request compares no text. */
export const KIND_INVALID = -1;
export const KIND_OTHER = 0;
export const KIND_METHOD = 1;
export const KIND_SCHEME = 2;
export const KIND_PATH = 3;
export const KIND_AUTHORITY = 4;
export const KIND_STATUS = 5;
export const KIND_CONTENT_LENGTH = 6;
export const KIND_TE = 7;

const KINDS = new Map<string, number>([
  [":method", KIND_METHOD],
  [":scheme", KIND_SCHEME],
  [":path", KIND_PATH],
  [":authority", KIND_AUTHORITY],
  [":status", KIND_STATUS],
  ["content-length", KIND_CONTENT_LENGTH],
  ["te", KIND_TE],
  // Fields about the connection have no place in HTTP/2 (RFC 9113 8.2.2).
  ["connection", KIND_INVALID],
  ["keep-alive", KIND_INVALID],
  ["proxy-connection", KIND_INVALID],
  ["transfer-encoding", KIND_INVALID],
  ["upgrade", KIND_INVALID],
]);

/** The kind of a name, which must be valid as far as its characters go. */
export function kindOfName(name: string): number {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  // Any other pseudo-header field makes a request malformed (RFC 9113 8.3).
  return name.charCodeAt(0) === 0x3a ? KIND_INVALID : KIND_OTHER;
}

/** Entries 1 to 61, "name" or "name: value", in the order of RFC 7541 appendix A. */
const STATIC_TEXT = `:authority
:method=GET
:method=POST
:path=/
:path=/index.html
:scheme=http
:scheme=https
:status=200
:status=204
:status=206
:status=304
:status=400
:status=404
:status=500
accept-charset
accept-encoding=gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

const STATIC_ENTRIES = ["", ...STATIC_TEXT.split("\n")];
export const STATIC_COUNT = 61;
/** Index 0 is unused, as in the specification. */
export const STATIC_NAMES: readonly string[] = STATIC_ENTRIES.map((entry) => entry.split("=")[0]!);
export const STATIC_VALUES: readonly string[] = STATIC_ENTRIES.map((entry) => entry.split("=")[1] ?? "");
export const STATIC_KINDS: readonly number[] = STATIC_NAMES.map((name) => kindOfName(name));

// The Huffman code is canonical: the lengths alone give it. One digit of base 36 for each of the 256 bytes and the
// end-of-string symbol.
const HUFFMAN_LENGTHS =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6" +
  "f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnn" +
  "llmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu";

const SYMBOL_COUNT = 257;
const SYMBOL_END = 256;

/**
 * One step takes four bits: `HUFFMAN_STEPS[state * 16 + bits]` is
 *   bits 0-8   the next state (a node of the code's tree; 0 is the root)
 *   bits 9-16  the decoded byte
 *   bit 17     a byte was decoded (at most one: no code is shorter than five bits)
 *   bit 18     the end-of-string symbol or beyond: an error (RFC 7541 5.2)
 */
export const HUFFMAN_EMITS = 1 << 17;
export const HUFFMAN_FAILS = 1 << 18;
/** Whether a text may end in this state: on a byte boundary, or within up to seven one bits (RFC 7541 5.2). */
export const HUFFMAN_ACCEPTS = new Uint8Array(SYMBOL_COUNT);
export const HUFFMAN_STEPS = buildHuffmanSteps();

function buildHuffmanSteps(): Int32Array {
  const children = buildHuffmanTree();
  let node = 0;
  for (let depth = 0; depth < 8; depth++) {
    HUFFMAN_ACCEPTS[node] = 1;
    node = children[node * 2 + 1]!;
  }
  const steps = new Int32Array(256 * 16);
  for (let state = 0; state < 256; state++) {
    for (let bits = 0; bits < 16; bits++) steps[state * 16 + bits] = walk(children, state, bits);
  }
  return steps;
}

function walk(children: Int32Array, state: number, bits: number): number {
  let emitted = 0;
  let node = state;
  for (let bit = 3; bit >= 0; bit--) {
    node = children[node * 2 + ((bits >> bit) & 1)]!;
    if (node >= 0) continue;
    const symbol = -node - 1;
    if (symbol === SYMBOL_END) return HUFFMAN_FAILS;
    emitted = HUFFMAN_EMITS | (symbol << 9);
    node = 0;
  }
  return emitted | node;
}

/** Two children a node: another node's number, or minus the symbol minus one. */
function buildHuffmanTree(): Int32Array {
  const symbols = Array.from({ length: SYMBOL_COUNT }, (_, symbol) => symbol);
  const lengths = symbols.map((symbol) => Number.parseInt(HUFFMAN_LENGTHS[symbol]!, 36));
  symbols.sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const children = new Int32Array(SYMBOL_COUNT * 2);
  let nodeCount = 1;
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    code *= 2 ** (lengths[symbol]! - length);
    length = lengths[symbol]!;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const slot = node * 2 + ((code >>> bit) & 1);
      if (children[slot] === 0) children[slot] = nodeCount++;
      node = children[slot]!;
    }
    children[node * 2 + (code & 1)] = -symbol - 1;
    code++;
  }
  return children;
}
