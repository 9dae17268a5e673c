import assert from "node:assert/strict";
import { test } from "node:test";
import { exponentialBounds, Metrics } from "./metrics.ts";

test("a page has families by name, each with help, type and its values", () => {
  const metrics = new Metrics();
  metrics.counter("b_total", "B.", { kind: 'a "b"' }).add(2);
  metrics.gauge("a", "A.", () => 1.5);
  const histogram = metrics.histogram("c_seconds", "C.", exponentialBounds(1, 2, 2));
  histogram.observe(1);
  histogram.observeMany(1.5, 3);
  histogram.observe(5);
  assert.equal(
    metrics.render(),
    `# HELP a A.
# TYPE a gauge
a 1.5
# HELP b_total B.
# TYPE b_total counter
b_total{kind="a \\"b\\""} 2
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{le="1"} 1
c_seconds_bucket{le="2"} 4
c_seconds_bucket{le="+Inf"} 5
c_seconds_sum 10.5
c_seconds_count 5
`,
  );
});

test("series are asked for with every page, and a family without any is not shown", () => {
  const metrics = new Metrics();
  let peers = ["x"];
  metrics.seriesOf("peers", "gauge", "P.", () => peers.map((to) => [{ to }, 1] as const));
  assert.match(metrics.render(), /^peers\{to="x"\} 1$/m);
  peers = [];
  assert.equal(metrics.render(), "\n");
});

test("what is to happen after a page happens after each", () => {
  const metrics = new Metrics();
  let count = 0;
  metrics.gauge("count", "C.", () => count);
  metrics.afterRender(() => count++);
  assert.match(metrics.render(), /^count 0$/m);
  assert.match(metrics.render(), /^count 1$/m);
});
