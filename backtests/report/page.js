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
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(themed);
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
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
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
    document.documentElement.dataset.drawn = specs.length;
  }

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
