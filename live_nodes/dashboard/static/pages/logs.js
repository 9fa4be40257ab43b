// Logs of a node: its own, its alerts, its journal's notes.

import { h, moment, panel } from "../dom.js";
import { filters, head, input, noNodes, ofNode, select, tabs } from "./common.js";

export const logs = {
  name: "logs", title: "Logs", key: "l", hears: ["note", "alert", "status", "refresh"],
  read: (given) => ofNode(given, "logs", { source: given.query.get("source") ?? "node", lines: 300,
    level: given.query.get("level"), contains: given.query.get("words") }),
  draw({ nodes, node, of }, { query, go }) {
    if (!node) return [head("Logs"), noNodes()];
    const line = (l) => h("li", { class: { ERROR: "bad", WARNING: "warn", WARN: "warn" }[l.level] },
      l.ts ? moment(l.ts) : "", " ", h("b", null, l.level), ` ${l.text}`);
    return [head(`Logs of ${node}`), tabs("logs", nodes, node),
      filters(`logs/${node}`, query, go, select("Source", "source", query,
      [["node", "the node's log"], ["alerts", "alerts"], ["notes", "notes of the journal"]]),
        select("Level", "level", query, [["", "all"], ["INFO", "info"], ["WARNING", "warning"], ["ERROR", "error"]]),
        input("Contains", "words", query)),
      panel("Newest first", h("p.hint", null, of.file), of.lines.length
        ? h("div.scroll", { role: "region", tabindex: "0", "aria-label": "Lines" },
        h("ol.log", null, of.lines.toReversed().map(line)))
        : h("p.empty", null, "No line passes these filters."))];
  },
};
