// Dialogs: a question before something happens, a form, an answer to read.
//
// The browser's own modal dialog keeps the focus inside and gives it back afterwards.
// What the API refuses is shown in the dialog, in its words, and the dialog stays.

import { Refusal } from "./api.js";
import { h } from "./dom.js";
import { fieldset, read, watch } from "./form.js";
import { say } from "./notice.js";

/** The field in which a name is typed before what cannot be undone. */
const GUARD = " typed";

let numbers = 0;

/**
 * Asks before doing something; `typed` is what must be typed first, for what cannot be undone.
 *
 * @param {{title: string, text: any, verb: string, danger?: boolean, typed?: string,
 *   fields?: object[], send: (values: object) => Promise<string>, done: () => void}} question
 */
export function confirm({ title, text, verb, danger, typed, fields = [], send, done }) {
  const guards =
    typed === undefined ? [] : [{ name: GUARD, label: `Type ${typed} to go on`, required: true }];
  const guarded = async (values) => {
    if (typed !== undefined && values[GUARD] !== typed) throw new Error(`this is not ${typed}`);
    return send(values);
  };
  form({ title, intro: text, verb, danger, fields: [...fields, ...guards], send: guarded, done });
}

/**
 * Shows a form. `send` gets the values, returns what to say, and may throw a Refusal.
 * With `stay`, the dialog remains and shows what `send` returned.
 */
export function form({ title, intro, fields, verb, danger, wide, stay, send, done }) {
  const outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const submit = h("button", { type: "submit", class: danger ? "danger" : "primary" }, verb);
  const body = fieldset(fields);
  const panel = h(
    "form",
    {
      class: "panel",
      onsubmit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        outcome.replaceChildren();
        try {
          const answer = await send(read(panel, fields));
          if (stay) {
            outcome.replaceChildren(
              typeof answer === "string" ? h("p", { class: "good" }, answer) : answer,
            );
          } else {
            dialog.close();
            say(answer);
          }
          done?.();
        } catch (error) {
          outcome.replaceChildren(failure(error));
        } finally {
          submit.disabled = false;
        }
      },
    },
    intro !== undefined && h("div", { class: "intro" }, intro),
    body,
    outcome,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, stay ? "Close" : "Cancel"),
      submit,
    ),
  );
  const dialog = open(title, panel, wide);
  watch(panel, fields);
  const first = panel.querySelector("input:not([type=hidden]), select, textarea");
  (first ?? panel.querySelector(".buttons button")).focus();
}

/** Shows something to read. */
export function reading(title, content) {
  const dialog = open(
    title,
    h(
      "div",
      { class: "panel" },
      content,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close"),
      ),
    ),
    true,
  );
  dialog.querySelector(".buttons button").focus();
}

/** What went wrong, in the API's words where it spoke. */
export function failure(error) {
  if (error instanceof Refusal) {
    const source =
      error.status === 0 ? "" : ` (HTTP ${error.status}${error.code ? `, ${error.code}` : ""})`;
    return h("p", { class: "refusal", role: "alert" }, `${error.message}${source}`);
  }
  return h("p", { class: "refusal", role: "alert" }, error.message);
}

function open(title, content, wide) {
  numbers += 1;
  const id = `dialog-${numbers}`;
  const dialog = h(
    "dialog",
    { class: wide ? "wide" : undefined, "aria-labelledby": id },
    h("h2", { id }, title),
    content,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
