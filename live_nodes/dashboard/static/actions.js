// Logging in, and the dialogs of what a person may do: each asks for a reason and proof of who asks.

import { api } from "./api.js";
import { h } from "./dom.js";

const field = (label, props, hint) => h("div.field", null,
  h("label", null, label, h("input", { ...props, "aria-describedby": hint ? `about-${props.name}` : null })),
  hint ? h("div.hint", { id: `about-${props.name}` }, hint) : "");
// Password managers look for a name; there is one password.
const who = () => h("input", { type: "text", autocomplete: "username", value: "perpdesk", hidden: true });
const CODE = { name: "code", inputmode: "numeric", pattern: "\\d{6}", maxlength: "6", autocomplete: "one-time-code" };

/** Run what a form asks for, once at a time, and show why it failed. */
function submits(form, problem, act) {
  form.onsubmit = async (event) => {
    event.preventDefault();
    const button = form.querySelector("button.main");
    button.disabled = true;
    problem.textContent = "";
    try {
      await act(Object.fromEntries(new FormData(form)));
    } catch (error) {
      const wait = error.answer?.retry_s ? ` Try again in ${Math.ceil(error.answer.retry_s)} s.` : "";
      problem.textContent = error.message + wait;
      const proof = form.querySelector("[name=code]");
      proof.value = "";
      proof.focus();
    } finally {
      button.disabled = false;
    }
  };
}

/** Return the page that asks who you are; `begin` is called after. */
export function login(session, begin) {
  const problem = h("p.bad", { role: "alert" });
  if (session.set_up === false) {
    return h("main.login", null, h("h1", null, "perpdesk"),
      h("p", null, "Nobody can log in yet. Choose a password and an authenticator app in the terminal:"),
      h("pre.panel", null, "perpdesk dashboard password"),
      h("p.hint", null, "Then load this page again."));
  }
  const form = h("form.stack.panel", { "aria-label": "Log in" }, who(),
    field("Password", { name: "password", type: "password", autocomplete: "current-password", required: true }),
    field("Code of your authenticator app", { ...CODE, required: true }, "Six digits; each code works once."),
    problem, h("button.main", null, "Log in"));
  submits(form, problem, async ({ password, code }) => {
    await api.login(password, code);
    await begin();
  });
  if (session.set_up == null) problem.textContent = session.error ?? "";
  return h("main.login", null, h("h1", null, "perpdesk"), form);
}

let follows = null;

/** Show the progress of an action that is under way in its dialog. */
export function progressed({ action, text, done, flat }) {
  if (follows?.action === action) follows.show(text, done, flat === false);
}

/**
 * Ask for a reason and proof, then act. `more` are further fields; `path` is where it is sent and
 * `body` adds to what is sent; `after` is called when something was done.
 */
export function ask({ title, text, verb, danger, path, body = {}, more = [], after }) {
  const problem = h("p.bad", { role: "alert" });
  const progress = h("p", { role: "status" });
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", null, who(), more,
    h("label", null, "Reason, kept in the journal",
      h("textarea", { name: "reason", rows: "2", required: true, minlength: "3", maxlength: "300" })),
    field("Password", { name: "password", type: "password", autocomplete: "current-password" }),
    field("Code of your authenticator app", CODE, "Instead of the password: one that was not used yet."),
    problem, progress,
    h("div.acts", null, close, h("button.main", { class: danger ? "danger" : "" }, verb)));
  const dialog = h("dialog", { "aria-labelledby": "ask-title", "aria-describedby": "ask-text",
    onclose: () => { follows = null; dialog.remove(); } },
  h("h2", { id: "ask-title" }, title), h("p", { id: "ask-text" }, text), form);
  const show = (said, done, failed) => {
    progress.textContent = said;
    progress.className = failed ? "bad" : "";
    if (!done) return;
    close.textContent = "Close";
    close.focus();
    after?.();
  };
  submits(form, problem, async ({ code, password, ...fields }) => {
    if (!code && !password) throw new Error("Give your password, or a code of your authenticator app.");
    const proof = code ? { code } : { password };
    const sent = { ...body, ...fields, ...(fields.accept ? { accept: true } : {}), ...proof };
    const answer = await api.post(path, sent);
    form.querySelectorAll("label, .field, button.main").forEach((part) => part.remove());
    if (answer.action) follows = { action: answer.action, show };
    show(answer.text, !answer.action);
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Return a field of `ask` to choose from. */
export const choice = (label, name, options) =>
  h("label", null, label, h("select", { name }, options.map(([value, text]) => h("option", { value }, text))));

export const flatten = (node, held, after) => ask({
  title: `Flatten ${node}?`, verb: "Flatten now", danger: true, path: `nodes/${node}/flatten`, after,
  text: `Cancels every order of ${node}, closes ${held} at the market and stays out, over restarts`
    + " too, until the guard “operator” is released.",
});

export const halt = (node, scopes, after) => ask({
  title: `Halt entries of ${node}?`, verb: "Halt entries", danger: true, path: `nodes/${node}/halt`, after,
  text: "No position is opened or enlarged until this is released; exits go on and positions stay.",
  more: [choice("What is halted", "scope", scopes)],
});

export const release = (node, { guard, scope = "" }, after) => ask({
  title: `Release ${guard}${scope && scope !== "desk" ? ` on ${scope}` : ""} of ${node}?`, verb: "Release", path: `nodes/${node}/release`, body: { guard, scope }, after,
  text: "Ends this halt. While its limit is still reached the release is refused, with the figures.",
  more: [h("label.check", null, h("input", { type: "checkbox", name: "accept", value: "yes" }),
    "Release although the limit is reached: measure anew from here")],
});
