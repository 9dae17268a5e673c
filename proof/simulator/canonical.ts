// One text for one meaning: two messages are equal when their texts are. Zero values and absent fields are left out, of
// headers only the revision counts (which member answers, and in which term, is not the store's state).

/** Bytes as a text with one character per byte, so that texts compare as bytes do. */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A decoded message, or one of the model's with texts for bytes, as a canonical text. */
export function canonical(value: unknown): string {
  if (value instanceof Uint8Array) return JSON.stringify(textOf(value));
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null)
    return canonicalObject(value as Readonly<Record<string, unknown>>);
  return String(value);
}

function canonicalObject(object: Readonly<Record<string, unknown>>): string {
  const parts: string[] = [];
  for (const name of Object.keys(object).sort()) {
    const value = object[name];
    if (name === "header") {
      const revision = (value as { readonly revision?: number } | undefined)?.revision ?? 0;
      if (revision !== 0) parts.push(`revision:${revision}`);
    } else if (!isZero(value)) parts.push(`${name}:${canonical(value)}`);
  }
  return `{${parts.join(",")}}`;
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === 0 || value === 0n || value === "" || value === false) return true;
  return (value instanceof Uint8Array || Array.isArray(value)) && value.length === 0;
}
