// Asks the server. What is typed in a login or a dialog is sent once and kept nowhere.

export class LoggedOut extends Error {}

let csrf = "";
let source = null;
let ids = null;
const NAMES = ["hello", "fill", "order", "decision", "verdict", "equity", "position", "note", "alert",
  "status", "refresh", "action"];

async function call(method, path, body, automatic) {
  const headers = automatic ? { "X-Background": "1" } : {};
  if (body) Object.assign(headers, { "Content-Type": "application/json", "X-CSRF-Token": csrf });
  let response;
  try {
    response = await fetch(path, { method, headers, cache: "no-store", body: body && JSON.stringify(body) });
  } catch {
    const why = "The dashboard's server does not answer; is `perpdesk dashboard` running?";
    throw Object.assign(new Error(why), { answer: { away: true } });
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({ error: `The server answered ${response.status}` }));
  if (response.ok) return answer;
  const out = response.status === 401 && !answer.reauthenticate && method === "GET";
  throw Object.assign(out ? new LoggedOut(answer.error) : new Error(answer.error), { status: response.status, answer });
}

const query = (params = {}) => {
  const given = Object.entries(params).filter(([, v]) => v != null && v !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

export const api = {
  query,
  get: (path, params, automatic) => call("GET", `/api/${path}${query(params)}`, undefined, automatic),
  post: (path, body) => call("POST", `/api/${path}`, body),
  /** Return the session, or what the server says to who has none. */
  async session() {
    const found = await call("GET", "/api/session").catch((error) => ({ error: error.message, ...error.answer }));
    csrf = found.csrf ?? "";
    return found;
  },
  async login(password, code) {
    csrf = (await call("POST", "/api/login", { password, code })).csrf;
  },
  /** Return the ids of all nodes. */
  async nodes() {
    ids ??= (await call("GET", "/api/desk")).nodes.map((node) => node.node);
    return ids;
  },
};

export const events = {
  /** Hear what changes: `heard(name, facts)`, and `linked(state)` when the link comes or goes. */
  open(heard, linked, ended) {
    source?.close();
    source = new EventSource("/api/events");
    source.onopen = () => linked("live");
    source.onerror = () => (source?.readyState === EventSource.CLOSED ? ended() : linked("lost"));
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        const facts = JSON.parse(event.data);
        if (name === "hello") ids = facts.nodes;
        else if (facts.node && !ids?.includes(facts.node)) ids = null;
        heard(name, facts);
      });
    }
    source.addEventListener("bye", () => { source.close(); ended(); });
  },
  close() {
    source?.close();
    source = null;
  },
};
