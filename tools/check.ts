/** The quick part of the gate: format, lint, types, tidy. `npm run check`; `npm test` begins with it. */
import { pathToFileURL } from "node:url";
import { report, root, step } from "./steps.ts";
import { tidy } from "./tidy.ts";

const bin = `${root}node_modules/.bin`;

/** Each step's name, and its command. */
const commands: readonly (readonly [string, readonly string[]])[] = [
  ["format (npm run format mends it)", [`${bin}/oxfmt`, "--check", "."]],
  ["lint", [`${bin}/oxlint`, "--type-aware", "--deny-warnings"]],
  ["types of core, without Node", [`${bin}/tsc`, "-p", "tsconfig.core.json"]],
  ["types of the whole tree", [`${bin}/tsc`, "-p", "tsconfig.json"]],
];

/** Runs every step, also after one failed, so that one run shows all there is to mend. */
export async function check(): Promise<boolean> {
  let isClean = true;
  for (const [name, command] of commands) {
    isClean = (await step(name, command)) && isClean;
  }
  const started = performance.now();
  const findings = tidy();
  report("tidy", findings.length === 0, `${((performance.now() - started) / 1000).toFixed(1)} s`);
  for (const line of findings) {
    console.log(line);
  }
  return isClean && findings.length === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.exitCode = (await check()) ? 0 : 1;
}
