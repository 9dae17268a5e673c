/**
 * Every kind of page in a real browser without a head: in the light and in the dark scheme its program runs to its end, no
 * error is thrown, and something is painted on every canvas and in every section. HOLDFAST_PAGES=FOLDER keeps the pages
 * there, each with a picture in both schemes, for eyes.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { claim, runPeer } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { makeMembers, ourCommand } from "./server-process.ts";

const kept = process.env["HOLDFAST_PAGES"];
const folder = kept ?? fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-pages-check-"));
fs.mkdirSync(folder, { recursive: true });

/** What Blink calls the schemes, and what shows that the page has taken one up: how bright its ground is. */
const SCHEMES = [
  { name: "light", blink: 1, isDark: false },
  { name: "dark", blink: 0, isDark: true },
] as const;

/** Stands before all of the page's own; what it finds is read from the root element's attributes. */
const PROBE = `<script>
  const root = document.documentElement.dataset;
  const fail = (text) => { root.failure = (root.failure ? root.failure + "; " : "") + text; };
  addEventListener("error", (event) => fail(event.message));
  addEventListener("unhandledrejection", (event) => fail(String(event.reason)));
  addEventListener("load", () => setTimeout(() => {
    const isPainted = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
    const canvases = [...document.querySelectorAll("canvas")];
    root.canvases = canvases.length;
    root.blank = canvases.filter((canvas) => !isPainted(canvas)).length;
    root.sections = document.querySelectorAll("section").length;
    root.flat = [...document.querySelectorAll("section")].filter((one) => one.offsetHeight < 50).length;
    root.frames = document.querySelectorAll(".frame, .bar").length;
    root.lanes = document.querySelectorAll(".lane").length;
    root.wide = document.documentElement.scrollWidth > innerWidth;
    root.ground = getComputedStyle(document.body).backgroundColor;
    root.images = [...document.images].filter((image) => image.complete && image.naturalWidth > 0).length;
  }, 0));
</script>`;

const ours = async (...words: string[]): Promise<void> => {
  const [program, ...rest] = ourCommand();
  const said = await runPeer(program!, [...rest, ...words]);
  assert.equal(said.exitCode, 0, `${words.join(" ")}: ${said.stdout.slice(-500)}${said.stderr.slice(-500)}`);
};

function chromium(scheme: (typeof SCHEMES)[number], ...words: string[]): Promise<string> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-browser-"));
  const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking"];
  const flags = [...quiet, "--disable-component-update", "--disable-sync", "--hide-scrollbars"];
  return runPeer(findPeer("chromium")!, [
    ...["--headless", "--no-sandbox", "--disable-gpu", ...flags, `--user-data-dir=${home}`],
    ...[`--blink-settings=preferredColorScheme=${scheme.blink}`, ...words],
  ])
    .then((said) => said.stdout)
    .finally(() => fs.rmSync(home, { recursive: true, force: true }));
}

/** The attributes that the page's program and the probe have left. */
async function look(file: string, scheme: (typeof SCHEMES)[number]): Promise<Map<string, string>> {
  const probed = path.join(folder, `${scheme.name}-${path.basename(file)}`);
  fs.writeFileSync(probed, fs.readFileSync(file, "utf8").replace('<meta charset="utf-8">', `$&${PROBE}`));
  const url = pathToFileURL(probed).href;
  const dom = await chromium(
    scheme,
    "--window-size=1200,900",
    "--virtual-time-budget=3000",
    "--dump-dom",
    url,
  );
  fs.rmSync(probed);
  if (kept !== undefined) {
    const picture = file.replace(/\.html$/, `.${scheme.name}.png`);
    await chromium(scheme, "--window-size=1200,2600", `--screenshot=${picture}`, pathToFileURL(file).href);
  }
  const root = /<html[^>]*>/.exec(dom)?.[0] ?? "";
  return new Map([...root.matchAll(/data-(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!, value!]));
}

interface Expected {
  readonly canvases?: number;
  readonly frames?: number;
  readonly lanes?: number;
  readonly images?: number;
}

async function claimPage(name: string, expected: Expected): Promise<void> {
  const file = path.join(folder, `${name}.html`);
  // Side by side: a browser spends most of its time on its own start.
  const claims = SCHEMES.map((scheme) =>
    claim(`pages: ${name} is drawn whole, ${scheme.name}`, async () => {
      const seen = await look(file, scheme);
      assert.equal(seen.get("failure"), undefined);
      assert.equal(seen.get("drawn"), "yes", `its program did not end: ${JSON.stringify([...seen])}`);
      for (const [what, least] of Object.entries(expected) as [string, number][])
        assert.ok(Number(seen.get(what)) >= least, `${seen.get(what)} ${what}, at least ${least} expected`);
      for (const fault of ["blank", "flat"])
        assert.equal(seen.get(fault), "0", `${seen.get(fault)} are ${fault}`);
      assert.equal(seen.get("wide"), "false", "it is wider than its window");
      const [red] = /\d+/.exec(seen.get("ground") ?? "") ?? [];
      assert.equal(Number(red) < 128, scheme.isDark, `its ground is ${seen.get("ground")}`);
    }),
  );
  await Promise.all(claims);
}

async function makePages(endpoint: string): Promise<void> {
  const page = (name: string): string => path.join(folder, name);
  const to = ["--endpoints", endpoint, "--quiet"];
  // A server that does nothing has nothing to draw.
  const profile = ours("profile", "--endpoints", endpoint, "--seconds", "4", "--output", page("profile"));
  await ours("bench", "put", ...to, "--duration", "5s", "--warmup", "0s", "--report", page("run.html"));
  await profile;
  const ladder = ["--rates", "100,200", "--duration", "1s", "--warmup", "0s", "--slo", "p99<10s"];
  await ours("bench", "put", ...to, ...ladder, "--report", page("ladder.html"));
  const growth = ["--of", "clients", "--steps", "1,4", "--duration", "1s", "--no-allocations"];
  await ours("bench", "growth", ...growth, ...to, "--report", page("growth.html"));
  const rows = ["--rows", "P0,P4", "--keys", "2000", "--rounds", "1", "--slice", "1"];
  const stores = ["--ours-endpoints", endpoint, "--rival", "etcd", "--rival-endpoints", endpoint];
  const files = ["--report", page("compare.html"), "--picture", page("picture.svg"), "--dir", page("probe")];
  await ours("bench", "compare", ...stores, ...rows, ...files, "--quiet");
  const shown = '<body style="background: Canvas; color-scheme: light dark"><img src="picture.svg">';
  const script = '<script>document.documentElement.dataset.drawn = "yes"</script>';
  fs.writeFileSync(page("picture.html"), `<!doctype html>\n<meta charset="utf-8">${shown}${script}\n`);
  await ours("demo", "--seconds", "3", "--rate", "200", "--page", page("demo.html"));
}

if (findPeer("chromium") === undefined) console.log("left out - pages: Chromium is not here (npm run peers)");
else {
  const [member] = await makeMembers(1, { folder: path.join(folder, "data"), flags: ["--log-level=warn"] });
  await claim("pages: every command that draws one writes it", async () => {
    member!.start();
    await member!.ready();
    await makePages(member!.endpoint);
  });
  await member!.stop();
  await claimPage("run", { canvases: 5 });
  await claimPage("ladder", { canvases: 1 });
  await claimPage("growth", { canvases: 3 });
  await claimPage("profile", { frames: 5 });
  await claimPage("compare", { canvases: 6, frames: 2 });
  await claimPage("picture", { images: 1 });
  await claimPage("demo", { canvases: 3 });
}
fs.rmSync(path.join(folder, "data"), { recursive: true, force: true });
if (kept === undefined) fs.rmSync(folder, { recursive: true, force: true });
