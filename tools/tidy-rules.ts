/**
 * Our own rules, as functions from a file's text to findings. tidy.ts runs them over the tree; what needs a parser
 * (sizes of functions, number of parameters) it takes from oxlint. Each finding names its remedy.
 */

export type Finding = {
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  /** The function or import that an exception can name; empty when the rule is about the whole file. */
  readonly name: string;
  readonly message: string;
};

/** The lines of the design's list, top to bottom: a file may import from its own entry and from those before it. */
const layerOrder: readonly string[] = [
  "core/base",
  "core/wire",
  "core/http2",
  "core/grpc",
  "core/raft",
  "core/wal",
  "core/mvcc",
  "core/watch",
  "core/lease",
  "core/auth",
  "core/member",
  "io",
  "product",
  "proof",
  "tools",
];

/** Packages that only tests, proofs and tools may use; what users install depends on nothing. */
const developmentPackages: readonly string[] = [
  "@grpc/grpc-js",
  "esbuild",
  "fast-check",
  "mitata",
  "node-zookeeper-client",
  "tsx",
  "uplot",
];

const namePattern = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** Also benchmarks, property tests and checks of real peers: code that never reaches a user. */
export function isTestFile(file: string): boolean {
  return /\.(?:test|fuzz|bench|check)\.ts$/.test(file);
}

/** Blanks comments and the insides of strings, keeping every quote, and everything else, where it is. */
export function blank(text: string): string {
  // In order: comments, template, double and single quoted strings. A regular expression literal that holds a
  // quote would confuse this until the end of its line; the cost is a finding missed.
  const pattern = /\/\*[^]*?\*\/|\/\/[^\n]*|`(?:\\[^]|[^`\\])*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g;
  return text.replace(pattern, (match) => {
    const quote = match.startsWith("/") ? " " : match[0];
    return match.replace(/[^\n]/g, (character, offset) =>
      offset === 0 || offset === match.length - 1 ? (quote ?? character) : " ",
    );
  });
}

function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i !== -1 && i < offset; i = text.indexOf("\n", i + 1)) {
    line++;
  }
  return line;
}

function layerOf(file: string): number {
  return layerOrder.findIndex((layer) => file.startsWith(`${layer}/`));
}

type Import = { readonly target: string; readonly line: number };

function importsOf(text: string): Import[] {
  const code = blank(text);
  const found: Import[] = [];
  // Found in the blanked text, where only real code is left, and read from the original.
  for (const match of code.matchAll(/(?<!\.)\b(?:from\s*|import\s*\(?\s*)(["'] *["'])/dg)) {
    const [start, end] = match.indices?.[1] ?? [0, 0];
    found.push({ target: text.slice(start + 1, end - 1), line: lineOf(code, match.index) });
  }
  return found;
}

/** Resolves "../x.ts" against the folder of `file`; both are relative to the root. */
function resolve(file: string, target: string): string {
  const parts = file.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}

export function checkImports(file: string, text: string): Finding[] {
  const findings: Finding[] = [];
  for (const { target, line } of importsOf(text)) {
    const add = (rule: string, message: string): void => {
      findings.push({ rule, file, line, name: target, message });
    };
    if (target.startsWith(".")) {
      if (!/\.(?:ts|json)$/.test(target)) {
        add("import-extension", `imports "${target}" without its extension; write "${target}.ts"`);
      }
      checkDirection(file, resolve(file, target), add);
    } else if (target.startsWith("node:")) {
      if (file.startsWith("core/") && !isTestFile(file)) {
        add(
          "core-is-pure",
          `imports ${target}; declare a port in core/base/ports.ts and implement it in io/`,
        );
      }
    } else {
      checkPackage(file, target, add);
    }
  }
  return findings;
}

type Add = (rule: string, message: string) => void;

function checkDirection(file: string, imported: string, add: Add): void {
  // Tests may reach for the simulator or a golden file, wherever those are; they reach no user.
  if (isTestFile(file)) {
    return;
  }
  const from = layerOf(file);
  const to = layerOf(imported);
  if (from === -1 || to === -1) {
    add(
      "layers",
      `imports ${imported}: one of the two is in no layer; the layers are ${layerOrder.join(", ")}`,
    );
  } else if (to > from) {
    add(
      "layers",
      `imports ${imported}, but ${layerOrder[to]} is below ${layerOrder[from]}; ` +
        "pass the thing in as a port or a callback, or move it up",
    );
  }
}

function checkPackage(file: string, target: string, add: Add): void {
  const known = developmentPackages.find((name) => target === name || target.startsWith(`${name}/`));
  const mayUse = isTestFile(file) || file.startsWith("proof/") || file.startsWith("tools/");
  if (known === undefined) {
    add(
      "packages",
      `imports "${target}"; use node:… for Node's modules, and weigh a new package in docs/decisions/`,
    );
  } else if (!mayUse) {
    add("packages", `imports the development package "${target}"; the product has no runtime dependencies`);
  }
}

/**
 * Files that import each other in a circle, types included: to understand one of them a reader has to open them all. Tests
 * are left out. A finding lies at the first file of a circle and names the others in order.
 */
export function checkCircles(texts: ReadonlyMap<string, string>): Finding[] {
  const graph = new Map<string, Import[]>();
  for (const [file, text] of texts) {
    if (isTestFile(file)) continue;
    const own = importsOf(text).filter(({ target }) => target.startsWith("."));
    graph.set(
      file,
      own.map(({ target, line }) => ({ target: resolve(file, target), line })),
    );
  }
  return circlesOf(graph).map(([file, ...others]) => {
    const next = graph.get(file!)!.find(({ target }) => others.includes(target));
    return {
      rule: "circles",
      file: file!,
      line: next?.line ?? 1,
      name: others.join(" "),
      message:
        `is in a circle of imports with ${others.join(", ")}; move what they share into the lower file, ` +
        "or let a part say in an interface of its own what it needs",
    };
  });
}

/** The strongly connected components of more than one file, each sorted, by Tarjan's algorithm. */
function circlesOf(graph: ReadonlyMap<string, readonly Import[]>): string[][] {
  const circles: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const isOpen = new Set<string>();
  /** Returns the earliest file on the stack that this one leads back to, as its number. */
  const visit = (file: string): number => {
    const number = order.size;
    order.set(file, number);
    stack.push(file);
    isOpen.add(file);
    let earliest = number;
    for (const { target } of graph.get(file) ?? []) {
      if (!graph.has(target)) continue;
      if (!order.has(target)) earliest = Math.min(earliest, visit(target));
      else if (isOpen.has(target)) earliest = Math.min(earliest, order.get(target)!);
    }
    if (earliest < number) return earliest;
    const circle = stack.splice(stack.indexOf(file));
    for (const one of circle) isOpen.delete(one);
    if (circle.length > 1) circles.push(circle.sort());
    return earliest;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}

const impurities: readonly (readonly [RegExp, string])[] = [
  [/\bMath\.random\b/g, "Math.random; take a Prng"],
  [/\bDate\b/g, "Date; take a Clock or a time as a parameter"],
  [/\bperformance\b/g, "performance; take a Clock"],
  [/\bprocess\./g, "process; take a value of Limits or a parameter"],
  [/\b(?:async|await)\b|\bPromise\b/g, "a promise; core is called, answers with effects, and never waits"],
  [/\bset(?:Timeout|Interval|Immediate)\b/g, "a timer; answer nextDeadlineMs() and take onDeadline()"],
  [/\bqueueMicrotask\b/g, "a microtask; core never waits"],
  [/\bconsole\b/g, "console; return the fact, the caller logs it"],
];

/** What the compiler cannot refuse in core, because the language itself has it. */
export function checkPurity(file: string, text: string): Finding[] {
  if (!file.startsWith("core/") || isTestFile(file)) {
    return [];
  }
  const code = blank(text);
  const findings: Finding[] = [];
  for (const [pattern, what] of impurities) {
    for (const match of code.matchAll(pattern)) {
      const name = match[0];
      findings.push({
        rule: "core-is-pure",
        file,
        line: lineOf(code, match.index),
        name,
        message: `uses ${what}`,
      });
    }
  }
  return findings;
}

/**
 * The parameters of the function at a byte offset, counted as values: on hot paths a slice of bytes is passed as
 * (bytes, start, end) and a 64-bit id as (hi, lo), and each of these is one.
 */
export function countParameters(text: string, offsetBytes: number): number {
  const code = blank(Buffer.from(text).subarray(offsetBytes).toString());
  let count = 0;
  let previous = "";
  for (const name of parameterNames(code)) {
    const isRest =
      (/(?:^lo|Lo)$/.test(name) && /(?:^hi|Hi)$/.test(previous)) ||
      (/(?:^start|Start|^from|From)_?$/.test(name) &&
        /(?:^|B)(?:bytes|ytes|uffer|lock|ody)$/i.test(previous)) ||
      (/(?:^end|End|^to|To)_?$/.test(name) && /(?:^start|Start|^from|From)_?$/.test(previous));
    count += isRest ? 0 : 1;
    previous = name;
  }
  return count;
}

/** The names in the first pair of parentheses; a pattern has none. */
function parameterNames(code: string): string[] {
  const names: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = code.indexOf("("); i !== -1 && i < code.length; i++) {
    const character = code[i] ?? "";
    if ("([{<".includes(character)) depth++;
    // The arrow of a function type closes nothing.
    else if (")]}>".includes(character) && code[i - 1] !== "=") depth--;
    if ((character === "," && depth === 1) || depth === 0) {
      const part = code.slice(start, i).trim();
      if (part !== "") names.push(/^[\w$]*/.exec(part)?.[0] ?? "");
    }
    if (depth === 0) break;
    if (depth === 1 && (character === "," || start === 0)) start = i + 1;
  }
  return names;
}

// Put together here, so that this file does not report itself.
const fixme = new RegExp(`\\b${"FIX"}ME\\b`, "g");
const machinePath = new RegExp(`(?<![\\w.-])/(?:${"wo"}rk|${"ro"}ot|${"tm"}p/hf)/[\\w.]`, "g");

/** Rules for every text file of the repository. */
export function checkText(file: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const report = (pattern: RegExp, rule: string, message: string): void => {
    for (const match of text.matchAll(pattern)) {
      findings.push({ rule, file, line: lineOf(text, match.index), name: match[0], message });
    }
  };
  report(fixme, "no-fixme", "marks a known fault; mend it, or write TODO(name) with what and when");
  report(machinePath, "machine-path", "names a path of one machine; derive it, or pass it in");
  if (isTestFile(file)) {
    report(/\b(?:test|it|describe|suite)\.only\(/g, "no-only", "would hide all other tests; remove .only");
  }
  return findings;
}

/** Files and folders of source are named like-this.ts, with dots only before a kind (x.test.ts, x.worker.ts). */
export function checkName(file: string): Finding[] {
  const parts = file.split("/");
  const last = parts.pop() ?? "";
  const wrong = [...parts, ...last.split(".")].find((part) => !namePattern.test(part));
  if (wrong === undefined) {
    return [];
  }
  return [
    { rule: "kebab-case", file, line: 1, name: wrong, message: `"${wrong}" is not kebab-case; rename it` },
  ];
}
