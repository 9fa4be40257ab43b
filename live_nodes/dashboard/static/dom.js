// Builds and patches the page, and writes money, quantities and times.
//
// Text enters as text nodes only, so nothing from a journal can become markup. Styles are set as
// properties and never as attributes, which the content security policy refuses.

/** Return an element: `h("p.hint", {id: "x"}, "text", …)`; `on…` are handlers, `style` an object. */
export function h(name, props, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) node[key] = value;
    else if (key === "style") for (const [n, v] of Object.entries(value)) node.style.setProperty(n, v);
    else if (key === "class") node.classList.add(...value.split(" ").filter(Boolean));
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c != null && c !== false && c !== ""));
  return node;
}

const HANDLERS = ["onclick", "onchange", "oninput", "onsubmit", "onkeydown", "onclose"];

/** Return the value that the page, not its reader, gave a field. */
const given = (field) => (field.nodeName === "SELECT" ? field.querySelector("[selected]")?.value
  : field.nodeName === "INPUT" ? field.getAttribute("value") : null);

/**
 * Make `old` equal to `fresh` in place, so that focus, scroll, what is typed and what is open stay;
 * return what stands there then.
 */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else if (old.redraw) {
    old.redraw(fresh.given);
  } else {
    const was = given(old);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open" && name !== "style") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name !== "style" && name !== "open" && old.getAttribute(name) !== value) {
        old.setAttribute(name, value);
      }
    }
    if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
    for (const handler of HANDLERS) old[handler] = fresh[handler];
    morphChildren(old, [...fresh.childNodes]);
    // What a person chose stays, unless the page itself now says something else.
    if (was !== given(old)) old.value = given(old) ?? "";
  }
  return old;
}

/** Patch children: those with a key by it, others by their place among those without. */
function morphChildren(old, fresh) {
  const all = [...old.childNodes];
  const named = new Map(all.filter((child) => child.dataset?.key).map((child) => [child.dataset.key, child]));
  const others = all.filter((child) => !child.dataset?.key);
  const found = fresh.map((child) => (child.dataset?.key ? named.get(child.dataset.key) : others.shift()));
  all.filter((child) => !found.includes(child)).forEach((child) => child.remove());
  let place = old.firstChild;
  fresh.forEach((child, i) => {
    const made = found[i] ? morph(found[i], child) : child;
    if (found[i] && found[i] === place) place = made.nextSibling;
    else old.insertBefore(made, place);
  });
}

// Numbers -----------------------------------------------------------------------------------------

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?$/;

/** Return a decimal string rounded half up to `places`, by whole numbers: no float touches money. */
export function rounded(text, places) {
  const found = DECIMAL.exec(text ?? "");
  if (!found) return text ?? "";
  const [, sign, whole, part = ""] = found;
  let digits = BigInt(whole + part.padEnd(places, "0").slice(0, places));
  if ((part[places] ?? "0") >= "5") digits += 1n;
  const all = digits.toString().padStart(places + 1, "0");
  const cut = all.length - places;
  const grouped = all.slice(0, cut).replace(/\B(?=(\d{3})+$)/g, ",");
  return (sign === "-" && digits ? "−" : "") + grouped + (places ? `.${all.slice(cut)}` : "");
}

/** Return money as an element: two places shown, the exact figure on hover, gains with a sign. */
export function money(text, { signed = false, places = 2 } = {}) {
  if (text == null || text === "") return h("span.muted", null, "–");
  const shown = rounded(text, places);
  const zero = !/[1-9]/.test(shown);
  const up = signed && !zero && !shown.startsWith("−");
  const kind = signed && !zero ? (up ? "good" : "bad") : "";
  return h("span", { class: kind, title: `${text} USDT` }, (up ? "+" : "") + shown);
}

/** Return a price or a quantity with thousands grouped; beyond eight places it is rounded. */
export function plain(text) {
  if (text == null || text === "") return "–";
  return rounded(text, Math.min(8, DECIMAL.exec(text)?.[3]?.length ?? 0));
}

/** Return a ratio, a statistic and no money, as a percentage or with so many places. */
export const figure = (x, places = 2) =>
  (x == null ? "–" : Number(x).toFixed(places).replace(/^-(?=.*[1-9])/, "−").replace("-", ""));
export const percent = (x, places = 2) => (x == null ? "–" : `${figure(100 * x, places)} %`);

// Times -------------------------------------------------------------------------------------------

const how = { timeZone: "UTC", day: "2-digit", month: "short" };
const DAY = new Intl.DateTimeFormat("en-GB", how);
const DAY_OF_YEAR = new Intl.DateTimeFormat("en-GB", { ...how, year: "numeric" });
const known = (ts) => ts != null && ts > 0;

/** Return a moment (milliseconds) in UTC; the viewer's own time on hover. */
export function moment(ts, { long = true } = {}) {
  if (!known(ts)) return h("span.muted", null, "–");
  const at = new Date(ts);
  const iso = at.toISOString();
  const day = at.getUTCFullYear() === new Date().getUTCFullYear() ? DAY : DAY_OF_YEAR;
  return h("time", { datetime: iso, title: `${iso}, your time ${at.toLocaleString()}` },
    long ? `${day.format(at)} ${iso.slice(11, 19)}` : iso.slice(11, 19));
}

/** Return how long ago a moment is, in words. */
export function ago(ts, now = Date.now()) {
  if (!known(ts)) return "never";
  const s = Math.max(0, Math.round((now - ts) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 129600 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
}

// Parts of pages ----------------------------------------------------------------------------------

const sorting = new Map();

const ordered = (a, b) => {
  const [x, y] = [Number(a), Number(b)];
  return a == null || b == null ? (a == null) - (b == null)
    : Number.isNaN(x) || Number.isNaN(y) ? String(a).localeCompare(String(b)) : x - y;
};

/**
 * Return a table whose columns sort. A column: `{name, cell: row => content, by: row => what sorts,
 * n: numbers align right}`; a table without rows is the words of `empty`.
 */
export function table(id, caption, columns, rows, empty) {
  if (!rows.length) return h("p.empty", { "data-key": `${id}-empty` }, empty);
  const chosen = sorting.get(id);
  const by = chosen && columns[chosen.column].by;
  const shown = by ? rows.toSorted((a, b) => chosen.way * ordered(by(a), by(b))) : rows;
  const sort = (column) => (event) => {
    const way = chosen?.column === column ? -chosen.way : columns[column].n ? -1 : 1;
    sorting.set(id, { column, way });
    morph(event.target.closest("[data-key]"), table(id, caption, columns, rows, empty));
  };
  const head = columns.map((c, i) => {
    const way = chosen?.column === i ? (chosen.way > 0 ? "ascending" : "descending") : null;
    const mark = way ? h("span", { "aria-hidden": "true" }, way === "ascending" ? " ↑" : " ↓") : "";
    return h("th", { scope: "col", class: c.n ? "n" : "", "aria-sort": way },
      c.by ? h("button.plain", { type: "button", onclick: sort(i) }, c.name, mark) : c.name);
  });
  const line = (row) => h("tr", null, columns.map((c, i) =>
    h(i ? "td" : "th", { class: c.n ? "n" : c.text ? "text" : "", scope: i ? null : "row" }, c.cell(row) ?? "–")));
  return h("div.scroll", { "data-key": id, role: "region", tabindex: "0", "aria-label": caption },
    h("table", null, h("caption.unseen", null, caption),
      h("thead", null, h("tr", null, head)), h("tbody", null, shown.map(line))));
}

/** Return a titled part of a page. */
export function panel(title, ...content) {
  return h("section.panel", { "data-key": title }, h("h2", null, title), content);
}

/** Return a figure with its name. */
export const tile = (name, value, hint) =>
  h("div.tile", null, h("dt", null, name), h("dd.value", null, value), hint ? h("dd.hint", null, hint) : "");
export const tiles = (...all) => h("dl.tiles", null, ...all);

/** Return a word in a coloured frame; the word, not the colour, carries the meaning. */
export const badge = (word, kind = "") => h("span.badge", { class: kind }, word);
