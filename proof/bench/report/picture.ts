// P0 as a drawing that stands alone: latency over seconds on a logarithmic axis, one line a store, ours above the others,
// and below them what each store's leader did. Plain SVG without a script, so that a README may show it; its colours follow
// the reader's scheme, on a ground of its own, because the page around it may follow another.

import type { CompareResult } from "../compare.ts";
import type { StoreLine } from "../deck-row.ts";
import { fromPairs } from "../histogram.ts";
import { type Mark, spikes } from "../series.ts";
import { formatDuration } from "../units.ts";
import { escapeHtml } from "./page.ts";

const WIDTH = 860;
const LEFT = 64;
const RIGHT = WIDTH - 20;
const LEGEND_TOP = 74;
const LEGEND_ROW = 20;
const PLOT_HEIGHT = 270;
const LANE_HEIGHT = 16;
/** Columns of the legend: name, p50, p99, worst second. */
const COLUMNS = [LEFT + 28, 330, 450, 590] as const;

const STYLE = `
  svg { --ground: #ffffff; --ink: #1f2937; --soft: #57606a; --grid: #e2e8f0; --frame: #d0d7de; --holdfast: #c2410c; --etcd: #2563eb; --zookeeper: #15803d; --consul: #be185d; }
  @media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #21262d; --frame: #3d444d; --holdfast: #fb923c; --etcd: #60a5fa; --zookeeper: #4ade80; --consul: #f472b6; } }
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
  .title { font-size: 16px; font-weight: 600; } .soft { fill: var(--soft); } .small { font-size: 11.5px; fill: var(--soft); }
  .end { text-anchor: end; } .middle { text-anchor: middle; } .ours { font-weight: 600; }
  .grid { stroke: var(--grid); } .line { fill: none; stroke-linejoin: round; } .tick { opacity: 0.8; }`;

/** Events that may explain a spike, and how tall their ticks are: rare ones stand out among many short ones. */
const TICKS: Readonly<Record<Mark["kind"], number>> = {
  fsync: 6,
  gc: 6,
  stall: 6,
  checkpoint: 10,
  compaction: 10,
  election: 14,
  kill: 14,
};

interface Frame {
  readonly top: number;
  readonly secondsMax: number;
  readonly lowUs: number;
  readonly highUs: number;
}

/** The first picture of the result, which must have one. */
export function drawPicture(result: CompareResult): string {
  const picture = result.pictures[0]!;
  // Drawn last is on top: the first contender is ours.
  const ours = result.contenders[0]?.name;
  const stores = picture.stores.filter((store) => store.series.length > 0);
  const lanes = stores.filter((store) => (store.marks ?? []).length > 0);
  const frame = frameOf(stores, LEGEND_TOP + (stores.length + 1) * LEGEND_ROW + 8);
  const lanesTop = frame.top + PLOT_HEIGHT + 46;
  const height = lanesTop + (lanes.length === 0 ? 0 : lanes.length * LANE_HEIGHT + 30);
  const versions = new Map(result.contenders.map((one) => [one.name, one.version]));
  const [title = "", ...rest] = picture.title.split(": ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeHtml(picture.title)}">
<style>${STYLE}
</style>
<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10" style="fill:var(--ground);stroke:var(--frame)"/>
<text class="title" x="20" y="30">${escapeHtml(title)}</text>
<text class="soft" x="20" y="51">${escapeHtml(rest.join(": "))}</text>
${legend(stores, versions, ours)}
${axes(frame)}
${[...stores]
  .sort((a, b) => Number(a.name === ours) - Number(b.name === ours))
  .map((store) => line(store, frame, store.name === ours))
  .join("\n")}
${lanes.map((store, i) => lane(store, frame, lanesTop + i * LANE_HEIGHT)).join("\n")}
${lanes.length === 0 ? "" : `<text class="small" x="${LEFT}" y="${lanesTop + lanes.length * LANE_HEIGHT + 14}">${escapeHtml(laneText(lanes))}</text>`}
</svg>
`;
}

function frameOf(stores: readonly StoreLine[], top: number): Frame {
  const means = stores.flatMap((store) => store.series.map((one) => Math.max(1, one.meanUs)));
  return {
    top,
    secondsMax: Math.max(1, ...stores.map((store) => store.series.length - 1)),
    // A tenth of room on both sides of a logarithmic axis.
    lowUs: means.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) * 0.8,
    highUs: means.reduce((a, b) => Math.max(a, b), 1) * 1.25,
  };
}

function xOf(frame: Frame, second: number): number {
  return round(LEFT + ((RIGHT - LEFT) * second) / frame.secondsMax);
}

function yOf(frame: Frame, us: number): number {
  const share = Math.log(Math.max(1, us) / frame.lowUs) / Math.log(frame.highUs / frame.lowUs);
  return round(frame.top + PLOT_HEIGHT * (1 - share));
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function legend(
  stores: readonly StoreLine[],
  versions: ReadonlyMap<string, string>,
  ours: string | undefined,
): string {
  const heads = ["", "p50", "p99", "worst second (average)"].map(
    (text, i) => `<text class="small" x="${COLUMNS[i]}" y="${LEGEND_TOP + 8}">${text}</text>`,
  );
  const rows = stores.map((store, i) => {
    const y = LEGEND_TOP + (i + 1) * LEGEND_ROW + 8;
    const latencies = fromPairs(store.histogram);
    const version = versions.get(store.name) ?? "";
    const cells = [
      `${store.name} ${/\d+(?:\.\d+)+/.exec(version)?.[0] ?? ""}`.trim(),
      formatDuration(latencies.quantile(0.5)),
      formatDuration(latencies.quantile(0.99)),
      formatDuration(spikes(store.series).worstSecondUs),
    ].map(
      (text, column) =>
        `<text${store.name === ours ? ' class="ours"' : ""} x="${COLUMNS[column]}" y="${y}">${escapeHtml(text)}</text>`,
    );
    const sample = `<path d="M${LEFT} ${y - 4}h20" style="stroke:${colourOf(store)};stroke-width:${store.name === ours ? 3 : 2}"/>`;
    return sample + cells.join("");
  });
  return [...heads, ...rows].join("\n");
}

function axes(frame: Frame): string {
  const bottom = frame.top + PLOT_HEIGHT;
  const parts: string[] = [];
  for (const us of latencyTicks(frame)) {
    const y = yOf(frame, us);
    parts.push(`<path class="grid" d="M${LEFT} ${y}H${RIGHT}"/>`);
    parts.push(`<text class="small end" x="${LEFT - 8}" y="${y + 4}">${tickText(us)}</text>`);
  }
  const step = niceStep(frame.secondsMax / 8);
  for (let second = 0; second <= frame.secondsMax; second += step) {
    const x = xOf(frame, second);
    parts.push(`<path class="grid" d="M${x} ${frame.top}V${bottom}"/>`);
    parts.push(`<text class="small middle" x="${x}" y="${bottom + 17}">${second}</text>`);
  }
  parts.push(
    `<text class="small middle" x="${(LEFT + RIGHT) / 2}" y="${bottom + 34}">seconds of each store’s own turns; average latency of each second</text>`,
  );
  return parts.join("\n");
}

/** 1, 2 and 5 of every decade, and more of them where there is only one. */
function latencyTicks(frame: Frame): number[] {
  const ticks: number[] = [];
  const digits = frame.highUs < 10 * frame.lowUs ? [1, 1.5, 2, 3, 5, 7] : [1, 2, 5];
  for (let decade = 1; decade <= frame.highUs; decade *= 10)
    for (const digit of digits)
      if (digit * decade >= frame.lowUs && digit * decade <= frame.highUs) ticks.push(digit * decade);
  return ticks;
}

function tickText(us: number): string {
  if (us < 1000) return `${us} us`;
  return us < 1_000_000 ? `${us / 1000} ms` : `${us / 1_000_000} s`;
}

function niceStep(atLeast: number): number {
  const decade = 10 ** Math.floor(Math.log10(Math.max(1, atLeast)));
  return [1, 2, 5, 10].map((digit) => digit * decade).find((step) => step >= atLeast)!;
}

function line(store: StoreLine, frame: Frame, isOurs: boolean): string {
  const points = thinned(store)
    .map(([second, us]) => `${xOf(frame, second)} ${yOf(frame, us)}`)
    .join("L");
  return `<path class="line" d="M${points}" style="stroke:${colourOf(store)};stroke-width:${isOurs ? 2.4 : 1.4}"/>`;
}

const COLUMNS_MAX = 500;

/** Of more seconds than the eye can tell apart, the lowest and the highest of each column: spikes stay. */
function thinned(store: StoreLine): (readonly [second: number, us: number])[] {
  const all = store.series.map((one) => [one.second, one.meanUs] as const);
  if (all.length <= 2 * COLUMNS_MAX) return all;
  const size = Math.ceil(all.length / COLUMNS_MAX);
  const kept: (readonly [number, number])[] = [];
  for (let first = 0; first < all.length; first += size) {
    const column = all.slice(first, first + size);
    const lowest = column.reduce((a, b) => (b[1] < a[1] ? b : a));
    const highest = column.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(lowest[0] <= highest[0] ? [lowest, highest] : [highest, lowest]));
  }
  return kept;
}

function lane(store: StoreLine, frame: Frame, top: number): string {
  const bottom = top + LANE_HEIGHT - 2;
  const ticks = (store.marks ?? [])
    .map((mark) => `M${xOf(frame, Math.min(mark.atSecond, frame.secondsMax))} ${bottom}v-${TICKS[mark.kind]}`)
    .join("");
  return `<path class="grid" d="M${LEFT} ${bottom}H${RIGHT}"/><path class="tick" d="${ticks}" style="stroke:${colourOf(store)};stroke-width:1.4"/><text class="small end" x="${LEFT - 8}" y="${bottom}">${escapeHtml(store.name)}</text>`;
}

/** "holdfast: 3 slow syncs, 1 checkpoint; etcd: 5 slow syncs" */
function laneText(lanes: readonly StoreLine[]): string {
  const names: Readonly<Record<Mark["kind"], string>> = {
    fsync: "slow sync",
    gc: "garbage collection",
    stall: "stall",
    checkpoint: "checkpoint",
    compaction: "compaction",
    election: "election",
    kill: "kill",
  };
  return lanes
    .map((store) => {
      const counts = new Map<Mark["kind"], number>();
      for (const mark of store.marks ?? []) counts.set(mark.kind, (counts.get(mark.kind) ?? 0) + 1);
      const texts = [...counts].map(([kind, count]) => `${count} ${names[kind]}${count === 1 ? "" : "s"}`);
      return `${store.name}: ${texts.join(", ")}`;
    })
    .join("; ");
}

const KNOWN = ["holdfast", "etcd", "zookeeper", "consul"];

function colourOf(store: StoreLine): string {
  return KNOWN.includes(store.name) ? `var(--${store.name})` : "var(--ink)";
}
