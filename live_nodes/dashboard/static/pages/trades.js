// History of fills and of closed round trips, filtered, and as CSV.

import { badge, h, moment, panel, plain, table } from "../dom.js";
import {
  average, button, figureCol, fillsTable, filters, gain, head, input, noNodes, select, side, strategyCol, textCol,
    timeCol,
} from "./common.js";

const DAY = 86_400_000;

/** Return an instrument's id by what a trader types: BTCUSDT, BTCUSDT-SPOT, or the whole id. */
function instrumentOf(text) {
  const name = text.trim().toUpperCase();
  return name.includes(".") ? name : `${name}${name.includes("-") ? "" : "-LINEAR"}.BYBIT`;
}

/** Return what the server filters by; `to` is the end of the day that is named. */
function wanted(query) {
  const { from, to, show, instrument, ...rest } = Object.fromEntries(query);
  return { ...rest, instrument: instrument && instrumentOf(instrument), from: from && Date.parse(from),
    to: to && Date.parse(to) + DAY };
}

export const trades = {
  name: "trades", title: "Trades", key: "t", hears: ["fill", "refresh"],
  async read({ query, api, automatic, before }) {
    const what = query.get("show") === "trips" ? "trips" : "trades";
    const nodes = await api.nodes();
    const node = query.get("node") ?? nodes[0];
    if (!node) return {};
    const asked = { ...wanted(query), node };
    const csv = `/api/trades.csv${api.query(asked)}`;
    if (automatic && before?.further && before.csv === csv) return before;
    const [found, { rows }] = await Promise.all([api.get(what, asked, automatic),
      api.get("strategies", { node }, automatic)]);
    const more = () => api.get(what, { ...asked, cursor: found.next });
    return { what, found, more, nodes, known: rows.map((r) => r.strategy), csv };
  },
  draw(data, { query, go, show }) {
    const { what, found, nodes, known, csv } = data;
    if (!found) return [head("Trades"), noNodes()];
    const further = async () => {
      const more = await data.more();
      data.further = true;
      Object.assign(found, more, { rows: [...found.rows, ...more.rows] });
      show();
    };
    const rows = what === "trips" ? table("trips", "Round trips", [
      { name: "Closed, UTC", by: (r) => r.closed, cell: (r) => (r.closed ? moment(r.closed) : badge("open")) },
      strategyCol,
      textCol("Symbol", "symbol"), textCol("Side", "side", side), figureCol("Quantity", "quantity", plain),
      figureCol("Entry", "entry", average), figureCol("Exit", "exit", average),
      figureCol("Gross", "gross", gain), figureCol("Fees", "fees"), figureCol("Funding", "funding", gain),
      figureCol("Net", "net", gain), timeCol("Opened, UTC", "opened"),
    ], found.rows, "No position, open or closed, passes these filters.")
      : fillsTable("fills", found.rows, "No fill passes these filters. Widen the dates, or choose all.");
    return [head("Trades", h("a", { href: csv, download: "trades.csv" }, "Download CSV")),
      filters("trades", query, go,
        select("Show", "show", query, [["", "fills"], ["trips", "round trips"]]),
        select("Node", "node", query, nodes.map((id) => [id, id])),
        select("Strategy", "strategy", query, [["", "all"], ...known.map((key) => [key, key])]),
        input("Instrument", "instrument", query, { placeholder: "BTCUSDT" }),
        ...(what === "trips" ? [] : [select("Side", "side", query, [["", "both"], ["BUY", "buy"], ["SELL", "sell"]]),
          select("Kind", "kind", query, [["", "all"], ["Trade", "trades"], ["Funding", "funding"],
          ["BustTrade", "liquidations"], ["AdlTrade", "ADL"], ["TRANSFER_IN", "deposits"],
          ["TRANSFER_OUT", "withdrawals"]])]),
        input("From, UTC", "from", query, { type: "date" }), input("To, UTC", "to", query, { type: "date" })),
      panel(what === "trips" ? "Round trips" : "Fills", rows,
        data.further ? h("p.hint", null,
        "New ones are not added while you search back: change a filter or load the page again.") : "",
        found.next ? h("p", null, button("Search further back", further),
          found.searched_to ? h("span.hint", null, " searched to ", moment(found.searched_to)) : "") : "")];
  },
};
