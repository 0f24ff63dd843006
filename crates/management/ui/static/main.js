// The pages' table of contents: log in, find the page, load it, keep it up to date.
//
// A page is `{title, load, view}`: `load` asks the API, `view` makes elements of the answer.
// Every few seconds both run again and the page on view is brought up to date in place.
// A refresh that fails leaves what is on view and says so in the notice line.

import { ask, Refusal } from "./api.js";
import { failure } from "./dialog.js";
import { h, morph } from "./dom.js";
import { stand } from "./notice.js";
import { leave } from "./oauth.js";
import { current } from "./route.js";
import { authorization, forget, setUser, takeReason } from "./session.js";
import { loginPage } from "./pages/login.js";
import { find } from "./pages.js";
import { interval, shell, showCluster, showPlace } from "./shell.js";

const root = h("div", { id: "root" });

/** What is under way: a new page or refresh ends the one before. */
let running = new AbortController();
let timer;
let shown;

async function start() {
  document.body.replaceChildren(root);
  if (authorization() === undefined) return login(takeReason());
  try {
    setUser(await ask("whoami"));
  } catch (error) {
    if (error.status === 401) forget();
    return login(error.message);
  }
  root.replaceChildren(...shell({ logout, refresh }));
  shown = undefined;
  await show();
}

async function login(reason) {
  clearTimeout(timer);
  running.abort();
  const page = loginPage({ reason, entered: start, ways: await waysIn() });
  root.replaceChildren(page);
  document.title = "Log in · Warren";
  root.querySelector("input, button, a")?.focus();
}

/** How one can log in: by name and password, and for which resource servers with OAuth 2. */
async function waysIn() {
  try {
    const said = await ask("auth");
    const servers = Object.values(said.oauth_resource_servers ?? {});
    return { byPassword: said.oauth_disable_basic_auth !== true, servers };
  } catch {
    // The node knows of no other way, or does not answer: then the first try says so.
    return { byPassword: true, servers: [] };
  }
}

function logout() {
  if (!leave()) login();
}

/** Loads the page of the current route; once more is what a refresh is. */
async function show() {
  if (authorization() === undefined) return;
  clearTimeout(timer);
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const route = current();
  const { page, vars } = find(route.path);
  const place = route.path.join("/");
  const stage = document.getElementById("page");
  const arrived = place !== shown;
  if (arrived) {
    shown = place;
    document.title = `${page.title(vars)} · Warren`;
    showPlace(route.path[0] ?? "");
    stage.replaceChildren(heading(page, vars), h("p", { class: "loading" }, "Asking the cluster…"));
    stage.scrollTop = 0;
    if (document.activeElement !== document.body)
      stage.querySelector("h1").focus({ preventScroll: true });
  }

  const stale = new Set();
  const note = (nodes) => nodes.forEach((node) => stale.add(node));
  const context = {
    route,
    vars,
    refresh,
    ask: (name, variables, query) => ask(name, variables, { query, signal, stale: note }),
  };
  let content;
  try {
    const data = await page.load(context);
    if (signal.aborted) return;
    content = page.view(data, context);
    stand({ stale: [...stale] });
  } catch (error) {
    if (signal.aborted) return;
    const ended = await loginEnded(error);
    if (signal.aborted) return;
    if (ended) {
      forget();
      return login(ended);
    }
    if (!(error instanceof Refusal)) console.error(error);
    const kept = stage.querySelector(".content");
    const gone = error instanceof Refusal && error.status === 404;
    stand({ failure: kept && !gone ? error.message : undefined, refreshed: false });
    if (!kept || gone) content = h("div", { class: "content" }, failure(error));
  }
  if (content !== undefined) {
    if (!content.classList?.contains("content")) content = h("div", { class: "content" }, content);
    const fresh = stage.cloneNode(false);
    fresh.append(heading(page, vars), content);
    morph(stage, fresh);
  }
  showCluster(context);
  schedule();
}

/**
 * Why the login no longer holds, if it does not. A 401 alone does not say so: the API also
 * answers one page with it that this user may not see.
 */
async function loginEnded(error) {
  if (!(error instanceof Refusal) || error.status !== 401) return undefined;
  try {
    await ask("whoami");
    return undefined;
  } catch (again) {
    return again.status === 401 ? again.message : undefined;
  }
}

function heading(page, vars) {
  return h("h1", { tabindex: "-1", key: "heading" }, page.title(vars));
}

function schedule() {
  clearTimeout(timer);
  const pause = interval();
  // A tab that nobody looks at asks nothing.
  if (pause > 0 && !document.hidden) timer = setTimeout(show, pause);
}

function refresh() {
  return show();
}

addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () =>
  document.hidden ? clearTimeout(timer) : show(),
);
start();
