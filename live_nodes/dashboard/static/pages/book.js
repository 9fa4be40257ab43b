// Depth of the order book and the replay of a recorded minute.

import { chart } from "../charts.js";
import { h, moment, panel, plain, table } from "../dom.js";
import {
  button, fillsTable, figureCol, filters, head, input, noNodes, ofNode, select, side, tabs, textCol, timeCol,
} from "./common.js";

const replay = { of: null, frame: 0, timer: null, wait: null };
const STEP_MS = 500;

function pause() {
  clearInterval(replay.timer);
  replay.timer = null;
}

/** Return cumulated quantities by price, bids and asks, for the chart. */
function depth({ bids, asks }) {
  const add = (levels) => levels.reduce((sums, [price, size]) => [...sums,
    [Number(price), (sums.at(-1)?.[1] ?? 0) + Number(size)]], []);
  const [left, right] = [add(bids).reverse(), add(asks)];
  const x = [...left, ...right].map(([price]) => price);
  return { x, time: false, axis: "Price", places: 4, rest: left.length - 1, series: [
    { name: "Bids, cumulated", values: [...left.map(([, v]) => v), ...right.map(() => null)], colour: "--good",
    fill: "--good-soft", steps: -1 },
    { name: "Asks, cumulated", values: [...left.map(() => null), ...right.map(([, v]) => v)], colour: "--bad",
      fill: "--bad-soft", steps: 1, dash: [6, 3] }] };
}

/** Return best prices, trades and own fills of the minute for the chart. */
function minute({ frames, trades, fills }) {
  const best = (levels) => (levels.length ? Number(levels[0][0]) : null);
  const times = frames.map((f) => f.ts / 1000);
  const points = (rows) => [rows.map((r) => r.ts / 1000), rows.map((r) => Number(r.price))];
  const unique = (rows) => [...new Map(rows.map((r) => [r.ts, r])).values()];
  const joined = uPlot.join([[times, frames.map((f) => best(f.bids)), frames.map((f) => best(f.asks))],
    points(unique(trades)), points(unique(fills))]);
  return { x: joined[0], places: 4, series: [
    { name: "Bid", values: joined[1], colour: "--good", steps: 1 },
    { name: "Ask", values: joined[2], colour: "--bad", steps: 1, dash: [6, 3] },
    { name: "Trades", values: joined[3], colour: "--muted", points: 4 },
      { name: "Our fills", values: joined[4], colour: "--accent", points: 9 }] };
}

const ladder = (id, name, levels) => table(id, name, [{ name: "Price", n: true, cell: ([price]) => plain(price) },
  { name: "Quantity", n: true, cell: ([, size]) => plain(size) }], levels.slice(0, 12), "No level.");

export const book = {
  name: "book", title: "Order book", key: "b", hears: [],
  read: (given) => ofNode(given, "book", { instrument: given.query.get("instrument"),
  at: given.query.get("at") && Date.parse(`${given.query.get("at")}Z`), seconds: 60 }),
  draw({ nodes, node, of }, { query, go, show, again }) {
    if (!node) return [head("Order book"), noNodes()];
    const title = [head("Order book"), tabs("book", nodes, node)];
    if (!of.available) {
      // A long recording is read in the background; a node may begin to record.
      clearTimeout(replay.wait);
      replay.wait = setTimeout(() => location.hash.startsWith("#/book") && again(true), 1500);
      return [title, h("p.empty", null, of.why)];
    }
    const key = `${node} ${of.instrument} ${of.from}`;
    if (replay.of !== key) { pause(); Object.assign(replay, { of: key, frame: Math.max(0, of.frames.length - 1) }); }
    const frame = of.frames[Math.min(replay.frame, of.frames.length - 1)];
    const step = () => {
      if (!location.hash.startsWith("#/book") || replay.frame >= of.frames.length - 1) pause();
      else replay.frame += 1;
      show();
    };
    const play = () => {
      if (replay.timer) pause();
      else {
        if (replay.frame >= of.frames.length - 1) replay.frame = 0;
        replay.timer = setInterval(step, STEP_MS);
      }
      show();
    };
    const move = (event) => { replay.frame = Number(event.target.value); show(); };
    const at = (ts) => new Date(ts).toISOString().slice(0, 19);
    const chosen = filters(`book/${node}`, query, go, select("Instrument", "instrument",
      new URLSearchParams({ instrument: of.instrument }), of.instruments.map((id) => [id, id])),
      input("The minute until, UTC", "at", query, { type: "datetime-local", step: "1", value: at(of.to) }));
    const earlier = (ms) =>
      `#/book/${node}?${new URLSearchParams({ instrument: of.instrument, at: at(of.to + ms) })}`;
    return [title, chosen,
      frame ? panel(`Depth of ${of.instrument}`,
        h("div.replay", null, button(replay.timer ? "Pause" : "Play", play),
          h("label", null, h("span", null, "Moment: ", moment(frame.ts)),
            h("input.wide", { type: "range", min: "0", max: String(of.frames.length - 1), value: String(replay.frame),
            oninput: move, "aria-valuetext": at(frame.ts) })),
          h("a", { href: earlier(-60000) }, "Minute before"), h("a", { href: earlier(60000) }, "Minute after")),
        of.kind === "quotes" ? h("p.hint", null, "Only the best prices were recorded.") : "",
        chart("depth", "Depth of the book", depth(frame)),
        h("div.pair.ladders", null, h("div", null, h("h3", null, "Bids"), ladder("bids", "Bids", frame.bids)),
          h("div", null, h("h3", null, "Asks"), ladder("asks", "Asks", frame.asks))))
        : h("p.empty", null, "Nothing was recorded in this minute; choose another moment."),
      of.frames.length ? panel("The minute", chart("minute", "Best prices, trades and our fills", minute(of))) : "",
      panel("Our fills", fillsTable("book-fills", of.fills, "None in this minute.", { all: false })),
      panel("Trades of the market", table("market-trades", "Trades of the market",
        [timeCol("Time, UTC"), textCol("Side", "side", side), figureCol("Price", "price", plain),
        figureCol("Quantity", "quantity", plain)], of.trades.toReversed(), "No trades were recorded in this minute."))];
  },
};
