/** Lists the tree's own source files, for the build, the test runner and tidy. */
import * as fs from "node:fs";
import * as path from "node:path";

/** The folders that hold source, from the top of the design to its bottom. */
export const layers = ["core", "io", "product", "proof", "tools"] as const;

/** Paths of `.ts` files under the folders, relative to root, with forward slashes, sorted. */
export function sourceFiles(root: string, folders: readonly string[] = layers): string[] {
  const found: string[] = [];
  for (const folder of folders) {
    if (fs.existsSync(path.join(root, folder))) {
      walk(root, folder, found);
    }
  }
  return found.sort();
}

function walk(root: string, folder: string, found: string[]): void {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && entry.name !== "testdata") {
        walk(root, name, found);
      }
    } else if (entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) {
      found.push(name);
    }
  }
}
