import assert from "node:assert/strict";
import { test } from "node:test";
import {
  blank,
  checkCircles,
  checkImports,
  checkName,
  checkPurity,
  checkText,
  countParameters,
} from "./tidy-rules.ts";
import { applyExceptions, parseSizes } from "./tidy.ts";

function rulesOf(findings: readonly { readonly rule: string }[]): string[] {
  return findings.map((finding) => finding.rule);
}

test("tidy lets a file import from its own folder and from above", () => {
  const text = [
    'import { a } from "./own.ts";',
    'import type { B } from "../base/ids.ts";',
    'export { c } from "../http2/frames.ts";',
  ].join("\n");
  assert.deepEqual(checkImports("core/raft/raft.ts", text), []);
});

test("tidy refuses an import from below, also inside core and as a dynamic import", () => {
  assert.deepEqual(rulesOf(checkImports("core/wire/a.ts", 'import { b } from "../raft/b.ts";')), ["layers"]);
  assert.deepEqual(rulesOf(checkImports("io/a.ts", 'const b = await import("../product/b.ts");')), [
    "layers",
  ]);
  assert.deepEqual(rulesOf(checkImports("product/a.ts", 'import "../proof/b.ts";')), ["layers"]);
  assert.deepEqual(rulesOf(checkImports("product/a.ts", 'import "../elsewhere/b.ts";')), ["layers"]);
});

test("tidy refuses files that import each other in a circle, types included", () => {
  const circles = (texts: Readonly<Record<string, string>>): string[][] =>
    checkCircles(new Map(Object.entries(texts))).map(({ file, line, name, rule }) => [
      rule,
      file,
      `${line}`,
      name,
    ]);
  const pair = {
    "core/raft/b.ts": 'import type { A } from "./a.ts";',
    "core/raft/a.ts": 'import { z } from "../base/z.ts";\nimport type { B } from "./b.ts";',
    "core/base/z.ts": "export const z = 1;",
  };
  assert.deepEqual(circles(pair), [["circles", "core/raft/a.ts", "2", "core/raft/b.ts"]]);
  const far = {
    "io/a.ts": 'export { b } from "./net/b.ts";',
    "io/net/b.ts": 'const c = await import("./c.ts");\nimport "./d.ts";',
    "io/net/c.ts": 'import type { A } from "../a.ts";',
    "io/net/d.ts": 'import "./e.ts";',
    "io/net/e.ts": 'import "./d.ts";',
  };
  assert.deepEqual(circles(far).sort(), [
    ["circles", "io/a.ts", "1", "io/net/b.ts io/net/c.ts"],
    ["circles", "io/net/d.ts", "1", "io/net/e.ts"],
  ]);
});

test("tidy finds no circle where ways only meet again, nor through a test", () => {
  const texts = {
    "io/a.ts": 'import "./b.ts";\nimport "./c.ts";',
    "io/b.ts": 'import "./d.ts";',
    "io/c.ts": 'import "./d.ts";\nimport "node:fs";',
    "io/d.ts": '// import "./a.ts";',
    "io/d.test.ts": 'import "./d.ts";\nimport "./e.test.ts";',
    "io/e.test.ts": 'import "./d.test.ts";',
  };
  assert.deepEqual(checkCircles(new Map(Object.entries(texts))), []);
});

test("tidy lets tests reach for the simulator, wherever they are", () => {
  assert.deepEqual(
    checkImports("core/wal/a.test.ts", 'import { b } from "../../proof/simulator/disk.ts";'),
    [],
  );
});

test("tidy wants extensions, keeps Node out of core and packages out of the product", () => {
  assert.deepEqual(rulesOf(checkImports("io/a.ts", 'import { b } from "./b";')), ["import-extension"]);
  assert.deepEqual(rulesOf(checkImports("core/raft/a.ts", 'import * as fs from "node:fs";')), [
    "core-is-pure",
  ]);
  assert.deepEqual(rulesOf(checkImports("product/a.ts", 'import { b } from "esbuild";')), ["packages"]);
  assert.deepEqual(rulesOf(checkImports("tools/a.ts", 'import { b } from "left-pad";')), ["packages"]);
  assert.deepEqual(checkImports("tools/a.ts", 'import { b } from "esbuild";'), []);
});

test("tidy is not misled by imports in comments and strings", () => {
  const text = [
    "// import { a } from './a';",
    "const s = 'import { a } from \"./a\"';",
    '/* from "b" */',
  ].join("\n");
  assert.deepEqual(checkImports("core/raft/a.ts", text), []);
});

test("tidy finds time, chance and promises in core, with their line", () => {
  const text = [
    "// Date is fine here",
    "const now = Date.now();",
    "",
    "const x = Math.random();",
    "async () => 1;",
  ];
  const findings = checkPurity("core/raft/a.ts", text.join("\n"));
  assert.deepEqual(
    findings.map(({ name, line }) => [name, line]),
    [
      ["Math.random", 4],
      ["Date", 2],
      ["async", 5],
    ],
  );
  assert.deepEqual(checkPurity("io/a.ts", text.join("\n")), []);
});

test("tidy finds marks of known faults, machine paths and tests that hide others", () => {
  assert.deepEqual(rulesOf(checkText("docs/a.md", `${"FIX"}ME later`)), ["no-fixme"]);
  assert.deepEqual(rulesOf(checkText("docs/a.md", `see ${"/wo"}rk/main`)), ["machine-path"]);
  assert.deepEqual(checkText("docs/a.md", `net${"/wo"}rk/load`), []);
  assert.deepEqual(rulesOf(checkText("io/a.test.ts", `test${".on"}ly("x", () => {});`)), ["no-only"]);
});

test("tidy wants kebab-case in every part of a path", () => {
  assert.deepEqual(checkName("core/http2/frame-reader.test.ts"), []);
  assert.deepEqual(rulesOf(checkName("core/http2/frameReader.ts")), ["kebab-case"]);
  assert.deepEqual(rulesOf(checkName("core/Http2/frame.ts")), ["kebab-case"]);
});

test("blanking keeps every line and quote in its place", () => {
  const text = 'a("x\\"y"); // z\n`p\nq` /* r\ns */ end';
  const blanked = blank(text);
  assert.equal(blanked.length, text.length);
  assert.equal(blanked, 'a("    ");     \n` \n `     \n     end');
});

test("an exception excuses what it names, and one that excuses nothing is reported", () => {
  const finding = { rule: "max-params", file: "a.ts", line: 1, name: "f", message: "" };
  const used = { rule: "max-params", file: "a.ts", name: "f", reason: "hot path" };
  const other = { rule: "max-params", file: "a.ts", name: "g", reason: "hot path" };
  assert.deepEqual(applyExceptions([finding], [used, other]), { standing: [], unused: [other] });
  assert.deepEqual(applyExceptions([finding], [other]), { standing: [finding], unused: [other] });
});

test("sizes are read from the linter's output, and long tests are let be", () => {
  const diagnostic = (filename: string): object => ({
    message: "The function `f` has too many lines (83). Maximum allowed is 70.",
    code: "eslint(max-lines-per-function)",
    filename,
    labels: [{ span: { line: 7 } }],
  });
  const output = JSON.stringify({ diagnostics: [diagnostic("a.ts"), diagnostic("a.test.ts")] });
  const found = parseSizes(output, () => "");
  assert.deepEqual(
    found.map(({ rule, file, line, name }) => [rule, file, line, name]),
    [["max-lines-per-function", "a.ts", 7, "f"]],
  );
});

test("a slice of bytes and a 64-bit id count as one parameter", () => {
  const count = (text: string): number => countParameters(`é${text}`, 2);
  assert.equal(count("put(bytes: Uint8Array, start: number, end: number, reply: ByteWriter) {"), 2);
  assert.equal(
    count(
      "put(keyBytes: B, keyStart: number, keyEnd: number, valueBytes: B, valueStart: number, valueEnd: number)",
    ),
    2,
  );
  assert.equal(count("grant(leaseHi: number, leaseLo: number, done: (a: A, b: B) => void): X {"), 2);
  assert.equal(count("(a, { b, c }: { b: number, c: Map<K, V> }, d = [1, 2]) => a"), 3);
  assert.equal(count("(start, end, a, b, c) => 1"), 4);
  assert.equal(count("f(): void"), 0);
});
