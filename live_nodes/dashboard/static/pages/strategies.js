// Strategies beside each other, and one strategy: signals, decisions and why, orders, fills, equity.

import { chart, curves } from "../charts.js";
import { figure, h, moment, money, panel, percent, plain, table, tile, tiles } from "../dom.js";
import {
  figureCol, fillsTable, gain, head, link, noNodes, positionsTable, side, state, strategyLink, textCol, timeCol,
    unread, wordsCol,
} from "./common.js";

const YOUNG = "needs 30 days";
const yearly = (figures, name) => (figures?.[name] == null ? h("span.muted", { title: YOUNG }, "–")
  : figure(figures[name]));
const statCol = (name, key, how) => ({ name, n: true, by: (r) => r.figures?.[key], cell: (r) => how(r.figures) });

/** Carry each result, which changes at fills alone, on to the newest of all. */
function steps(lines) {
  const last = Math.max(...lines.map(({ points }) => points.at(-1)[0]));
  return lines.map(({ name, points }) => ({ name, points: [...points, [last, points.at(-1)[1]]], steps: 1 }));
}

export const comparison = {
  name: "compare", title: "Strategies", key: "s", hears: ["fill", "decision", "verdict", "equity", "refresh"],
  read: ({ api, automatic }) => api.get("strategies", {}, automatic),
  draw({ rows, errors }) {
    if (!rows.length && !unread(errors)) return [head("Strategies"), noNodes()];
    const lines = rows.filter((r) => r.curve.length > 1)
      .map((r) => ({ name: rows.some((o) => o !== r && o.strategy === r.strategy) ? `${r.node} ${r.strategy}`
        : r.strategy, points: r.curve }));
    return [head("Strategies"), unread(errors),
      panel("Realised, net, since the journal began", lines.length
        ? chart("compare", "Net realised result of each strategy", curves(steps(lines)))
        : h("p.empty", null, "The first closed positions draw a line here.")),
      panel("Side by side", table("compare", "Strategies", [
        { name: "Strategy", by: (r) => r.strategy, cell: (r) => strategyLink(r.node, r.strategy) },
        textCol("Node", "node"),
        { name: "Entries", by: (r) => r.halted, cell: (r) => state(r.halted ? "halted" : r.enabled ? "on" : "off") },
        figureCol("Realised today", "day_realized", gain), figureCol("Realised, net", "realized", gain),
        figureCol("Open", "unrealized", gain),
        figureCol("Gross", "gross"), figureCol("Net", "net"), figureCol("Positions", "positions", (v) => v),
        figureCol("Fees", "fees"), figureCol("Funding", "funding", gain), figureCol("Slippage", "slippage"),
        figureCol("Volume", "volume"),
        figureCol("Trades", "trips", (v) => v), figureCol("Won", "win_rate", (v) => percent(v, 0)),
        figureCol("Profit factor", "profit_factor", figure),
        statCol("Return", "total_return", (f) => percent(f?.total_return)),
        statCol("Sharpe", "sharpe", (f) => yearly(f, "sharpe")),
        statCol("Max drawdown", "max_drawdown", (f) => percent(f?.max_drawdown)),
        timeCol("Last decision", "last_decision"),
      ], rows, "No node could be read."),
        h("p.hint", null, "Realised: after fees and funding, without what is open. Sharpe needs 30 days."))];
  },
};

const why = (d) => h("details", { "data-key": d.id }, h("summary", null,
  d.note || d.why[0] || (d.orders ? `${d.orders} orders` : "nothing to do")),
  h("ul.bare", null, d.why.map((text) => h("li", null, text)),
    Object.entries(d.refusals ?? {}).map(([code, n]) => h("li", null, `did not enter ${n} times: ${code}`))));

const strength = (row) => (row.strength == null ? "" :
  h("meter", { min: "0", max: "1", value: row.strength, "aria-label": `strength ${percent(row.strength, 0)}`,
    title: percent(row.strength, 0) }));

function signals({ ts, rows } = { rows: [] }) {
  const scored = rows.some((r) => r.scores);
  return panel("Signals", ts ? h("p.hint", null, "Of the decision at ", moment(ts)) : "", table("signals", "Signals", [
    textCol("Symbol", "symbol"), figureCol("Score", "score", (v) => figure(v, 4)),
    { name: "Strength", by: (r) => r.strength, cell: strength },
    figureCol("Rank", "rank", (v) => v), figureCol("Weight", "weight", percent), figureCol("Held", "current", plain),
    figureCol("Target", "target", plain),
    figureCol("Order", "order", plain),
    ...(scored ? [{ name: "Parts", text: true, cell: (r) => Object.entries(r.scores ?? {}).map(([k, v]) =>
    `${k} ${v == null ? "warming up" : figure(v)}`).join(", ") }] : []),
    { name: "Note", text: true, cell: (r) => [r.held_back_by
    ? [state("halted"), ` by ${r.held_back_by}, wanted ${plain(r.wanted)}. `] : "", r.reason] },
  ], rows, "No decision with targets yet: the first one at the strategy's schedule fills this."));
}

function band({ band: b, band_why: reason }) {
  if (!b) return panel("Live against the backtest", h("p.empty", null,
    reason ?? "No release of this node has a study."));
  const x = b.days.map(([day]) => day);
  return panel("Live against the backtest",
    h("p", null, state(b.inside == null ? "too early" : b.inside ? "ok" : "bad"), ` ${b.text}`),
    chart("band", "Result in percent, live and the study's band, by day",
      { x, time: false, axis: "Day", rest: Math.max(0, b.days.findLastIndex((d) => d[3] != null)), bands: [[1, 0]],
      series: [
      { name: "Band, lower", values: b.days.map((d) => d[1]), colour: "--muted", dash: [3, 3] },
      { name: "Band, upper", values: b.days.map((d) => d[2]), colour: "--muted", dash: [3, 3] },
      { name: "Live", values: b.days.map((d) => d[3]) }] }));
}

export const strategy = {
  name: "strategy", title: "Strategy", below: "compare",
  read: ({ words: [node, key], api, automatic }) => api.get(`nodes/${node}/strategies/${encodeURIComponent(key)}`, {},
  automatic),
  draw(d) {
    const f = d.figures ?? {};
    const t = d.totals ?? {};
    const basis = d.equity.basis === "account" ? "Equity of the account" : "Closed results on the account's equity";
    const young = f.sharpe == null ? YOUNG : "a year of 365 days";
    return [head(d.strategy, link(`risk/${d.node}`, "Risk"),
      link(`trades?node=${d.node}&strategy=${d.strategy}`, "Trades"), link(`config/${d.node}`, "Configuration")),
      h("p.hint", null, `${d.node} · ${d.use ?? "not in the document"}${d.enabled || !d.use ? "" : " · switched off"} · ${basis}`),
      tiles(tile("Realised, net", gain(t.realized)), tile("Open", gain(t.unrealized)),
      tile("Return", percent(f.total_return), f.days == null ? "" : `${figure(f.days, 1)} days`),
        tile("Sharpe", figure(f.sharpe), young), tile("Sortino", figure(f.sortino), young),
        tile("Calmar", figure(f.calmar), young),
        tile("Max drawdown", percent(f.max_drawdown)), tile("Trades", `${t.trips ?? 0}`,
        t.trips ? `${percent(t.win_rate, 0)} won` : "")),
      panel("Equity", d.equity.curve.length > 1 ? [chart("equity", basis,
      curves([{ name: "Equity", points: d.equity.curve, fill: "--accent-soft",
      steps: d.equity.basis === "account" ? null : 1 }])),
        chart("drawdown", "Drawdown in percent", { height: 130,
          ...curves([{ name: "Drawdown, %", points: d.equity.drawdown.map(([ts, v]) => [ts, 100 * v]),
          steps: d.equity.basis === "account" ? null : 1, colour: "--bad",
          fill: "--bad-soft" }]) })]
        : h("p.empty", null, "Equity is written while the node runs; two figures draw a line.")),
      band(d), signals(d.signals ?? undefined),
      panel("Positions", positionsTable("strategy-positions", d.positions, "Holds nothing.", { all: false })),
      panel("Decisions", table("decisions", "Decisions", [timeCol("Time, UTC"), textCol("Kind", "kind"),
        { name: "Why", text: true, cell: why }, figureCol("Orders", "orders", (v) => v),
        figureCol("Sized on", "equity"), figureCol("Size", "multiplier", (v) => `${figure(v)} ×`),
        figureCol("Gross", "gross", (v) => figure(v)), figureCol("Net", "net", (v) => figure(v))], d.decisions,
        "No decision yet: it decides on its schedule.")),
      panel("Orders", table("orders", "Orders", [timeCol("Created, UTC", "created"), textCol("Symbol", "symbol"),
      textCol("Side", "side", side),
        figureCol("Quantity", "quantity", plain), figureCol("Filled", "filled", plain),
        figureCol("Price", "price", plain), figureCol("Trigger", "trigger", plain),
        textCol("Type", "type"), textCol("Status", "status"), textCol("Role", "exit", (v) => (v ? "exit" : "entry")),
        wordsCol("Reason", "reason"),
        textCol("Id", "id", (v) => h("code", null, v))],
      d.orders, "No orders yet.")),
      panel("Fills", fillsTable("strategy-fills", d.fills, "No fills yet.", { all: false }))];
  },
};
