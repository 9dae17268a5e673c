/**
 * Our own rules as a check: the direction of imports and their circles, a pure core, sizes, names. `npm run check` runs it.
 *
 * An exception needs an entry with a reason in tidy-exceptions.json; an entry that excuses nothing any more is itself
 * a finding, so that the list only shrinks.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { sourceFiles } from "./source-files.ts";
import type { Finding } from "./tidy-rules.ts";
import {
  checkCircles,
  checkImports,
  checkName,
  checkPurity,
  checkText,
  countParameters,
  isTestFile,
} from "./tidy-rules.ts";

export type TidyException = {
  readonly rule: string;
  readonly file: string;
  /** What Finding.name holds; without it the whole file is excused from the rule. */
  readonly name?: string;
  readonly reason: string;
};

const root = fileURLToPath(new URL("..", import.meta.url));

const parameterCountMax = 4;

/** Ceilings, and why: beyond them a reader no longer sees the whole at once (style: aim far below). */
const sizeRules = {
  "max-lines": ["error", { max: 800 }],
  "max-lines-per-function": ["error", { max: 70, IIFEs: true }],
  "max-params": ["error", { max: parameterCountMax }],
};

const sizeRemedies: Readonly<Record<string, string>> = {
  "max-lines": "ask what the file's second idea is, and move it to a file of its own",
  "max-lines-per-function": "leave the branches here and move the straight parts into helpers",
  "max-params":
    "pass an object of named options; where that costs on a hot path, put " +
    "`// oxlint-disable-next-line max-params -- why` above",
};

function checkSizes(files: readonly string[]): Finding[] {
  const config = path.join(fs.mkdtempSync(path.join(root, "node_modules/.tidy-")), "oxlintrc.json");
  const plain = { plugins: [], categories: { correctness: "off" }, rules: sizeRules };
  fs.writeFileSync(config, JSON.stringify(plain));
  try {
    const linter = path.join(root, "node_modules/.bin/oxlint");
    const run = spawnSync(linter, ["-c", config, "-f", "json", ...files], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    return parseSizes(run.stdout, read);
  } finally {
    fs.rmSync(path.dirname(config), { recursive: true, force: true });
  }
}

type LinterOutput = {
  readonly diagnostics: readonly {
    readonly message: string;
    readonly code: string;
    readonly filename: string;
    /** The offset is in bytes. */
    readonly labels: readonly { readonly span: { readonly line: number; readonly offset?: number } }[];
  }[];
};

/** Reads oxlint's JSON; a code looks like "eslint(max-params)", a message names the function in quotes if it has a name. */
export function parseSizes(output: string, textOf: (file: string) => string): Finding[] {
  const parsed = JSON.parse(output) as LinterOutput;
  const findings: Finding[] = [];
  for (const { message, code, filename, labels } of parsed.diagnostics) {
    const rule = code.replace(/^.*\(|\)$/g, "");
    // A test's callback is as long as its story, and its helpers take what the story varies.
    if (rule !== "max-lines" && isTestFile(filename)) {
      continue;
    }
    const span = labels[0]?.span;
    // The linter counts names, we count values.
    if (rule === "max-params" && countParameters(textOf(filename), span?.offset ?? 0) <= parameterCountMax) {
      continue;
    }
    const name = /[`'"]([^`'"]+)[`'"]/.exec(message)?.[1] ?? "";
    const remedy = sizeRemedies[rule] ?? "see the linter's documentation";
    findings.push({
      rule,
      file: filename,
      line: span?.line ?? 1,
      name,
      message: `${message} Remedy: ${remedy}`,
    });
  }
  return findings;
}

/** Splits findings into those that stand and the exceptions that excused nothing. */
export function applyExceptions(
  findings: readonly Finding[],
  exceptions: readonly TidyException[],
): { standing: Finding[]; unused: TidyException[] } {
  const used = new Set<TidyException>();
  const standing = findings.filter((finding) => {
    const excuse = exceptions.find(
      (entry) =>
        entry.rule === finding.rule &&
        entry.file === finding.file &&
        (entry.name === undefined || entry.name === finding.name),
    );
    if (excuse !== undefined) {
      used.add(excuse);
    }
    return excuse === undefined;
  });
  return { standing, unused: exceptions.filter((entry) => !used.has(entry)) };
}

/** Every text file that is, or is about to be, in the repository. */
function repositoryFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return listed
    .split("\n")
    .filter((file) => /(?:\.(?:ts|md|json|go|py|sh|txt)|^holdfast|^\.ci\/run)$/.test(file));
}

function read(file: string): string {
  // A file may vanish between listing and reading while somebody works on the tree.
  return fs.existsSync(path.join(root, file)) ? fs.readFileSync(path.join(root, file), "utf8") : "";
}

/** Runs every rule over the tree; returns the lines to print, none when it is tidy. */
export function tidy(): string[] {
  const sources = sourceFiles(root);
  const findings: Finding[] = [];
  for (const file of repositoryFiles()) {
    findings.push(...checkText(file, read(file)));
  }
  const texts = new Map(sources.map((file) => [file, read(file)]));
  for (const [file, text] of texts) {
    findings.push(...checkName(file), ...checkImports(file, text), ...checkPurity(file, text));
  }
  findings.push(...checkCircles(texts), ...checkSizes(sources));
  const exceptions = JSON.parse(read("tools/tidy-exceptions.json")) as TidyException[];
  const { standing, unused } = applyExceptions(findings, exceptions);
  return [
    ...standing.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`),
    ...unused.map(
      ({ rule, file, name }) =>
        `tools/tidy-exceptions.json: nothing is left to excuse for ${rule} in ${file} ${name ?? ""}; delete the entry`,
    ),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const lines = tidy();
  for (const line of lines) {
    console.log(line);
  }
  process.exitCode = lines.length === 0 ? 0 : 1;
}
