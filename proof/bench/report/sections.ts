// What a report page is made of: plain data, which page-script.ts draws in the browser.

export interface LineData {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}

export interface MarkData {
  readonly x: number;
  readonly text: string;
}

/** What one store did while the lines were drawn, as ticks on a row of its own below them. */
export interface LaneData {
  readonly name: string;
  readonly marks: readonly MarkData[];
}

export type Section =
  | {
      readonly kind: "lines";
      readonly title: string;
      readonly note: string;
      readonly xLabel: string;
      readonly yLabel: string;
      /** How numbers are written: microseconds, a rate, bytes, per cent, plain. */
      readonly unit: "us" | "rate" | "bytes" | "percent" | "plain";
      readonly xScale: "linear" | "log";
      readonly yScale: "linear" | "log";
      /** Several views of the same picture, of which one is shown: average, p99, slowest. */
      readonly views: readonly { readonly name: string; readonly lines: readonly LineData[] }[];
      readonly marks: readonly MarkData[];
      readonly lanes?: readonly LaneData[];
      /** Ticks of the x axis are 1/(1-p), written as percentiles. */
      readonly percentileAxis: boolean;
      readonly points: boolean;
    }
  | {
      readonly kind: "heat";
      readonly title: string;
      readonly note: string;
      readonly name: string;
      /** For each second, [row, count]: rows are four to a doubling of the microseconds. */
      readonly columns: readonly (readonly (readonly number[])[])[];
      readonly marks: readonly MarkData[];
    }
  | {
      readonly kind: "table";
      readonly title: string;
      readonly note: string;
      readonly head: readonly string[];
      readonly rows: readonly (readonly string[])[];
    }
  | {
      /** Ratios to rivals with their intervals, against the levels of the goals. */
      readonly kind: "rows";
      readonly title: string;
      readonly note: string;
      readonly rows: readonly {
        readonly row: string;
        readonly what: string;
        readonly figure: string;
        readonly ours: string;
        readonly rival: string;
        readonly ratio: string;
        readonly interval: readonly [number, number] | null;
        readonly value: number | null;
        readonly lowerIsBetter: boolean;
        readonly met: string;
        readonly notes: readonly string[];
      }[];
    }
  | {
      readonly kind: "flame";
      readonly title: string;
      readonly note: string;
      readonly root: FlameNode;
    }
  | {
      /** Amounts side by side, by group: what one operation costs each store. */
      readonly kind: "bars";
      readonly title: string;
      readonly note: string;
      readonly groups: readonly {
        readonly title: string;
        readonly bars: readonly { readonly name: string; readonly value: number; readonly text: string }[];
      }[];
    }
  | { readonly kind: "text"; readonly title: string; readonly paragraphs: readonly string[] };

/** A frame of a flame graph: its own and its callees' time, microseconds. */
export interface FlameNode {
  readonly name: string;
  readonly us: number;
  readonly children: readonly FlameNode[];
}

export interface Page {
  readonly title: string;
  readonly lead: readonly string[];
  readonly sections: readonly Section[];
}
