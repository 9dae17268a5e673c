// Bundles the simulation with a planted bug in it. Needs the sources, so it works in a clone, not in a published package.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Plugin } from "esbuild";
import type { PlantedBug, SourcePatch } from "../bugs/planted-bug.ts";

const WORKER = "proof/simulator/seeds.worker.ts";

/** The root of the clone, from a source file as well as from a bundle in dist/. */
export function sourceRoot(): string {
  for (const up of ["../..", ".."]) {
    const root = fileURLToPath(new URL(`${up}/`, import.meta.url));
    if (fs.existsSync(path.join(root, WORKER))) return root;
  }
  throw new Error(
    "Planted bugs are changes of the source: run this in a clone of the repository, after npm ci",
  );
}

export function patchesOf(bug: PlantedBug): readonly SourcePatch[] {
  return [bug, ...(bug.also ?? [])];
}

/** The changed text of a file. Throws when the patch does not apply exactly once. */
export function applyPatch(text: string, patch: SourcePatch): string {
  const count = text.split(patch.find).length - 1;
  if (count !== 1)
    throw new Error(
      `A planted bug no longer applies: its text occurs ${count} times in ${patch.file}, not once`,
    );
  return text.replace(patch.find, () => patch.replace);
}

export interface PlantedBundle {
  readonly worker: URL;
  remove(): void;
}

/** A worker with the bug in it; call `remove` when it is not needed any more. */
export async function bundleWith(bug: PlantedBug): Promise<PlantedBundle> {
  const { build } = await import("esbuild");
  const root = sourceRoot();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-planted-"));
  const outfile = path.join(folder, "seeds.worker.mjs");
  await build({
    absWorkingDir: root,
    entryPoints: [WORKER],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    logLevel: "silent",
    plugins: [patching(root, patchesOf(bug))],
  });
  return {
    worker: pathToFileURL(outfile),
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/** For esbuild: reads the sources with the patches in them. */
function patching(root: string, all: readonly SourcePatch[]): Plugin {
  return {
    name: "planted-patches",
    setup: (hooks) => {
      hooks.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
        const patches = all.filter((patch) => path.join(root, patch.file) === file);
        if (patches.length === 0) return undefined;
        return { contents: patches.reduce(applyPatch, fs.readFileSync(file, "utf8")), loader: "ts" };
      });
    },
  };
}

/** Writes the program with the patches in it to a folder, as tools/build.ts builds it; the path of what to run. */
export async function bundleProgramWith(patches: readonly SourcePatch[], folder: string): Promise<string> {
  const { build } = await import("esbuild");
  const root = sourceRoot();
  await build({
    absWorkingDir: root,
    entryPoints: { holdfast: "product/main.ts", "bulk.worker": "io/disk/bulk.worker.ts" },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    sourcemap: "linked",
    sourcesContent: false,
    packages: "external",
    logLevel: "silent",
    plugins: [patching(root, patches)],
  });
  // The workers' names end in ".js", and modules they are only where this says so.
  fs.writeFileSync(path.join(folder, "package.json"), '{"type":"module"}\n');
  return path.join(folder, "holdfast.js");
}
