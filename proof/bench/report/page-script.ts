// The program of a report page, as text: it runs in the reader's browser, with uPlot before it and the page's data in
// `PAGE`. No network, no build step; plain JavaScript that every browser of the last years has.

export const PAGE_SCRIPT = String.raw`
(() => {
  "use strict";
  const main = document.querySelector("main");
  const palette = {
    light: { holdfast: "#c2410c", etcd: "#2563eb", zookeeper: "#15803d", consul: "#be185d" },
    dark: { holdfast: "#fb923c", etcd: "#60a5fa", zookeeper: "#4ade80", consul: "#f472b6" },
  };
  const others = {
    light: ["#c2410c", "#2563eb", "#15803d", "#7c3aed", "#be185d", "#0e7490", "#a16207", "#475569"],
    dark: ["#fb923c", "#60a5fa", "#4ade80", "#a78bfa", "#f472b6", "#22d3ee", "#facc15", "#94a3b8"],
  };
  const theme = () => document.documentElement.dataset.theme ||
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const colour = (name, index) => palette[theme()][name.split(" ")[0]] || others[theme()][index % 8];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const three = (v) => Math.abs(v) >= 99.95 ? v.toFixed(0) : Math.abs(v) >= 9.995 ? v.toFixed(1) : v.toFixed(2);
  const short = (v) => Number(three(v)).toString();
  const units = {
    us: (v) => v < 999.5 ? short(v) + " µs" : v < 999500 ? short(v / 1e3) + " ms" : short(v / 1e6) + " s",
    rate: (v) => v >= 1e6 ? short(v / 1e6) + "M/s" : v >= 1e4 ? short(v / 1e3) + "k/s" : Math.round(v) + "/s",
    bytes: (v) => v >= 1e9 ? short(v / 1e9) + " GB" : v >= 1e6 ? short(v / 1e6) + " MB" : v >= 1e3 ? short(v / 1e3) + " kB" : short(v) + " B",
    percent: (v) => short(v) + " %",
    plain: (v) => v >= 1e6 ? short(v / 1e6) + "M" : v >= 1e4 ? short(v / 1e3) + "k" : short(v),
  };

  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    for (const child of children) made.append(child);
    return made;
  };

  const drawers = [];
  let timer = 0;
  const redraw = () => { for (const draw of drawers) draw(); };
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(redraw, 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.querySelector("#theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    redraw();
  });

  const percentileText = (x) => {
    const p = 100 * (1 - 1 / x);
    const digits = Math.max(0, Math.ceil(Math.log10(x) - 2));
    return (x <= 1 ? "0" : p.toFixed(x < 10 ? 0 : digits)) + " %";
  };

  const axis = (label, values, more) => Object.assign({
    label, values, stroke: css("--ink"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 },
  }, more || {});

  const marksPlugin = (marks) => ({ hooks: { draw: [(u) => {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.strokeStyle = css("--mark");
    ctx.fillStyle = css("--mark");
    ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
    // The axes have left theirs behind.
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.setLineDash([4, 4]);
    marks.forEach((mark, i) => {
      const x = u.valToPos(mark.x, "x", true);
      if (x < left || x > left + width) return;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      if (i < 12) ctx.fillText(mark.text, x + 4, top + (14 + (i % 4) * 14) * devicePixelRatio);
    });
    ctx.restore();
  }] } });

  const lanesOf = (lanes) => lanes.map((lane, i) => {
    const rail = element("div", { class: "rail" });
    const ticks = lane.marks.map((mark) => {
      const tick = element("i", { title: short(mark.x) + " s: " + mark.text, style: "background:" + colour(lane.name, i) });
      rail.append(tick);
      return { x: mark.x, tick };
    });
    return { rail, ticks, row: element("div", { class: "lane" }, element("span", {}, lane.name), rail) };
  });

  // Ticks follow the x axis, also when the reader looks closer.
  const placeLanes = (u, lanes) => {
    for (const { rail, ticks } of lanes) {
      rail.style.left = u.over.offsetLeft + "px";
      rail.style.width = u.over.offsetWidth + "px";
      for (const { x, tick } of ticks) {
        const at = u.valToPos(x, "x");
        tick.style.left = at + "px";
        tick.hidden = at < 0 || at > u.over.offsetWidth;
      }
    }
  };

  const linesSection = (section, box) => {
    const hold = element("div", { class: "plot" });
    let shown = 0;
    if (section.views.length > 1) {
      const bar = element("div", { class: "views", role: "group" });
      section.views.forEach((view, i) => {
        const button = element("button", { type: "button", "aria-pressed": String(i === 0) }, view.name);
        button.addEventListener("click", () => {
          shown = i;
          for (const other of bar.children) other.setAttribute("aria-pressed", String(other === button));
          draw();
        });
        bar.append(button);
      });
      box.append(bar);
    }
    box.append(hold);
    const format = units[section.unit];
    const draw = () => {
      hold.replaceChildren();
      const { lines } = section.views[shown];
      const xs = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
      const data = [xs, ...lines.map((line) => {
        const at = new Map(line.x.map((x, i) => [x, line.y[i]]));
        return xs.map((x) => at.has(x) ? at.get(x) : undefined);
      })];
      const lanes = lanesOf(section.lanes || []);
      const log = (scale) => scale === "log" ? { distr: 3, log: 10 } : {};
      const xValues = section.percentileAxis ? (u, ticks) => ticks.map((v) => v !== null && Math.log10(v) % 1 === 0 ? percentileText(v) : "") : (u, ticks) => ticks.map((v) => v === null ? "" : units.plain(v));
      new uPlot({
        width: hold.clientWidth, height: 320, padding: [null, 36, null, null],
        scales: { x: Object.assign({ time: false }, log(section.xScale)), y: Object.assign(section.yScale === "linear" ? { range: (u, low, high) => [0, high * 1.05 || 1] } : {}, log(section.yScale)) },
        axes: [axis(section.xLabel, xValues), axis(section.yLabel, (u, ticks) => ticks.map((v) => v === null ? "" : format(v)), { size: 76 })],
        series: [
          { label: section.percentileAxis ? "percentile" : section.xLabel, value: (u, v) => v === null || v === undefined ? "–" : section.percentileAxis ? percentileText(v) : units.plain(v) },
          ...lines.map((line, i) => ({
            label: line.name, stroke: colour(line.name, i), width: 1.75, spanGaps: true,
            points: { show: section.points || xs.length === 1, size: 7 },
            value: (u, v) => v === null || v === undefined ? "–" : format(v),
          })),
        ],
        plugins: section.marks.length ? [marksPlugin(section.marks)] : [],
        hooks: { draw: [(u) => placeLanes(u, lanes)] },
        cursor: { drag: { x: true, y: false } },
      }, data, hold);
      hold.append(...lanes.map((lane) => lane.row));
    };
    drawers.push(draw);
  };

  const heatSection = (section, box) => {
    const hold = element("div", { class: "plot" });
    box.append(hold);
    const rows = section.columns.flatMap((column) => column.map((cell) => cell[0]));
    const low = Math.min(...rows) - 1;
    const high = Math.max(...rows) + 1;
    const most = Math.max(1, ...section.columns.flatMap((column) => column.map((cell) => cell[1])));
    const usOf = (row) => 2 ** (row / 4);
    const draw = () => {
      hold.replaceChildren();
      const paint = (u) => {
        const { ctx } = u;
        ctx.save();
        const base = css("--heat").split(" ").join(",");
        section.columns.forEach((column, second) => {
          const left = u.valToPos(second, "x", true);
          const width = Math.max(1, u.valToPos(second + 1, "x", true) - left);
          for (const [row, count] of column) {
            const bottom = u.valToPos(usOf(row - 0.5), "y", true);
            const top = u.valToPos(usOf(row + 0.5), "y", true);
            // A single slow operation must be seen beside a thousand quick ones, hence the logarithm and the floor.
            ctx.fillStyle = "rgba(" + base + "," + (0.18 + 0.82 * Math.log1p(count) / Math.log1p(most)) + ")";
            ctx.fillRect(left, top, Math.ceil(width), Math.ceil(bottom - top));
          }
        });
        ctx.restore();
      };
      const xs = section.columns.map((_, i) => i);
      new uPlot({
        width: hold.clientWidth, height: 300, legend: { show: false }, cursor: { show: false },
        scales: { x: { time: false, range: [0, section.columns.length] }, y: { distr: 3, log: 10, range: [10 ** Math.floor(Math.log10(usOf(low))), 10 ** Math.ceil(Math.log10(usOf(high)))] } },
        axes: [axis("seconds", (u, ticks) => ticks.map((v) => units.plain(v))), axis("latency", (u, ticks) => ticks.map((v) => v === null ? "" : units.us(v)), { size: 76 })],
        series: [{}, { paths: () => null, points: { show: false } }],
        plugins: [{ hooks: { drawAxes: [paint] } }, marksPlugin(section.marks)],
      }, [xs, xs.map(() => usOf(low + 1))], hold);
    };
    drawers.push(draw);
  };

  const table = (head, rows) => element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((cell) => element("th", {}, cell)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell)))))));

  const ratioBar = (row) => {
    if (row.value === null || !isFinite(row.value)) return "";
    // From a tenth to ten times, logarithmic; 1 in the middle.
    const at = (ratio) => Math.max(0, Math.min(100, 50 + 50 * Math.log10(Math.max(1e-3, ratio))));
    const better = row.lowerIsBetter ? row.value < 1 : row.value > 1;
    const [first, last] = row.interval || [row.value, row.value];
    const bar = element("span", { class: "ratio" + (better ? " better" : " worse"), title: "ratio " + row.ratio });
    bar.append(element("i", { style: "left:" + at(first) + "%;width:" + Math.max(1, at(last) - at(first)) + "%" }), element("b", { style: "left:" + at(row.value) + "%" }));
    return bar;
  };

  const rowsSection = (section, box) => {
    const rows = section.rows.map((row) => {
      const badge = element("span", { class: "met " + row.met.replace(/ /g, "-") }, row.met);
      const what = element("span", {}, row.what);
      for (const note of row.notes) what.append(element("small", {}, note));
      return [row.row, what, row.figure, row.ours, row.rival, row.ratio, ratioBar(row), badge];
    });
    box.append(table(["row", "what", "figure", "ours", "rival", "ratio", "0.1 … 1 … 10", "met"], rows));
  };

  const barsSection = (section, box) => {
    const groups = section.groups.map((group) => {
      const most = Math.max(...group.bars.map((bar) => bar.value)) || 1;
      return { title: group.title, rows: group.bars.map((bar, i) => {
        const fill = element("i", { style: "width:" + 100 * bar.value / most + "%" });
        drawers.push(() => { fill.style.background = colour(bar.name, i); });
        return element("div", { class: "bar" }, element("span", {}, bar.name), element("div", {}, fill), element("span", {}, bar.text));
      }) };
    });
    box.append(element("div", { class: "bars" }, ...groups.map((group) => element("div", {}, element("h3", {}, group.title), ...group.rows))));
  };

  const flameSection = (section, box) => {
    const hold = element("div", { class: "flame" });
    const reset = element("button", { type: "button" }, "whole");
    box.append(element("div", { class: "views" }, reset), hold);
    let focus = section.root;
    reset.addEventListener("click", () => { focus = section.root; draw(); });
    const hue = (name) => { let h = 0; for (const c of name) h = (h * 31 + c.charCodeAt(0)) | 0; return 8 + Math.abs(h) % 44; };
    const draw = () => {
      hold.replaceChildren();
      let depthMax = 0;
      const place = (node, left, depth) => {
        const share = node.us / focus.us;
        if (share < 0.0015 || depth > 60) return;
        depthMax = Math.max(depthMax, depth);
        const percent = (100 * node.us / section.root.us).toFixed(1) + " %";
        const bar = element("div", { class: "frame", title: node.name + ": " + units.us(node.us) + ", " + percent, style:
          "left:" + 100 * left + "%;width:" + 100 * share + "%;top:" + depth * 20 + "px;background:hsl(" + hue(node.name) + " 78% " + (theme() === "dark" ? 38 : 70) + "%)" }, share > 0.02 ? node.name : "");
        bar.addEventListener("click", () => { focus = node; draw(); });
        hold.append(bar);
        let at = left;
        for (const child of node.children) { place(child, at, depth + 1); at += child.us / focus.us; }
      };
      place(focus, 0, 0);
      hold.style.height = (depthMax + 1) * 20 + "px";
    };
    drawers.push(draw);
  };

  for (const section of PAGE.sections) {
    const box = element("section", {}, element("h2", {}, section.title));
    if (section.note) box.append(element("p", { class: "note" }, section.note));
    main.append(box);
    if (section.kind === "lines") linesSection(section, box);
    else if (section.kind === "heat") heatSection(section, box);
    else if (section.kind === "table") box.append(table(section.head, section.rows));
    else if (section.kind === "rows") rowsSection(section, box);
    else if (section.kind === "bars") barsSection(section, box);
    else if (section.kind === "flame") flameSection(section, box);
    else for (const paragraph of section.paragraphs) box.append(element("p", {}, paragraph));
  }
  redraw();
  document.documentElement.dataset.drawn = "yes";
})();
`;

export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1f2937; --soft: #57606a; --ground: #ffffff; --card: #f8fafc; --grid: #e2e8f0; --mark: #9f1239; --heat: 194 65 12; --good: #166534; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { --ink: #e5e7eb; --soft: #9ca3af; --ground: #0f172a; --card: #1e293b; --grid: #334155; --mark: #fda4af; --heat: 251 146 60; --good: #4ade80; --bad: #f87171; } }
:root[data-theme="dark"] { color-scheme: dark; --ink: #e5e7eb; --soft: #9ca3af; --ground: #0f172a; --card: #1e293b; --grid: #334155; --mark: #fda4af; --heat: 251 146 60; --good: #4ade80; --bad: #f87171; }
:root[data-theme="light"] { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; display: grid; grid-template-columns: 1fr auto; gap: 0 16px; align-items: start; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 8px; text-wrap: balance; }
h2 { font-size: 17px; margin: 0 0 4px; }
.lead { grid-column: 1; margin: 0 0 4px; color: var(--soft); font-size: 14px; }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 10px; padding: 16px 18px; margin: 18px 0; }
.note { margin: 0 0 10px; color: var(--soft); font-size: 13.5px; }
button { font: inherit; font-size: 13px; color: inherit; background: var(--ground); border: 1px solid var(--grid); border-radius: 7px; padding: 3px 10px; cursor: pointer; }
button:focus-visible { outline: 2px solid var(--ink); outline-offset: 1px; }
button[aria-pressed="true"] { background: var(--ink); color: var(--ground); border-color: var(--ink); }
.views { display: flex; gap: 6px; margin-bottom: 8px; flex-wrap: wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { font-weight: 600; color: var(--soft); }
td { white-space: nowrap; } td:nth-child(2) { white-space: normal; min-width: 120px; }
td small { display: block; color: var(--soft); }
.met { padding: 1px 8px; border-radius: 99px; border: 1px solid currentColor; white-space: nowrap; }
.met.gate, .met.target, .met.stretch, .met.kept { color: var(--good); } .met.not-met, .met.broken { color: var(--bad); }
.ratio { position: relative; display: inline-block; width: 130px; height: 14px; border-left: 1px solid var(--grid); border-right: 1px solid var(--grid); background: linear-gradient(var(--grid), var(--grid)) center / 1px 100% no-repeat; }
.ratio i { position: absolute; top: 5px; height: 4px; opacity: 0.45; background: currentColor; } .ratio b { position: absolute; top: 1px; width: 3px; margin-left: -1px; height: 12px; background: currentColor; }
.better { color: var(--good); } .worse { color: var(--bad); }
.lane { position: relative; height: 18px; font-size: 11.5px; color: var(--soft); border-bottom: 1px solid var(--grid); } .lane span { position: absolute; left: 0; }
.rail { position: absolute; top: 2px; bottom: 1px; } .rail i { position: absolute; width: 3px; margin-left: -1px; top: 0; bottom: 0; border-radius: 1px; } .rail i[hidden] { display: none; }
.bars { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 4px 32px; } h3 { font-size: 13.5px; font-weight: 600; margin: 8px 0 4px; }
.bar { display: grid; grid-template-columns: 84px 1fr 76px; gap: 8px; align-items: center; font-size: 13px; font-variant-numeric: tabular-nums; line-height: 1.6; } .bar i { display: block; height: 12px; min-width: 2px; border-radius: 2px; } .bar span:last-child { text-align: right; }
.flame { position: relative; overflow: hidden; } .frame { position: absolute; height: 19px; overflow: hidden; white-space: nowrap; font-size: 11.5px; line-height: 19px; padding: 0 3px; border-right: 1px solid var(--ground); cursor: pointer; }
.u-legend { font-size: 13px; color: var(--ink); text-align: left; }
`;
