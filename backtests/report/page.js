"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = () => window.innerWidth < 760;

  // "@name" or "@name/opacity" -> the theme's colour of that name.
  function colour(word) {
    const [name, opacity] = word.slice(1).split("/");
    const value = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    if (!opacity) return value;
    const part = (from) => parseInt(value.slice(from, from + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
  }

  function themed(value) {
    if (typeof value === "string") return value.startsWith("@") ? colour(value) : value;
    if (Array.isArray(value)) {
      // A pair of a colour scale begins with a number, too.
      return typeof value[0] === "number" && typeof value[1] !== "string" ? value : value.map(themed);
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [
        // The long arrays hold no colours.
        key, key === "x" || key === "y" || key === "customdata" ? inner : themed(inner),
      ]));
    }
    return value;
  }

  function layout(given) {
    const axis = {
      gridcolor: colour("@line"), linecolor: colour("@line"), zerolinecolor: colour("@muted"),
      zerolinewidth: 1, zeroline: false, automargin: true, fixedrange: narrow(),
      title: { font: { size: 11, color: colour("@muted") }, standoff: 6 },
      tickfont: { size: 11, color: colour("@muted") },
    };
    const merged = (extra) => ({
      ...axis, ...extra, title: { ...axis.title, ...(narrow() ? {} : extra.title) },
    });
    const result = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("@ink"), size: 12 },
      margin: { l: 8, r: 12, t: 10, b: 8 }, dragmode: narrow() ? false : "zoom",
      legend: {
        orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, itemsizing: "constant",
      },
      hoverlabel: {
        bgcolor: colour("@panel"), bordercolor: colour("@line"), font: { color: colour("@ink") },
      },
      ...themed(given),
    };
    const across = given.xaxis || {};
    result.xaxis = {
      ...merged(themed(across)), showgrid: across.showgrid === true,
      ...(across.type ? {} : { type: "date", hoverformat: "%-d %b %Y", nticks: narrow() ? 5 : 10 }),
    };
    for (const key of ["yaxis", "yaxis2", "yaxis3"]) {
      if (key === "yaxis" || given[key]) result[key] = merged(themed(given[key] || {}));
    }
    if (document.querySelector(`[data-log="${given.key}"][aria-pressed="true"]`)) {
      result.yaxis.type = "log";
    }
    return result;
  }

  function draw() {
    for (const spec of specs) {
      Plotly.react("chart-" + spec.id, themed(spec.data), layout({ ...spec.layout, key: spec.id }), {
        displaylogo: false, displayModeBar: false,
      });
    }
    drawPrices();
    drawPair();
    document.documentElement.dataset.drawn = specs.length;
  }

  const tables = JSON.parse(document.getElementById("tables").textContent);
  const at = (id) => document.getElementById(id);
  const trades = tables.trades;
  const cell = (key, row) =>
    trades[key].names ? trades[key].names[trades[key].index[row]] : trades[key][row];
  const minute = (seconds) =>
    seconds === null ? "" : new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");

  const thin = (x, y, more) => ({
    type: "scatter", mode: "lines", x, y, connectgaps: false, line: { width: 0 },
    hoverinfo: "skip", showlegend: false, ...more,
  });

  // Lines from entries to exits, green for a profit; `ends` are both times and heights of one.
  const between = (held, net, ends) => [[true, "@good"], [false, "@bad"]].map(([won, color]) => {
    const mine = held.filter((one) => net(one) > 0 === won).map(ends);
    return thin(mine.flatMap(([from, to]) => [minute(from), minute(to), null]),
      mine.flatMap(([, , from, to]) => [from, to, null]), { line: { width: 1.2, color } });
  });

  // Signs at time, height and text of each.
  const signs = (name, symbol, color, label, shown) => shown.length ? [{
    type: "scatter", mode: "markers", name, marker: { symbol, color, size: 8 },
    x: shown.map((one) => minute(one[0])), y: shown.map((one) => one[1]),
    text: shown.map((one) => one[2]), hovertemplate: `%{x}<br>${label}%{y}<br>%{text}<extra></extra>`,
  }] : [];

  // What is drawn on demand: traces with long arrays, on a time axis.
  function plot(chart, data, xaxis, yaxis) {
    chart.style.height = "420px";
    Plotly.react(chart, data.map((trace) => ({
      ...themed(trace), x: trace.x, y: trace.y, text: trace.text,
    })), layout({ xaxis, yaxis, hovermode: "closest" }), { displaylogo: false, displayModeBar: false });
  }

  // A pair's z-score with the levels of the rules, its spread, and on both its entries and exits.
  function drawPair() {
    const name = at("pair-name") && at("pair-name").value;
    if (!name) return;
    const { ts, z, low, high, spread, levels, trades: held } = tables.pairs[name];
    const x = ts.map(minute), ends = [x[0], x.at(-1)];
    const level = (value, color, dash) => [value, -value].map((y) =>
      thin(ends, [y, y], { line: { width: 1, color, dash } }));
    const data = [
      thin(x, low), thin(x, high, { fill: "tonexty", fillcolor: "@accent/0.15" }),
      thin(x, z, { line: { width: 1.3, color: "@accent" }, hoverinfo: "x+y" }),
      ...level(levels.entry, "@accent", "dash"), ...level(levels.exit, "@muted", "dot"),
      ...level(levels.stop, "@bad", "solid"),
      ...between(held.filter((trade) => trade[1] && trade[2] !== null && trade[3] !== null),
        (trade) => trade[5], (trade) => trade),
    ];
    const marked = (height, label) => [
      [(trade) => trade[4] > 0, 0, "triangle-up", "@good", "Long spread"],
      [(trade) => trade[4] < 0, 0, "triangle-down", "@bad", "Short spread"],
      [(trade) => trade[1], 1, "x-thin-open", "@ink", "Exit"],
    ].flatMap(([wanted, end, symbol, color, title]) => signs(title, symbol, color, label + " ",
      held.filter(wanted).map((trade) => [trade[end], height(trade, end),
        `net ${trade[5].toFixed(2)}${trade[1] ? ", " + trade[6] : ", open"}`])));
    // A crash of minutes would flatten all the rest: a double click shows it.
    const least = held.flatMap((trade) => [trade[2], trade[3]]).map(Math.abs);
    const most = Math.max(...[...low, ...high].map(Math.abs));
    const side = 1.1 * Math.min(most, Math.max(1.5 * levels.stop, ...least));
    plot(at("pair-chart"), [...data, ...marked((trade, end) => trade[2 + end], "z")], {},
      { title: { text: "z-score" }, range: [-side, side] });
    const percent = spread.map((value) => value === null ? null : value * 100);
    const onCurve = (trade, end) => {
      const found = ts.findIndex((second) => second >= trade[end]);
      const next = found < 0 ? ts.length - 1 : found, before = Math.max(0, next - 1);
      const part = next > before ? (trade[end] - ts[before]) / (ts[next] - ts[before]) : 1;
      // Where the pair was not judged, its nearest known spread.
      const to = percent[next] ?? percent[before], from = percent[before] ?? to;
      return from === null ? null : from + part * (to - from);
    };
    plot(at("pair-spread"), [
      thin(x, percent, { line: { width: 1.3, color: "@accent" }, hoverinfo: "x+y" }),
      ...marked(onCurve, "spread"),
    ], {}, { title: { text: "Spread less its mean, %" } });
  }

  // A price chart with the symbol's entries and exits; `span` is [from, to] in seconds.
  function drawPrices(span) {
    const name = at("price-symbol") && at("price-symbol").value;
    if (!name) return;
    const { close, low, high } = tables.prices.symbols[name];
    const x = tables.prices.ts.map(minute);
    const rows = [...trades.opened.keys()].filter((row) => cell("symbol", row) === name);
    const marks = (wanted, symbol, color, time, price, title) => signs(title, symbol, color, "",
      rows.filter((row) => wanted(row) && trades[time][row] !== null).map((row) =>
        [trades[time][row], trades[price][row], `${cell("side", row)} ${trades.quantity[row]}, net ` +
          `${trades.net[row].toFixed(2)}<br>${cell("reason", row).replace(/</g, "&lt;")}`]));
    const side = (word) => (row) => cell("side", row) === word;
    const data = [
      thin(x, low), thin(x, high, { fill: "tonexty", fillcolor: "@accent/0.15" }),
      thin(x, close, { name, line: { width: 1.3, color: "@accent" }, hoverinfo: "x+y" }),
      ...between(rows.filter((row) => trades.exit[row] !== null), (row) => trades.net[row],
        (row) => ["opened", "closed", "entry", "exit"].map((key) => trades[key][row])),
      ...marks(side("Long"), "triangle-up", "@good", "opened", "entry", "Long"),
      ...marks(side("Short"), "triangle-down", "@bad", "opened", "entry", "Short"),
      ...marks(() => true, "x-thin-open", "@ink", "closed", "exit", "Exit"),
    ];
    plot(at("price-chart"), data, span ? { range: span.map(minute) } : {}, {});
  }

  function listTrades() {
    const rows = [...trades.opened.keys()];
    const searched = rows.map((row) => [
      ...["symbol", "side", "strategy", "reason"].map((key) => cell(key, row)),
      trades.net[row] > 0 ? "win" : "loss", trades.closed[row] === null ? "open" : "closed",
      minute(trades.opened[row]), minute(trades.closed[row]),
    ].join(" ").toLowerCase());
    const body = at("trade-list").tBodies[0];
    const heads = [...document.querySelectorAll("[data-sort]")];
    const keys = heads.map((head) => head.dataset.sort);
    let shown = 25, order = "opened", down = 1, found = rows;
    const format = (key, value) => value === null ? "–"
      : key === "opened" || key === "closed" ? minute(value)
      : ["gross", "fees", "funding", "net"].includes(key) ? value.toFixed(2).replace("-", "−")
      : key === "entry" || key === "exit" ? Number(value.toPrecision(6)) : value;
    const show = () => {
      const words = at("trade-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
      found = rows.filter((row) => words.every((word) => searched[row].includes(word)));
      found.sort((a, b) => {
        const [one, other] = [cell(order, a), cell(order, b)];
        return one === other ? a - b : (one === null || one < other ? -1 : 1) * down;
      });
      const net = found.reduce((sum, row) => sum + trades.net[row], 0);
      at("trade-count").textContent =
        `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} trades, net ` +
        net.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace("-", "−");
      body.replaceChildren(...found.slice(0, shown).map((row) => {
        const line = document.createElement("tr");
        for (const key of keys) {
          const value = cell(key, row), box = line.insertCell();
          box.className = trades[key].names ? "" : key !== "net" || !value ? "n" : value > 0 ? "n good" : "n bad";
          box.textContent = format(key, value);
          if (key === "symbol" && tables.prices) {
            box.innerHTML = `<a role="button">${box.innerHTML}</a>`;
            box.firstChild.onclick = () => {
              const from = trades.opened[row], to = trades.closed[row] ?? tables.prices.ts.at(-1);
              at("price-symbol").value = value;
              drawPrices([from - 5 * (to - from), to + 5 * (to - from)]);
              at("prices").scrollIntoView();
            };
          }
        }
        return line;
      }));
      at("trade-more").hidden = found.length <= shown;
    };
    at("trade-filter").oninput = () => { shown = 25; show(); };
    at("trade-more").onclick = () => { shown += 200; show(); };
    for (const head of heads) {
      head.onclick = () => {
        down = order === head.dataset.sort ? -down : 1;
        order = head.dataset.sort;
        show();
      };
    }
    at("trade-csv").onclick = () => {
      const quoted = (value) =>
        typeof value === "string" && /[",\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
      const lines = found.map((row) => keys.map((key) => {
        const value = cell(key, row);
        return key === "opened" || key === "closed" ? minute(value) : value === null ? "" : quoted(value);
      }).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([[keys.join(","), ...lines, ""].join("\n")]));
      link.download = "trades.csv";
      link.click();
    };
    show();
  }

  if (trades) listTrades();
  if (tables.pairs) at("pair-name").onchange = drawPair;
  if (tables.prices) at("price-symbol").onchange = () => drawPrices();

  for (const button of document.querySelectorAll("[data-log]")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      draw();
    });
  }
  dark.addEventListener("change", draw);
  draw();
  let was = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth !== was) { was = document.body.clientWidth; draw(); }
  }).observe(document.body);
})();
