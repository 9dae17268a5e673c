// The page of a profile: the flame graph, when the loop stood still, and the tables.

import type { Page, Section } from "../bench/report/sections.ts";
import { formatBytes } from "../bench/units.ts";
import type { Reading } from "./cpu-profile.ts";
import { DELAY_SLOT_MS, type ProfileResult } from "./profiler.ts";
import { STALL_MS_MIN } from "./stalls.ts";

export function pageOf(result: ProfileResult, reading: Reading): Page {
  const { evidence, bottleneck } = result;
  return {
    title: `Bottleneck: ${bottleneck.cause}`,
    lead: [bottleneck.evidence, `process ${result.pid}, ${result.seconds} s`],
    sections: [
      {
        kind: "flame",
        title: "Where the CPU time went",
        note: "Width is time; a function lies below its caller. Click a frame to look into it. Idle time is left out.",
        root: reading.root,
      },
      delaysOf(result),
      ...stallsOf(result),
      {
        kind: "table",
        title: "Layers",
        note: `Of the busy time; the loop was busy ${(evidence.loopUtilisation * 100).toFixed(1)} %.`,
        head: ["layer", "share"],
        rows: Object.entries(evidence.layers)
          .sort((a, b) => b[1] - a[1])
          .map(([layer, share]) => [layer, `${(share * 100).toFixed(1)} %`]),
      },
      {
        kind: "table",
        title: "Heaviest functions",
        note: "Own time.",
        head: ["share", "function"],
        rows: result.heaviest.map((one) => [`${(one.share * 100).toFixed(1)} %`, one.name]),
      },
      {
        kind: "table",
        title: "Heaviest allocators",
        note: "Sampled, what was collected since included.",
        head: ["bytes", "function"],
        rows: result.allocators.map((one) => [formatBytes(one.bytes), one.name]),
      },
    ],
  };
}

/** The stalls as a series: how late the loop was, in each tenth of a second. */
function delaysOf(result: ProfileResult): Section {
  const x = result.delaysMs.map((_, slot) => (slot * DELAY_SLOT_MS) / 1000);
  const y = result.delaysMs.map((delayMs) => delayMs * 1000);
  return {
    kind: "lines",
    title: "Lateness of the event loop",
    note: "The longest in each tenth of a second: whoever asked then waited so long before anybody looked.",
    xLabel: "seconds",
    yLabel: "late by",
    unit: "us",
    xScale: "linear",
    yScale: "linear",
    views: [{ name: "longest", lines: [{ name: `process ${result.pid}`, x, y }] }],
    marks: [],
    percentileAxis: false,
    points: false,
  };
}

const STALLS_SHOWN = 20;

/** A loop without pauses has no stretches that could be told apart. */
function stallsOf({ evidence, stalls }: ProfileResult): Section[] {
  if (evidence.stalls.count === 0) return [];
  const longest = [...stalls].sort((a, b) => b.ms - a.ms).slice(0, STALLS_SHOWN);
  return [
    {
      kind: "table",
      title: "Stalls",
      note: `Stretches of ${STALL_MS_MIN} ms and more without a pause, ${evidence.stalls.count} in all, the longest first.`,
      head: ["at", "for", "layer", "most in"],
      rows: longest.map((stall) => [
        `${stall.atSecond.toFixed(2)} s`,
        `${stall.ms.toFixed(1)} ms`,
        `${stall.layer} ${Math.round(stall.layerShare * 100)} %`,
        stall.heaviest,
      ]),
    },
  ];
}
