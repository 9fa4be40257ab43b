// Charts by uPlot (its standalone build makes the global `uPlot`): lines, steps and a band.

import { figure, h } from "./dom.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const utc = (seconds, from, to) => {
  const iso = new Date(seconds * 1000).toISOString();
  return iso.slice(from, to).replace("T", " ");
};
const ticks = (_, splits, __, ___, step) =>
  splits.map((s) => (step >= 86400 ? utc(s, 5, 10) : step >= 60 ? utc(s, 11, 16) : utc(s, 11, 19)));

/** Return what a listener hears instead of the picture. */
function summary(label, { x, series, time }) {
  if (!x.length) return `${label}: nothing yet`;
  const at = (v) => (time ? `${utc(v, 0, 16)} UTC` : v);
  const said = series.map(({ name, values }) => {
    const known = values.filter((v) => v != null);
    if (!known.length) return `${name} has no values`;
    const [low, high] = known.reduce(([l, u], v) => [Math.min(l, v), Math.max(u, v)], [Infinity, -Infinity]);
    const [first, last, least, most] = [known[0], known.at(-1), low, high].map((v) => figure(v));
    return `${name} from ${first} to ${last}, lowest ${least}, highest ${most}`;
  });
  return `${label}, ${at(x[0])} to ${at(x.at(-1))}: ${said.join("; ")}`;
}

/**
 * Return a chart. `given`: `x` (seconds, or numbers without `time`), `series` of `{name, values,
 * colour, dash, fill, steps, points}` (colour: a custom property; points: their size), `bands` of pairs of series,
 * `axis` the name of x, `rest` the index that the legend names while no pointer is on the chart
 * (else each series' last).
 */
export function chart(key, label, given) {
  const node = h("div.chart", { "data-key": key, role: "img" });
  let plot = null;
  const data = () => [node.given.x, ...node.given.series.map((s) => s.values)];
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(node.given, node.clientWidth), data(), node);
  };
  const shape = ({ series }) => series.map((s) => s.name).join();
  node.redraw = (next) => {
    const same = plot && shape(next) === shape(node.given);
    node.given = next;
    node.setAttribute("aria-label", summary(label, next));
    if (same) plot.setData(data());
    else if (plot) draw();
  };
  node.redraw(given);
  let width = 0;
  new ResizeObserver(() => {
    if (!node.isConnected || node.clientWidth === width) return;
    width = node.clientWidth;
    if (plot) plot.setSize({ width, height: node.given.height ?? 240 });
    else draw();
  }).observe(node);
  const renew = () => (node.isConnected ? draw() : window.removeEventListener("theme", renew));
  window.addEventListener("theme", renew);
  return node;
}

/** Return the range of an axis: a little more than its values, around one that never changes. */
function range(_, low, high) {
  if (low == null) return [0, 1];
  const pad = Math.abs(low) * 0.001 || 1;
  return low === high ? [low - pad, high + pad] : uPlot.rangeNum(low, high, 0.1, true);
}
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200,
  ...[1, 2, 4, 7, 14, 30, 60, 91, 182, 365].map((days) => days * 86400)];

function options({ series, bands = [], time = true, height = 240, places = 2, axis: name = "UTC", rest }, width) {
  const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
  // The legend names the values under the pointer, without one the last.
  const shown = (words) => (u, v, i) => {
    const value = u.cursor.idx != null ? v : rest != null ? u.data[i][rest] : u.data[i].findLast((x) => x != null);
    return value == null ? "–" : words(value);
  };
  const text = (v, how) => v.toLocaleString("en", how).replace(/^-0$/, "0").replace("-", "−");
  // What is small must not look like nothing.
  const digits = (v) => text(v, v && Math.abs(v) < 10 ** -places ? { maximumSignificantDigits: 2 }
    : { maximumFractionDigits: places });
  const split = (v, step) => text(v, { maximumFractionDigits: Math.max(places, Math.ceil(-Math.log10(step))) });
  return {
    width,
    height,
    scales: { x: { time }, y: { range } },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    padding: [8, 28, 0, 0],
    axes: [
      { ...axis, size: 32, space: 72, ...(time ? { values: ticks, incrs: STEPS } : {}) },
      { ...axis, size: 72, values: (_, splits, axis, space, step) => splits.map((v) => split(v, step)) },
    ],
    series: [
      { label: name, value: shown((v) => (time ? utc(v, 0, 19) : digits(v))) },
      ...series.map((s) => ({
        label: s.name,
        stroke: css(s.colour ?? "--accent"),
        width: 1.6,
        dash: s.dash,
        fill: s.fill ? css(s.fill) : undefined,
        paths: s.points ? () => null : s.steps ? uPlot.paths.stepped({ align: s.steps }) : undefined,
        spanGaps: true,
        points: { show: Boolean(s.points), size: s.points, fill: css(s.colour ?? "--accent") },
        value: shown(digits),
      })),
    ],
    bands: bands.map(([a, b]) => ({ series: [a + 1, b + 1], fill: css("--band") })),
  };
}

const COLOURS = ["--accent", "--second", "--good", "--bad", "--muted"];
const DASHES = [undefined, [8, 4], [2, 3], [8, 3, 2, 3]];

/** Return what `chart` draws for several curves `{name, points: [[milliseconds, value], …]}`. */
export function curves(all) {
  const joined = all.length
    ? uPlot.join(all.map(({ points }) => [points.map(([ts]) => ts / 1000), points.map(([, v]) => v)]))
    : [[]];
  return {
    x: joined[0],
    series: all.map(({ points, ...how }, i) => ({
      colour: COLOURS[i % COLOURS.length],
      dash: DASHES[Math.floor(i / COLOURS.length + i) % DASHES.length],
      ...how,
      values: joined[i + 1],
    })),
  };
}
