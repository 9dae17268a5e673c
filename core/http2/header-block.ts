// A decoded header block: the fields, and what HTTP/2 itself needs of them (RFC 9113 8.3).
//
// Immutable once decoded and shared by all streams whose block had the same bytes, hence `attachment`: the layer
// above keeps there what it made of the fields, so that an identical request costs neither decoding nor parsing.

import {
  KIND_AUTHORITY,
  KIND_CONTENT_LENGTH,
  KIND_INVALID,
  KIND_METHOD,
  KIND_OTHER,
  KIND_PATH,
  KIND_SCHEME,
  KIND_STATUS,
  KIND_TE,
} from "./hpack-tables.ts";

export class HeaderBlock {
  readonly names: string[] = [];
  /** One character per byte, not decoded: what the bytes mean is for the reader to say. */
  readonly values: string[] = [];
  method = "";
  scheme = "";
  path = "";
  authority = "";
  status = "";
  /** -1 without one. */
  contentLength = -1;
  /** Why the message is malformed (RFC 9113 8.1.1); empty when it is not. */
  malformed = "";
  /** The decoded list exceeds the limit; the fields beyond it were not kept. */
  tooLarge = false;
  hasPseudo = false;
  attachment: unknown = undefined;
  #hasAuthority = false;
  #hasPath = false;

  /** The first value of a field, which is not a pseudo-header field. */
  get(name: string): string | undefined {
    const index = this.names.indexOf(name);
    return index < 0 ? undefined : this.values[index];
  }

  /** Called by the decoder, field by field. */
  add(kind: number, name: string, value: string): void {
    if (kind === KIND_OTHER) {
      this.names.push(name);
      this.values.push(value);
      return;
    }
    this.#addSpecial(kind, name, value);
  }

  #addSpecial(kind: number, name: string, value: string): void {
    switch (kind) {
      case KIND_METHOD:
        this.#pseudo(this.method !== "");
        this.method = value;
        return;
      case KIND_SCHEME:
        this.#pseudo(this.scheme !== "");
        this.scheme = value;
        return;
      case KIND_PATH:
        this.#pseudo(this.#hasPath);
        this.#hasPath = true;
        this.path = value;
        return;
      case KIND_AUTHORITY:
        this.#pseudo(this.#hasAuthority);
        this.#hasAuthority = true;
        this.authority = value;
        return;
      case KIND_STATUS:
        this.#pseudo(this.status !== "");
        this.status = value;
        return;
      case KIND_CONTENT_LENGTH:
        this.#addContentLength(value);
        break;
      case KIND_TE:
        // RFC 9113 8.2.2: only "trailers".
        if (value !== "trailers") this.malformed = "te is not trailers";
        break;
      case KIND_INVALID:
        this.malformed = "a field that HTTP/2 forbids";
        return;
    }
    this.names.push(name);
    this.values.push(value);
  }

  #pseudo(repeated: boolean): void {
    this.hasPseudo = true;
    if (repeated) this.malformed = "a pseudo-header field twice";
    // Pseudo-header fields come first (RFC 9113 8.3).
    if (this.names.length > 0) this.malformed = "a pseudo-header field after a regular one";
  }

  #addContentLength(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : -1;
    if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length))
      this.malformed = "bad content-length";
    this.contentLength = length;
  }

  /** RFC 9113 8.3.1; CONNECT is not for us. */
  isRequest(): boolean {
    if (this.malformed !== "" || this.status !== "") return false;
    return this.method !== "" && this.scheme !== "" && this.path !== "";
  }

  /** RFC 9113 8.3.2. */
  isResponse(): boolean {
    if (this.malformed !== "" || this.method !== "" || this.scheme !== "" || this.#hasPath) return false;
    return this.status.length === 3;
  }

  /** RFC 9113 8.1: trailers carry no pseudo-header fields. */
  isTrailers(): boolean {
    return this.malformed === "" && !this.hasPseudo;
  }
}
