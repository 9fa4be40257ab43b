// What several pages show: titles, tabs of nodes, tables of fills and positions, verdicts.

import { ago, badge, h, moment, money, percent, plain, table } from "../dom.js";

export const link = (path, ...text) => h("a", { href: `#/${path}` }, ...text);
export const strategyLink = (node, key) =>
  key ? link(`strategy/${node}/${encodeURIComponent(key)}`, key) : h("span.muted", null, "by hand");

export const head = (title, ...acts) =>
  h("div.head", null, h("h1", { tabindex: "-1" }, title), acts.length ? h("div.acts", null, acts) : "");
export const button = (text, onclick, kind = "") => h("button", { type: "button", class: kind, onclick }, text);

/** Read what `path` says of the node that the address names, else of the first. */
export async function ofNode({ words, api, automatic }, path, params) {
  const nodes = await api.nodes();
  const node = words[0] ?? nodes[0];
  return { nodes, node, of: node ? await api.get(`nodes/${node}/${path}`, params, automatic) : null };
}

/** Return links to the same page of each node. */
export const tabs = (page, nodes, chosen) => (nodes.length < 2 ? "" : h("nav.tabs", { "aria-label": "Nodes" },
  nodes.map((node) => h("a", { href: `#/${page}/${node}`, "aria-current": node === chosen ? "page" : null }, node))));

/** Say which nodes could not be read, so that none is missing unseen; empty where all could. */
export const unread = (errors) => (Object.keys(errors ?? {}).length ? h("div.notice.bad", { role: "alert" },
  Object.entries(errors).map(([node, why]) => h("div", null, h("b", null, node), ` can't be read: ${why}`))) : "");
export const noNodes = () =>
  h("p.empty", null, "No node has a journal yet. Start one: ",
    h("code", null, "perpdesk live live_nodes/nodes/xs_reversal_practice.yaml"));

const KINDS = { ok: "good", running: "good", ready: "good", warning: "warn", starting: "warn", stopping: "warn",
  connected: "warn", bad: "bad", dead: "bad", failed: "bad", down: "bad", halted: "bad", silent: "bad",
  error: "bad", critical: "bad", shrunk: "warn", "no reading": "warn" };
/** Whether a node's process lives, so that what its journal says is of now. */
export const runs = (node) => ["running", "starting", "stopping"].includes(node.state);
export const state = (word) => badge(word, KINDS[word] ?? "");

const ACTIONS = { none: "released", shrink: "shrink", halt_entries: "halt entries", reduce_only: "reduce only",
  flatten: "flatten" };
export const action = (word) => badge(ACTIONS[word] ?? word,
  word === "none" ? "good" : word === "shrink" ? "warn" : "bad");

const UP = { BUY: true, LONG: true, SELL: false, SHORT: false };
export const side = (word) => (word in UP
  ? h("span.side", { class: UP[word] ? "good" : "bad" }, `${UP[word] ? "▲" : "▼"} ${word.toLowerCase()}`) : word);

const number = (row, name) => (row[name] == null ? null : Number(row[name]));
const col = (name, cell, by, n = false) => ({ name, cell, by, n });
export const figureCol = (name, key, how = (v) => money(v)) => col(name, (r) => how(r[key]), (r) => number(r, key),
  true);
export const wordsCol = (name, key) => ({ ...col(name, (r) => r[key], (r) => r[key]), text: true });
export const textCol = (name, key, how = (v) => v) => col(name, (r) => how(r[key]), (r) => r[key]);
export const timeCol = (name, key = "ts") => col(name, (r) => moment(r[key]), (r) => r[key]);
export const gain = (v) => money(v, { signed: true });

export const strategyCol = col("Strategy", (r) => strategyLink(r.node, r.strategy), (r) => r.strategy);
/** Return what a verdict covers, as short as it can be. */
export const scope = (text) => h("span", { title: text }, text.replace(/^(strategy|instrument):/,
  "").replace(/\.BYBIT$/, "") || "–");
export const scopeCol = textCol("Scope", "scope", scope);

/** Return an average price without the zeros that division left at its end. */
export const average = (v) => (v?.includes(".") ? plain(v).replace(/\.?0+$/, "") : plain(v));

export const fillsTable = (id, rows, empty, { all = true } = {}) => table(id, "Fills", [
  timeCol("Time, UTC"), ...(all ? [strategyCol] : []), textCol("Symbol", "symbol"), textCol("Side", "side", side),
  figureCol("Quantity", "quantity", plain),
  figureCol("Price", "price", plain), figureCol("Value", "notional"),
  col("Fee", (r) => (r.fee_coin === "USDT" ? money(r.fee, { places: 4 }) : `${plain(r.fee)} ${r.fee_coin}`),
  (r) => number(r, "fee"), true),
  figureCol("Slippage", "slippage"), textCol("As", "liquidity", (v) => v.toLowerCase()), textCol("Kind", "kind"),
  textCol("Order", "order", (v) => h("code", null, v)),
], rows, empty);

export const positionsTable = (id, rows, empty, { all = true } = {}) => table(id, "Positions", [
  textCol("Symbol", "symbol"), ...(all && new Set(rows.map((r) => r.node)).size > 1 ? [textCol("Node", "node")] : []),
  ...(all ? [strategyCol] : []), figureCol("Quantity", "quantity", plain), figureCol("Entry", "entry", average),
  figureCol("Mark", "mark", plain),
  figureCol("Value", "notional"), figureCol("Of equity", "weight", percent), figureCol("Open P&L", "unrealized", gain),
  figureCol("Open P&L, %", "pct", percent), figureCol("Realised", "realized", gain), timeCol("Changed", "changed"),
], rows, empty);

/** Return what was asked of a node and is not read yet. */
export const waitingList = (node) => node.waiting.map((w) => h("p.notice", null, `Asked ${ago(w.asked)}, `
  + `${runs(node) ? "not yet read by the node" : "the node reads it at its next start"}: ${w.command} ${w.guard} `
  + `(${w.reason})`));

/** Return verdicts as a list; `acts` what can be done about one. */
export const verdictList = (verdicts, acts = () => "") => h("ul.bare", null, verdicts.map((v) =>
  h("li", null, action(v.action), " ", h("b", null, v.guard), " ", scope(v.scope), `: ${v.reason} `,
    h("span.hint", null, "since ", moment(v.since), v.until ? [", looks again ", moment(v.until)] : ""), acts(v))));

/** Return a form whose fields go into the address. */
export function filters(page, query, go, ...fields) {
  const form = h("form.filters", { role: "search", "aria-label": "Filters" }, fields);
  const apply = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target.closest("form"))].filter(([, value]) => value);
    go(`#/${page}${given.length ? `?${new URLSearchParams(given)}` : ""}`);
  };
  form.onchange = form.onsubmit = apply;
  return form;
}
export const input = (label, name, query, props = {}) =>
  h("label", null, label, h("input", { name, value: query.get(name), ...props }));
export const select = (label, name, query, options) => h("label", null, label,
  h("select", { name }, options.map(([value, text]) => h("option",
    { value, selected: (query.get(name) ?? "") === value }, text))));
