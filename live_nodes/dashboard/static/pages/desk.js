// Desk: every node's state, health, equity, day, verdicts and alerts.

import { flatten, halt } from "../actions.js";
import { chart, curves } from "../charts.js";
import { ago, h, moment, money, panel, percent, table, tile, tiles } from "../dom.js";
import {
  button, gain, head, link, noNodes, runs, state, strategyLink, textCol, timeCol, verdictList, waitingList, wordsCol,
} from "./common.js";

/** Return what a halt may cover: the desk, a strategy, an instrument that is held. */
export const scopes = (strategies, instruments = []) => [["desk", "the whole desk"],
  ...strategies.map((key) => [`strategy:${key}`, `strategy ${key}`]),
  ...instruments.map((id) => [`instrument:${id}`, `instrument ${id}`])];

export const held = (n) => (n === 1 ? "1 position" : `${n ?? "all"} positions`);

function one(node, { session, again }) {
  // Verdicts have a list of their own.
  const listed = new Set((node.verdicts ?? []).map((v) => `${v.action} on ${v.scope} by ${v.guard}`));
  const title = link(`risk/${node.node}`, node.node);
  const day = node.day;
  const flows = !day ? "" : day.flows_known ? `${percent(day.pct)} of the opening`
    : "deposits and withdrawals count as results";
  const acts = session.read_only ? "" : h("div.acts", null,
    button("Halt entries", () => halt(node.node, scopes(node.strategies ?? []), again)),
    button("Flatten", () => flatten(node.node, held(node.positions), again), "danger"));
  // What can't be read can be closed all the same.
  if (node.error) return h("section.panel", { "data-key": node.node },
    h("div.head", null, h("h2", null, node.node), acts), h("p.bad", null, node.error));
  const facts = [node.environment, node.run && `run ${node.run}`, node.release && `release ${node.release}`,
    node.canary && `canary ${node.canary}`,
    node.dry_run && "dry run, sends nothing", node.pid && `process ${node.pid}`].filter(Boolean).join(" · ");
  return h("section.panel", { "data-key": node.node },
    h("div.head", null, h("h2", null, title), state(node.state), node.health === "ok" ? "" : state(node.health), acts),
    h("p.hint", null, facts, ", heard ", node.heartbeat ? h("span", null, ago(node.heartbeat)) : "never",
    node.feed_lag_ms ? `, feed ${node.feed_lag_ms[0].toFixed(0)} ms old (worst ${node.feed_lag_ms[1].toFixed(0)} ms)`
    : "",
      node.note ? `. ${node.note}` : ""),
    h("ul.bare", null, node.health_why.filter((why) => !listed.has(why)).map((why) => h("li",
    { class: node.health === "bad" ? "bad" : "warn" }, why))),
    node.closing ? h("p.notice", { role: "status" }, node.closing) : "",
    waitingList(node),
    tiles(
      tile("Equity", money(node.equity), node.equity && node.equity_ts
      ? ["at ", moment(node.equity_ts, { long: false })] : "no figure yet"),
      tile("Today", gain(day?.pnl), flows),
      tile("Gross", money(node.gross), node.net == null ? "" : ["net ", money(node.net)]),
      tile("Positions", `${node.positions ?? "–"}`, `${node.orders ?? 0} open orders`)),
    node.curve?.length > 1 ? chart(`curve-${node.node}`, `Equity of ${node.node}, last 24 hours`,
      { height: 150, ...curves([{ name: "Equity", points: node.curve, fill: "--accent-soft" }]) }) : "",
    node.verdicts.length ? [h("h3", null, runs(node) ? "Standing verdicts" : "Verdicts that stood at its end"),
    verdictList(node.verdicts)] : "",
    h("p.hint", null, "Strategies: ", node.strategies.flatMap((key, i) => [i ? ", " : "",
      strategyLink(node.node, key)]), ". ", runs(node) ? links(node.links) : ""));
}

/** Name the links that are ready in one word, and each that is not with why. */
function links(all) {
  const down = all.filter((l) => l.state !== "ready");
  if (!down.length) return all.length ? `All ${all.length} links to the venue are ready.` : "No link to the venue yet.";
  return ["Links: ", down.map((l) => [l.name, " ", state(l.state), ` ${l.detail} since `,
    moment(l.since, { long: false }), ". "])];
}

const total = (name, sum, without) => (sum ? [
  tile(`Equity, ${name}`, money(sum.equity), without), tile(`Today, ${name}`, gain(sum.day_pnl)),
  tile(`Gross, ${name}`, money(sum.gross)), tile(`Net, ${name}`, money(sum.net))] : []);

export const desk = {
  name: "desk", title: "Desk", key: "d",
  read: ({ api, automatic }) => api.get("desk", {}, automatic),
  draw(data, given) {
    const alerts = data.nodes.flatMap((n) => (n.alerts ?? []).map((a) => ({ node: n.node, ...a })))
      .sort((a, b) => b.ts - a.ts);
    const unknown = data.nodes.filter((n) => n.equity == null).map((n) => n.node);
    const without = unknown.length ? `without ${unknown.join(", ")}: unknown` : "";
    const sums = [...total("real money", data.total.real, without), ...total("practice", data.total.play, without)];
    return [head("Desk"),
      data.nodes.length > 1 && sums.length ? tiles(...sums) : "",
      data.nodes.length ? data.nodes.map((node) => one(node, given)) : noNodes(),
      data.nodes.length ? panel("Alerts", table("alerts", "Alerts",
      [timeCol("Time, UTC"), textCol("Level", "level", state),
        wordsCol("What", "text"), textCol("Kind", "kind"), textCol("Node", "node")], alerts,
      "No alerts. They also go to your phone when the node names an address: alerts: DESK_ALERTS.")) : ""];
  },
};
