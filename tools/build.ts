/**
 * Bundles what users run into dist/ with esbuild: the program, the library's entry points and the workers.
 *
 *   tsx tools/build.ts            build (npm run build); ./holdfast does it by itself when a source is newer
 *   tsx tools/build.ts --clean    from nothing, and with type declarations, as it is published
 *
 * Files are written beside and renamed, and files of an earlier build stay for a day: a server that is running keeps
 * finding the chunks that it loads late, and two builds at once do not harm each other.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { sourceFiles } from "./source-files.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = path.join(root, "dist");
const staleFileAgeMs = 24 * 60 * 60 * 1000;

/** Output name to source; those that are not written yet are left out. */
const entryPoints: Readonly<Record<string, string>> = {
  holdfast: "product/main.ts",
  index: "product/index.ts",
  client: "product/client/index.ts",
  testing: "product/testing/index.ts",
  server: "product/server/index.ts",
};

function entries(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, source] of Object.entries(entryPoints)) {
    if (fs.existsSync(path.join(root, source))) {
      found[name] = source;
    }
  }
  for (const source of sourceFiles(root, ["io", "product", "proof"])) {
    if (source.endsWith(".worker.ts")) {
      const name = path.basename(source, ".ts");
      if (found[name] !== undefined) {
        throw new Error(`Cannot build: two workers are named ${name}: ${found[name]} and ${source}`);
      }
      found[name] = source;
    }
  }
  return found;
}

function removeStale(written: ReadonlySet<string>): void {
  const oldest = Date.now() - staleFileAgeMs;
  for (const name of fs.readdirSync(dist)) {
    const file = path.join(dist, name);
    const status = fs.statSync(file, { throwIfNoEntry: false });
    if (!written.has(file) && name !== ".stamp" && status?.isFile() === true && status.mtimeMs < oldest) {
      fs.rmSync(file, { force: true });
    }
  }
}

async function bundle(): Promise<ReadonlySet<string>> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: entries(),
    outdir: dist,
    bundle: true,
    // Code loaded by a dynamic import becomes a chunk of its own: `holdfast get` does not read the server.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    // All in one folder, so that new URL("./x.worker.js", import.meta.url) is right wherever the code ends up.
    chunkNames: "chunk-[hash]",
    sourcemap: "linked",
    // The map leads to the sources of the clone; a package without them is smaller.
    sourcesContent: false,
    legalComments: "none",
    // A start reads and parses all of it; names stay, for profiles and stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    packages: "external",
    banner: { js: "#!/usr/bin/env node" },
    logLevel: "warning",
    write: false,
  });
  const written = new Set<string>();
  for (const file of result.outputFiles) {
    const temporary = `${file.path}.${process.pid}`;
    fs.writeFileSync(temporary, file.contents, { mode: 0o755 });
    fs.renameSync(temporary, file.path);
    written.add(file.path);
  }
  return written;
}

/** What report pages carry inside them: uPlot, which users do not install. */
function copyAssets(): void {
  for (const name of ["uPlot.iife.min.js", "uPlot.min.css"]) {
    fs.copyFileSync(path.join(root, "node_modules/uplot/dist", name), path.join(dist, name));
  }
}

function emitDeclarations(): void {
  const compiler = path.join(root, "node_modules/.bin/tsc");
  execFileSync(compiler, ["-p", "tsconfig.types.json"], { cwd: root, stdio: "inherit" });
}

async function main(): Promise<void> {
  const isClean = process.argv.includes("--clean");
  if (isClean) {
    fs.rmSync(dist, { recursive: true, force: true });
  }
  fs.mkdirSync(dist, { recursive: true });
  // The stamp carries the time before the first source is read: what is saved meanwhile counts as newer.
  const stamp = path.join(dist, `.stamp.${process.pid}`);
  fs.writeFileSync(stamp, "");
  const started = performance.now();
  const written = await bundle();
  copyAssets();
  removeStale(written);
  if (isClean) {
    emitDeclarations();
  }
  fs.renameSync(stamp, path.join(dist, ".stamp"));
  console.error(`holdfast: built ${written.size} files in ${Math.round(performance.now() - started)} ms`);
}

await main();
