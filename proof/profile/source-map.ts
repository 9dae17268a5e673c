// Where a place of a bundle comes from: the source map beside it, read just enough to name the source file.

import * as fs from "node:fs";
import { fileURLToPath } from "node:url";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** By line: columns at which a segment starts, and the source it points at. */
interface Lines {
  readonly columns: number[][];
  readonly sources: number[][];
  readonly names: readonly string[];
}

const read = new Map<string, Lines | undefined>();

/** The source of a function's place (line and column from 0), or its own file when there is no map. */
export function sourceOf(url: string, line: number, column: number): string {
  if (!url.startsWith("file:")) return url;
  if (!read.has(url)) read.set(url, load(url));
  const lines = read.get(url);
  if (!lines) return url;
  const columns = lines.columns[line] ?? [];
  // The last segment that starts at or before the column; a bundle's line has a hundred thousand.
  let at = -1;
  for (let step = 2 ** Math.ceil(Math.log2(columns.length + 1)); step >= 1; step /= 2)
    if ((columns[at + step] ?? Infinity) <= column) at += step;
  const source = at < 0 ? undefined : lines.sources[line]?.[at];
  return source === undefined || source < 0 ? url : (lines.names[source] ?? url).replace(/^(?:\.\.\/)+/, "");
}

function load(url: string): Lines | undefined {
  try {
    const map = JSON.parse(fs.readFileSync(`${fileURLToPath(url)}.map`, "utf8")) as {
      sources: string[];
      mappings: string;
    };
    return { ...decodeMappings(map.mappings), names: map.sources };
  } catch {
    return undefined; // sources run as they are, or a bundle without maps
  }
}

/** Source map 3: lines by ";", segments by ",", each base 64 VLQ differences: column, source, line, column, name. */
export function decodeMappings(mappings: string): { columns: number[][]; sources: number[][] } {
  const columns: number[][] = [];
  const sources: number[][] = [];
  let source = 0;
  for (const line of mappings.split(";")) {
    const lineColumns: number[] = [];
    const lineSources: number[] = [];
    let column = 0;
    for (const segment of line.split(",")) {
      if (segment === "") continue;
      const numbers = decodeVlq(segment);
      column += numbers[0] ?? 0;
      source += numbers[1] ?? 0;
      lineColumns.push(column);
      lineSources.push(numbers.length > 1 ? source : -1);
    }
    columns.push(lineColumns);
    sources.push(lineSources);
  }
  return { columns, sources };
}

function decodeVlq(text: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    value |= (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    numbers.push((value & 1) === 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}
