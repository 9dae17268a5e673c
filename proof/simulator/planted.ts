// Bundles the simulation with a planted bug in it. Needs the sources, so it works in a clone, not in a published package.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
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
    plugins: [
      {
        name: "planted-bug",
        setup: (hooks) => {
          hooks.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
            const patches = patchesOf(bug).filter((patch) => path.join(root, patch.file) === file);
            if (patches.length === 0) return undefined;
            return { contents: patches.reduce(applyPatch, fs.readFileSync(file, "utf8")), loader: "ts" };
          });
        },
      },
    ],
  });
  return {
    worker: pathToFileURL(outfile),
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}
