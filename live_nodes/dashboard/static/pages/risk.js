// Risk: each guard's value, limit, headroom and latch, what stands, what happened; halt and release.

import { flatten, halt, release } from "../actions.js";
import { ago, h, panel, percent, table } from "../dom.js";
import { scopes } from "./desk.js";
import {
  action, button, figureCol, head, noNodes, ofNode, runs, scopeCol, state, tabs, textCol, timeCol, verdictList,
    waitingList, wordsCol,
} from "./common.js";

const ENDS = { manual: "when released", next_day: "at the next day", recovered: "when it recovers" };

const short = (v) => (v == null ? "–" : Number(v.toPrecision(6)).toLocaleString("en"));

const headroom = (g) => (g.headroom_share == null ? "–" : [
  h("meter", { min: "0", max: "1", low: "0.1", high: "0.25", optimum: "1", value: g.headroom_share,
  "aria-label": `${g.guard}: ${percent(g.headroom_share, 0)} of the limit is left` }),
  h("div.hint", null, `${g.shown.headroom} left`)]);

export const risk = {
  name: "risk", title: "Risk", key: "r",
  async read(given) {
    const found = await ofNode(given, "risk");
    if (found.of) [found.held, found.strategies] = await Promise.all([given.api.get("positions", { node: found.node },
      given.automatic), given.api.get("strategies", { node: found.node }, given.automatic)]);
    return found;
  },
  draw({ nodes, node, of, held, strategies }, { session, again }) {
    if (!node) return [head("Risk"), noNodes()];
    const ids = [...new Set(held.positions.map((p) => p.instrument))];
    const n = held.positions.length;
    const acts = session.read_only ? [] : [
      button("Halt entries", () => halt(node, scopes(strategies.rows.filter((r) => r.use).map((r) => r.strategy), ids), again)),
      button("Flatten", () => flatten(node, n === 1 ? "1 position" : `${n} positions`, again), "danger")];
    const free = (g) => !session.read_only && of.releasable.includes(g.guard) && (g.latched || g.state === "halted");
    const offered = (v) => (!session.read_only && of.releasable.includes(v.guard)
      ? [" ", button("Release …", () => release(node, v, again))] : "");
    // What holds back stands above what does not; the rest keeps its order.
    const quiet = (g) => ["ok", "no reading"].includes(g.state);
    const guards = of.guards.toSorted((a, b) => quiet(a) - quiet(b));
    return [head(`Risk of ${node}`, ...acts), tabs("risk", nodes, node),
      of.closing ? h("p.notice", { role: "status" }, of.closing) : "",
      waitingList(of),
      panel(runs(of) ? "What stands" : "What stood when it ended", of.standing.length ? verdictList(of.standing, offered)
      : h("p.empty", null, runs(of) ? "No verdict stands: entries are allowed at full size." : "No verdict stood."),
        h("p.hint", null, "Node ", state(of.state), ` heard ${ago(of.heartbeat)}`)),
      panel("Guards", table("guards", "Guards", [textCol("Guard", "guard"), textCol("State", "state", state),
        { name: "Value", n: true, by: (g) => g.measured, cell: (g) => g.shown.measured || "–" },
        { name: "Limit", n: true, by: (g) => g.limit, cell: (g) => g.shown.limit || "–" },
        { name: "Headroom", by: (g) => g.headroom_share, cell: headroom }, scopeCol,
        textCol("At its limit", "action", (v) => (v === "none" ? "–" : action(v))),
        { name: "Halt", text: true, cell: (g) => (g.latched || g.since
        ? [g.latched ? "latched" : "stands", `, ends ${ENDS[g.release] ?? g.release}. ${g.reason}`] : "–") },
        timeCol("Since, UTC", "since"), timeCol("Looked, UTC", "seen"),
        { name: "Release", cell: (g) => (free(g) ? button("Release …", () => release(node, g, again)) : "–") },
      ], guards, "No guards. extends: risk_standard.yaml in the setup adds them.")),
      panel("History", table("verdicts", "History of verdicts",
      [timeCol("Time, UTC"), textCol("Guard", "guard"), textCol("Action", "action", action), scopeCol,
        wordsCol("Reason", "reason"), figureCol("Value", "measured", short), figureCol("Limit", "limit", short)],
          of.history, "No guard has acted yet."))];
  },
};
