// Counters, gauges and histograms, rendered in Prometheus' text form. A hot path holds the counter itself and adds to a
// field; names and labels are looked up once, at the start.

import { assert } from "./assert.ts";

export class Counter {
  value = 0;
  add(amount: number): void {
    this.value += amount;
  }
}

/** Cumulative buckets with upper bounds in ascending order; values in the metric's own unit (seconds, as a rule). */
export class Histogram {
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  count = 0;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    this.observeMany(value, 1);
  }

  /** The same value so many times: what was measured together counts in equal shares. */
  observeMany(value: number, times: number): void {
    this.count += times;
    this.sum += value * times;
    const bounds = this.bounds;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.counts[i]! += times;
  }
}

/** `count` bounds, the first `start`, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): number[] {
  const bounds: number[] = [];
  for (let i = 0, bound = start; i < count; i++, bound *= factor) bounds.push(bound);
  return bounds;
}

type Kind = "counter" | "gauge" | "histogram";
type Value = Counter | Histogram | (() => number);
export type Labels = Readonly<Record<string, string>>;

/** Values whose labels come and go, such as one a peer. */
export type Series = readonly (readonly [labels: Labels, value: number])[];

interface Family {
  readonly kind: Kind;
  readonly help: string;
  readonly values: Map<string, Value>;
  series: (() => Series) | undefined;
}

/** All metrics of one process. */
export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #afterRender: (() => void)[] = [];

  counter(name: string, help: string, labels?: Labels): Counter {
    return this.#value(name, "counter", help, labels, () => new Counter()) as Counter;
  }

  /** A value that is read when somebody asks. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): void {
    this.#family(name, "gauge", help).values.set(renderLabels(labels), read);
  }

  /** A counter that somebody else keeps. */
  counterOf(name: string, help: string, read: () => number, labels?: Labels): void {
    this.#family(name, "counter", help).values.set(renderLabels(labels), read);
  }

  /** A family whose labels are known only when somebody asks; without any it is not shown. */
  seriesOf(name: string, kind: "counter" | "gauge", help: string, read: () => Series): void {
    this.#family(name, kind, help).series = read;
  }

  histogram(name: string, help: string, bounds: readonly number[], labels?: Labels): Histogram {
    return this.#value(name, "histogram", help, labels, () => new Histogram(bounds)) as Histogram;
  }

  /** Called when a page was made: values that count from page to page begin anew. */
  afterRender(action: () => void): void {
    this.#afterRender.push(action);
  }

  /** Prometheus' text exposition format, version 0.0.4; families by name. */
  render(): string {
    const lines: string[] = [];
    for (const name of [...this.#families.keys()].sort()) {
      const family = this.#families.get(name)!;
      const series = family.series?.() ?? [];
      if (family.values.size + series.length === 0) continue;
      lines.push(`# HELP ${name} ${family.help}`, `# TYPE ${name} ${family.kind}`);
      for (const [labels, value] of family.values) renderValue(lines, name, labels, value);
      for (const [labels, value] of series) renderValue(lines, name, renderLabels(labels), () => value);
    }
    for (const action of this.#afterRender) action();
    return lines.join("\n") + "\n";
  }

  // oxlint-disable-next-line max-params -- private, and called when a metric is registered
  #value(name: string, kind: Kind, help: string, labels: Labels | undefined, make: () => Value): Value {
    const values = this.#family(name, kind, help).values;
    const key = renderLabels(labels);
    let value = values.get(key);
    if (value === undefined) values.set(key, (value = make()));
    return value;
  }

  #family(name: string, kind: Kind, help: string): Family {
    let family = this.#families.get(name);
    if (family === undefined)
      this.#families.set(name, (family = { kind, help, values: new Map(), series: undefined }));
    assert(family.kind === kind, "a metric has one kind");
    return family;
  }
}

function renderLabels(labels: Labels | undefined): string {
  if (labels === undefined) return "";
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`)
    .join(",");
}

function renderValue(lines: string[], name: string, labels: string, value: Value): void {
  const braces = labels === "" ? "" : `{${labels}}`;
  if (typeof value === "function") lines.push(`${name}${braces} ${value()}`);
  else if (value instanceof Counter) lines.push(`${name}${braces} ${value.value}`);
  else renderHistogram(lines, name, labels, value);
}

function renderHistogram(lines: string[], name: string, labels: string, histogram: Histogram): void {
  const prefix = labels === "" ? "" : `${labels},`;
  let cumulative = 0;
  for (let i = 0; i < histogram.bounds.length; i++) {
    cumulative += histogram.counts[i]!;
    lines.push(`${name}_bucket{${prefix}le="${histogram.bounds[i]}"} ${cumulative}`);
  }
  const braces = labels === "" ? "" : `{${labels}}`;
  lines.push(`${name}_bucket{${prefix}le="+Inf"} ${histogram.count}`);
  lines.push(`${name}_sum${braces} ${histogram.sum}`, `${name}_count${braces} ${histogram.count}`);
}
