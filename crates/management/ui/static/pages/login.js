// The way in.

import { ask } from "../api.js";
import { failure } from "../dialog.js";
import { h } from "../dom.js";
import { begin } from "../oauth.js";
import { forget, remember, setUser } from "../session.js";

/**
 * `reason` is why the reader is asked again; `entered` is called once the API has said yes to a
 * name and password. `ways` are the ways in.
 */
export function loginPage({ reason, entered, ways }) {
  const outcome = h(
    "div",
    { "aria-live": "polite" },
    reason && h("p", { class: "refusal", role: "alert" }, reason),
  );
  const head = [
    h("img", { src: "icon.svg", alt: "", width: "44", height: "44" }),
    h("h1", {}, "Warren"),
    h("p", { class: "dim" }, "Messages underground, safely."),
  ];
  const elsewhere = ways.servers.map((server) => wayOf(server, outcome));
  if (!ways.byPassword)
    return h("main", { class: "alone" }, h("div", { class: "login" }, head, outcome, elsewhere));
  return h("main", { class: "alone" }, passwordForm({ head, outcome, elsewhere, entered }));
}

function passwordForm({ head, outcome, elsewhere, entered }) {
  const submit = h("button", { type: "submit", class: "primary" }, "Log in");
  const form = h(
    "form",
    {
      class: "login",
      onsubmit: async (event) => {
        event.preventDefault();
        const { name, password } = Object.fromEntries(new FormData(form));
        submit.disabled = true;
        try {
          remember(name, password);
          setUser(await ask("whoami"));
          await entered();
        } catch (error) {
          forget();
          outcome.replaceChildren(failure(error));
        } finally {
          submit.disabled = false;
        }
      },
    },
    head,
    field("User", {
      id: "login-name",
      name: "name",
      autocomplete: "username",
      autocapitalize: "off",
      spellcheck: "false",
    }),
    field("Password", {
      id: "login-password",
      name: "password",
      type: "password",
      autocomplete: "current-password",
    }),
    outcome,
    submit,
    elsewhere,
  );
  return form;
}

function field(label, attributes) {
  return h(
    "div",
    { class: "field" },
    h("label", { for: attributes.id }, label),
    h("input", { required: true, ...attributes }),
  );
}

/** The way in for one resource server: by its provider, or from there. */
function wayOf(server, outcome) {
  const text = `Log in with ${server.label ?? server.id}`;
  if (server.oauth_initiated_logon_type === "idp_initiated")
    return h("a", { href: server.oauth_provider_url }, text);
  const button = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        button.disabled = true;
        try {
          await begin(server);
        } catch (error) {
          outcome.replaceChildren(failure(error));
          button.disabled = false;
        }
      },
    },
    text,
  );
  return button;
}
