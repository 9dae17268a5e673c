// The form "table": boxes of characters, for members and endpoints. The header is centred, cells stand on the right.

import type { Form, Output, Table } from "./print.ts";
import { hashTable, healthTable, memberTable, statusTable } from "./print.ts";

/** Cells with blanks are broken at this width. */
const CELL_WIDTH_MAX = 30;

export const tableForm: Form = {
  memberList: (answer, output) => draw(memberTable(answer), output),
  endpointHealth: (list, output) => draw(healthTable(list), output),
  endpointStatus: (list, output) => draw(statusTable(list), output),
  endpointHash: (list, output) => draw(hashTable(list), output),
};

export function draw(table: Table, output: Output): void {
  const header = table.header.map((it) => it.toUpperCase().replace(/_/g, " "));
  const rows = table.rows.map((row) => row.map(broken));
  const widths = header.map((title, column) => {
    const lines = rows.flatMap((row) => row[column] ?? []);
    return Math.max(width(title), ...lines.map(width));
  });
  const border = `+${widths.map((it) => "-".repeat(it + 2)).join("+")}+`;
  output.line(border);
  output.line(`|${header.map((title, column) => ` ${centred(title, widths[column]!)} `).join("|")}|`);
  output.line(border);
  for (const row of rows) {
    const height = Math.max(...row.map((it) => it.length));
    for (let line = 0; line < height; line++) {
      const cells = row.map((lines, column) => ` ${pad(lines[line] ?? "", widths[column]!)} `);
      output.line(`|${cells.join("|")}|`);
    }
  }
  output.line(border);
}

/** Characters, not UTF-16 units. */
function width(text: string): number {
  return Array.from(text).length;
}

function pad(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - width(text))) + text;
}

/** An odd blank goes to the right. */
function centred(text: string, columns: number): string {
  const gap = columns - width(text);
  const left = Math.floor(gap / 2);
  return " ".repeat(left) + text + " ".repeat(gap - left);
}

function broken(text: string): string[] {
  if (width(text) <= CELL_WIDTH_MAX) return [text];
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && width(last) + 1 + width(word) <= CELL_WIDTH_MAX)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
