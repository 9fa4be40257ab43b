// Configuration: each resolved value and where it came from, releases, and what the last one changed.

import { h, panel, table } from "../dom.js";
import { filters, head, input, noNodes, ofNode, state, tabs, textCol, timeCol, wordsCol } from "./common.js";

const code = (v) => h("code", null, v);

export const config = {
  name: "config", title: "Configuration", key: "c", hears: ["status"],
  read: (given) => ofNode(given, "config"),
  draw({ nodes, node, of }, { query, go }) {
    if (!node) return [head("Configuration"), noNodes()];
    const wanted = (query.get("words") ?? "").toLowerCase();
    const rows = of.values.filter((v) => `${v.path} ${v.value} ${v.origin}`.toLowerCase().includes(wanted));
    const { release, same } = of.running ?? {};
    return [head(`Configuration of ${node}`), tabs("config", nodes, node),
      same === false ? h("p.notice", null,
      "The document was changed after the node started: it trades what it read at its start.") : "",
      h("p.hint", null, of.file, ` · hash ${of.hash}`, release ? ` · release ${release} runs` : ""),
      panel("Values", filters(`config/${node}`, query, go, input("Path, value or file contains", "words", query)),
        table("values", "Values", [textCol("Path", "path", code), { ...textCol("Value", "value", code), text: true },
        textCol("From", "origin")], rows, "No value contains this.")),
      panel(of.diff ? `Release ${of.diff.to} against release ${of.diff.from}` : "Against the release before",
        of.diff ? table("diff", "Differences", [textCol("Path", "path", code),
          textCol(`Release ${of.diff.from}`, "left", code), textCol(`Release ${of.diff.to}`, "right", code)],
          of.diff.rows, "They are the same.")
          : h("p.empty", null, of.diff_why || "Nothing to compare yet.")),
      panel("Releases", table("releases", "Releases", [textCol("Release", "number"),
      textCol("State", "state", (v) => state(v)), timeCol("Made, UTC", "made"), textCol("By", "by"),
      wordsCol("Reason", "reason"), textCol("Study", "study")],
        of.releases, "This node runs its document as it is. perpdesk deploy makes releases that can be rolled back."))];
  },
};
