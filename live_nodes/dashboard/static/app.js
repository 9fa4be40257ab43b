// The shell: who is logged in, which page is shown, what the server says has changed, shortcuts.

import { login, progressed } from "./actions.js";
import { api, events, LoggedOut } from "./api.js";
import { h, morph } from "./dom.js";
import { PAGES } from "./pages.js";

const app = document.getElementById("app");
const said = document.getElementById("said");
const state = { session: null, route: "", data: null, turn: 0, arriving: false, stale: "", link: "connecting",
  read: 0 };

/** Say something to who listens to the page. */
const say = (text) => { if (said.textContent !== text) said.textContent = text; };

// Theme ------------------------------------------------------------------------------------------

const THEMES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
function wear() {
  const chosen = localStorage.getItem("theme") ?? "system";
  const dark = chosen === "dark" || (chosen === "system" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  window.dispatchEvent(new Event("theme"));
  return chosen;
}
function change() {
  const next = THEMES[(THEMES.indexOf(wear()) + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  wear();
  say(`Theme: ${next}`);
  show();
}
system.onchange = wear;
wear();

// Routes: #/page/one/two?key=value ---------------------------------------------------------------

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...words] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const known = PAGES.find((p) => p.name === name) ?? PAGES[0];
  return { page: known, words, query: new URLSearchParams(query) };
}

/** Return whether the address changed and `arrive` is still to hear of it: what was read is another page's. */
const moved = () => state.route !== location.hash.split("?")[0];

function shell(content) {
  const { page } = route();
  const link = { live: ["good", "live"], connecting: ["warn", "connecting …"] }[state.link] ?? ["bad", "no updates"];
  const theme = localStorage.getItem("theme") ?? "system";
  const items = PAGES.filter((p) => p.key).map((p) =>
    h("li", null, h("a", { href: `#/${p.name}`, "aria-current": p.name === (page.below ?? page.name) ? "page" : null,
      title: `Shortcut: g ${p.key}` }, p.title)));
  return h("div.shell", null,
    h("a.skip", { href: "#main", onclick: skip }, "Skip to the page"),
    h("header.top", null,
      h("a.brand", { href: "#/desk" }, h("img", { src: "/static/icon.svg", alt: "" }), "perpdesk"),
      h("span.state.badge", { class: link[0], title: "Whether this page is told of changes" }, link[1]),
      h("button", { type: "button", onclick: change, title: "Shortcut: t" }, `Theme: ${theme}`),
      h("button.keys", { type: "button", onclick: help, title: "Shortcut: ?" }, "Keys"),
      h("button", { type: "button", onclick: leave }, "Log out")),
    h("nav.rail", { "aria-label": "Pages" }, h("ul", null, items)),
    h("main", { id: "main", tabindex: "-1", "data-key": location.hash.split("?")[0] },
      h("p.notice.bad", { role: "alert" }, state.stale), content),
    h("footer.foot", null, "Times are UTC, money in USDT, read from the journals. Charts: uPlot (MIT)."));
}

const skip = (event) => { event.preventDefault(); document.getElementById("main").focus(); };

/** Return the page's content; what it can't show it says, and leaves no old figures. */
function drawn(page, given) {
  try {
    return page.draw(state.data, given);
  } catch (error) {
    console.error(error);
    return [h("h1", { tabindex: "-1" }, page.title), h("p.notice.bad", null,
      `This page can't show what the server sent: ${error.message}`)];
  }
}

/** Draw what is known. */
function show() {
  const { page, words, query } = route();
  if (!state.session || moved()) return;
  const given = { words, query, session: state.session, go, again, show };
  const content = state.data ? drawn(page, given)
    : [h("h1", { tabindex: "-1" }, page.title), h("p.empty", null,
      state.stale ? "Nothing can be shown." : "Reading the journals …")];
  const fresh = shell(content);
  if (app.firstElementChild) morph(app.firstElementChild, fresh);
  else app.append(fresh);
  if (state.arriving && (state.data || state.stale)) {
    state.arriving = false;
    document.querySelector(".rail [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }
}

/** Read the page's data once more and draw it; `automatic` when nobody asked for it. */
async function again(automatic = false) {
  if (moved()) return;
  const turn = ++state.turn;
  const { page, words, query } = route();
  try {
    const data = await page.read({ words, query, api, automatic, before: state.data });
    if (turn !== state.turn || moved()) return;
    state.data = data;
    state.stale = "";
    state.read = Date.now();
  } catch (error) {
    if (turn !== state.turn || moved()) return;
    if (error instanceof LoggedOut) return enter();
    const at = new Date(state.read).toISOString().slice(11, 19);
    state.stale = error.message + (state.data ? `. The figures below are those of ${at} UTC.` : ".");
  }
  show();
}

/** Go to another page: new content, its title, and focus on it for those who do not see it. */
async function arrive() {
  if (!location.hash.startsWith("#/") || !state.session) return;
  const { page, words } = route();
  const path = location.hash.split("?")[0];
  if (state.route !== path) {
    Object.assign(state, { route: path, data: null, stale: "", arriving: true });
    document.title = `${[page.title, ...words].join(" · ")} – perpdesk`;
    show();
    say(page.title);
    window.scrollTo(0, 0);
  }
  await again();
}

const go = (hash) => { location.hash = hash; };
addEventListener("hashchange", arrive);

// What changes ------------------------------------------------------------------------------------

const AT_MOST_EVERY = 400;
let waiting = null;
let last = 0;

/** Read the page again soon after something changed, and not more often than it can be read. */
function soon() {
  if (document.hidden || waiting) return;
  waiting = setTimeout(() => {
    waiting = null;
    last = Date.now();
    again(true);
  }, Math.max(60, last + AT_MOST_EVERY - Date.now()));
}

const SAYS = {
  fill: (f) => `Fill of ${f.strategy || "no strategy"}: ${f.side} ${f.quantity} ${f.symbol} at ${f.price}`,
  verdict: (v) => (v.action === "none" ? `${v.guard} released`
  : `${v.guard}: ${v.action.replace("_", " ")}. ${v.reason}`),
  alert: (a) => `Alert of ${a.node}: ${a.text}`,
  status: (s) => `${s.node} is ${s.state}. ${s.health_why.join(". ")}`,
  action: (a) => a.text,
};

function heard(name, facts) {
  if (SAYS[name]) say(SAYS[name](facts));
  if (name === "action") progressed(facts);
  const { hears } = route().page;
  if (name === "hello" || !hears || hears.includes(name)) soon();
}

function linked(link) {
  state.link = link;
  show();
}

// Ages grow, and a node that died says nothing.
setInterval(() => { if (state.session && !document.hidden && route().page.hears?.length !== 0) soon(); }, 10_000);

// A browser keeps six connections to a server: tabs that nobody sees give theirs back.
const listen = () => events.open(heard, linked, ended);
document.addEventListener("visibilitychange", () => {
  if (!state.session || document.querySelector("dialog")) return;
  if (document.hidden) events.close();
  else listen();
});

// Entering and leaving ----------------------------------------------------------------------------

async function enter() {
  events.close();
  const session = await api.session();
  if (session.signed_in) return begin(session);
  Object.assign(state, { session: null, data: null });
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  document.title = "Log in – perpdesk";
  app.replaceChildren(login(session, enter));
  app.querySelector("input")?.focus();
}

async function begin(session) {
  Object.assign(state, { session, route: "", data: null });
  app.replaceChildren();
  if (!location.hash.startsWith("#/")) history.replaceState(null, "", "#/desk");
  listen();
  await arrive();
}

/** Find out why the stream of events ended: the session is over, or the server was away. */
async function ended() {
  linked("lost");
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const session = await api.session();
  if (session.signed_in) listen();
  else if (session.away) ended();
  else enter();
}

async function leave() {
  await api.post("logout", {}).catch(() => null);
  enter();
}

// Keys --------------------------------------------------------------------------------------------

function help() {
  const on = localStorage.getItem("keys") !== "off";
  const keys = [["g, then a letter", PAGES.filter((p) => p.key).map((p) => `${p.key} ${p.title}`).join(", ")],
    ["/", "first filter of the page"], ["t", "theme"], ["?", "this list"], ["Esc", "close a dialog"]];
  const dialog = h("dialog", { "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("h2", { id: "keys-title" }, "Keys"),
    h("dl", null, keys.map(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)])),
    h("form", { method: "dialog" },
      h("label.check", null, h("input", { type: "checkbox", checked: on,
        onchange: (e) => localStorage.setItem("keys", e.target.checked ? "on" : "off") }), "Use keys of one letter"),
      h("div.acts", null, h("button.main", null, "Close"))));
  document.body.append(dialog);
  dialog.showModal();
}

let first = "";
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (!state.session || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (localStorage.getItem("keys") === "off" && event.key !== "?") return;
  const page = first === "g" && PAGES.find((p) => p.key === event.key);
  first = event.key;
  if (page) go(`#/${page.name}`);
  else if (event.key === "t") change();
  else if (event.key === "?") help();
  else if (event.key === "/") {
    const field = document.querySelector("main input, main select");
    if (field) { event.preventDefault(); field.focus(); }
  }
});

enter();
