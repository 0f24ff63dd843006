// The way in.

import { ask } from "../api.js";
import { failure } from "../dialog.js";
import { h } from "../dom.js";
import { forget, remember, setUser } from "../session.js";

/** `reason` is why the reader is asked again; `entered` is called once the API has said yes. */
export function loginPage({ reason, entered }) {
  const outcome = h(
    "div",
    { "aria-live": "polite" },
    reason && h("p", { class: "refusal", role: "alert" }, reason),
  );
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
    h("img", { src: "icon.svg", alt: "", width: "44", height: "44" }),
    h("h1", {}, "Warren"),
    h("p", { class: "dim" }, "Messages underground, safely."),
    h(
      "div",
      { class: "field" },
      h("label", { for: "login-name" }, "User"),
      h("input", {
        id: "login-name",
        name: "name",
        required: true,
        autocomplete: "username",
        autocapitalize: "off",
        spellcheck: "false",
      }),
    ),
    h(
      "div",
      { class: "field" },
      h("label", { for: "login-password" }, "Password"),
      h("input", {
        id: "login-password",
        name: "password",
        type: "password",
        required: true,
        autocomplete: "current-password",
      }),
    ),
    outcome,
    submit,
  );
  return h("main", { class: "alone" }, form);
}
