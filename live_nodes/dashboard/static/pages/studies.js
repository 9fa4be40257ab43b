// Studies, backtests and daily reports in one place.

import { badge, h, panel, percent, figure, table } from "../dom.js";
import { head, textCol, timeCol } from "./common.js";

const stat = (name, key, how) => ({ name, n: true, by: (r) => r.figures?.[key], cell: (r) => how(r.figures?.[key]) });
const judged = (r) => (r.error ? [badge("unreadable", "bad"), h("div.hint", null, r.error)] : r.accepted == null ? "–"
  : r.accepted ? badge("accepted", "good")
  : [badge("refused", "bad"), h("div.hint", null, r.gates_failed.join(", "))]);

export const studies = {
  name: "studies", title: "Studies", key: "u", hears: [],
  read: ({ api, automatic }) => api.get("results", {}, automatic),
  draw: ({ folders, rows }) => [head("Studies and backtests"),
    panel("Results", h("p.hint", null, `Found in ${folders.join(", ")}. A report opens in a tab of its own. `
      + "Figures of a study are out of sample."),
      table("results", "Results", [
      timeCol("Made, UTC", "made"), textCol("Kind", "kind", (v) => v.replace("_", " ")),
      { name: "Name", by: (r) => r.name, cell: (r) => (r.report
      ? h("a", { href: r.report, target: "_blank", rel: "noopener" }, r.name) : r.name) },
      timeCol("From", "start"), timeCol("To", "end"), stat("Return", "return_pct",
      (v) => (v == null ? "–" : `${figure(v)} %`)),
      stat("Sharpe", "sharpe", (v) => figure(v)), stat("Calmar", "calmar", (v) => figure(v)),
      stat("Max drawdown", "max_drawdown", (v) => percent(v)),
      { name: "Judged", text: true, by: (r) => r.accepted, cell: judged }, textCol("Folder", "path"),
    ], rows, "No results yet. perpdesk backtest FILE makes the first."))],
};
