// Positions as a heatmap of their share of equity, and as a table.

import { h, money, panel, percent, table } from "../dom.js";
import { gain, head, noNodes, positionsTable, strategyLink, unread } from "./common.js";

function cell(found) {
  if (!found) return h("span.muted", null, "·");
  return [h("b", null, percent(found.weight, 1)), h("br"), h("span.hint", null, gain(found.unrealized))];
}
/** Return a colour that grows with the share of equity; sign and figure stand in the cell. */
function heat(found, most) {
  if (!found?.weight) return null;
  const share = Math.round(6 + (28 * Math.abs(found.weight)) / most);
  return { background: `color-mix(in srgb, var(${found.weight > 0 ? "--good" : "--bad"}) ${share}%, var(--panel))` };
}

function map(positions) {
  const owners = [...new Map(positions.map((p) => [`${p.node} ${p.strategy}`, p])).values()];
  const several = new Set(owners.map((o) => o.node)).size > 1;
  const symbols = [...new Set(positions.map((p) => p.symbol))].sort();
  const most = Math.max(...positions.map((p) => Math.abs(p.weight ?? 0))) || 1;
  const at = new Map(positions.map((p) => [`${p.symbol} ${p.node} ${p.strategy}`, p]));
  return h("div.scroll.heat", { role: "region", tabindex: "0", "aria-label": "Heatmap" }, h("table", null,
    h("caption.unseen", null, "Share of equity and open profit by symbol and strategy"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Symbol"),
    owners.map((o) => h("th.n", { scope: "col" }, strategyLink(o.node, o.strategy),
    several ? [h("br"), o.node] : "")))),
    h("tbody", null, symbols.map((symbol) => h("tr", null, h("th", { scope: "row" }, symbol), owners.map((o) => {
      const found = at.get(`${symbol} ${o.node} ${o.strategy}`);
      return h("td", { style: heat(found, most) }, cell(found));
    }))))));
}

export const positions = {
  name: "positions", title: "Positions", key: "p", hears: ["fill", "position", "equity", "status", "refresh"],
  read: ({ api, automatic }) => api.get("positions", {}, automatic),
  draw({ nodes, positions: all, errors }) {
    if (!nodes.length && !unread(errors)) return [head("Positions"), noNodes()];
    if (!all.length) return [head("Positions"), unread(errors), h("p.empty", null,
      "No node holds anything. Positions appear within a second of their fill.")];
    return [head("Positions"), unread(errors), panel("Heatmap", h("p.hint", null,
      "Share of the node's equity, signed; green is long, red is short. Below it the open profit."), map(all)),
      panel("All positions", positionsTable("positions", all, "")),
      panel("Accounts", table("accounts", "Accounts", [{ name: "Node", cell: (n) => n.node, by: (n) => n.node },
        { name: "Equity", n: true, cell: (n) => money(n.equity), by: (n) => n.equity }], nodes, ""))];
  },
};
