// A report page: one file that needs no network, with uPlot, its data and its program inside.

import * as fs from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page-script.ts";
import type { Page } from "./sections.ts";

export function renderPage(page: Page): string {
  // "</script>" in a text would end the script; "<" is the same in JSON as \u003c.
  const data = JSON.stringify(page).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(page.title)}</title>
<style>${asset("uPlot.min.css")}${PAGE_STYLE}</style>
<header>
<h1>${escapeHtml(page.title)}</h1>
<button id="theme" type="button" aria-label="Light or dark">light / dark</button>
${page.lead.map((line) => `<p class="lead">${escapeHtml(line)}</p>`).join("\n")}
</header>
<main></main>
<script>${asset("uPlot.iife.min.js")}</script>
<script>const PAGE = ${data};${PAGE_SCRIPT}</script>
</html>
`;
}

export function writePage(file: string, page: Page): void {
  fs.writeFileSync(file, renderPage(page));
}

/** uPlot's own files (MIT): beside the bundle where the build put them, else from the clone's packages. */
function asset(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}`, import.meta.url));
  if (fs.existsSync(beside)) return fs.readFileSync(beside, "utf8");
  const require = createRequire(import.meta.url);
  return fs.readFileSync(require.resolve(`uplot/dist/${name}`), "utf8");
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
