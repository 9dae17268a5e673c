/**
 * Golden conversations: a file of commands and the answers they had, so that a change of behaviour shows as a diff.
 *
 *   # a comment
 *   propose 1 hello            the command, one line
 *   more input, if any         lines up to the four dashes belong to it
 *   ----
 *   what the machine answered
 *                              an empty line ends the answer
 *
 * HOLDFAST_GOLDEN=write runs the commands and writes their answers into the file; say in the commit why they changed.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";

export type Command = {
  /** The words of the command's line. */
  readonly words: readonly string[];
  /** The lines between the command and the dashes. */
  readonly input: readonly string[];
  /** Its line in the file, from 1. */
  readonly line: number;
};

type Part = {
  readonly head: readonly string[];
  readonly command: Command | undefined;
  readonly answer: string;
};

function parse(text: string): Part[] {
  const parts: Part[] = [];
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    const head: string[] = [];
    while (at < lines.length && (lines[at] === "" || lines[at]?.startsWith("#"))) {
      head.push(lines[at++] ?? "");
    }
    if (at >= lines.length) {
      parts.push({ head, command: undefined, answer: "" });
      break;
    }
    const line = at + 1;
    const said: string[] = [];
    while (at < lines.length && lines[at] !== "----") {
      said.push(lines[at++] ?? "");
    }
    at++;
    const answer: string[] = [];
    while (at < lines.length && lines[at] !== "") {
      answer.push(lines[at++] ?? "");
    }
    const words = (said[0] ?? "").trim().split(/\s+/);
    parts.push({
      head: [...head, ...said],
      command: { words, input: said.slice(1), line },
      answer: answer.join("\n"),
    });
  }
  return parts;
}

/** Runs every command of the file and compares its answer, or rewrites the file when asked to. */
export function runConversation(file: URL, run: (command: Command) => string): void {
  const out: string[] = [];
  const isWriting = process.env["HOLDFAST_GOLDEN"] === "write";
  for (const { head, command, answer } of parse(fs.readFileSync(file, "utf8"))) {
    out.push(...head);
    if (command !== undefined) {
      // An empty line would end the answer, so it is written as a dot.
      const got = run(command).trimEnd().replace(/^$/gm, ".");
      out.push("----", got);
      if (!isWriting) {
        assert.equal(got, answer, `${file.pathname}:${command.line}: ${command.words.join(" ")}`);
      }
    }
  }
  if (isWriting) {
    fs.writeFileSync(file, out.join("\n"));
  }
}
