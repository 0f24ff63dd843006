// Fields with labels, and what stands in them as values for the API.
//
// A field that is left empty is left out of the values, so that the API's own defaults
// hold. A table of arguments is edited row by row, with the type of each value chosen.

import { h } from "./dom.js";

/**
 * @typedef {{name: string, label: string, kind?: "text" | "number" | "select" | "checkbox" |
 *   "area" | "password" | "file" | "table" | "yesno", value?: any, options?: any[], hint?: string,
 *   required?: boolean, known?: string[], when?: (values: object) => boolean,
 *   group?: string, min?: number, max?: number}} Field
 */

let numbers = 0;

/** The fields of a form in their order; those of a group are folded under its name. */
export function fieldset(fields) {
  const groups = new Map();
  const shown = fields.map((field) => {
    if (field.group === undefined) return control(field);
    const open = groups.get(field.group);
    const group = open ?? h("div", { class: "fields" });
    group.append(control(field));
    groups.set(field.group, group);
    return open
      ? undefined
      : h("details", { class: "group" }, h("summary", {}, field.group), group);
  });
  return h("div", { class: "fields" }, shown);
}

function control(field) {
  if (field.kind === "table") return argumentTable(field);
  numbers += 1;
  const id = `field-${numbers}`;
  const hint = field.hint && h("small", { id: `${id}-hint` }, field.hint);
  const common = {
    id,
    name: field.name,
    required: field.required,
    "aria-describedby": field.hint ? `${id}-hint` : undefined,
  };
  const input = inputOf(field, common);
  const row =
    field.kind === "checkbox"
      ? h("div", { class: "field check" }, input, h("label", { for: id }, field.label), hint)
      : h(
          "div",
          { class: "field" },
          h(
            "label",
            { for: id },
            field.label,
            field.required && h("span", { class: "must", "aria-hidden": "true" }, " *"),
          ),
          input,
          hint,
        );
  row.dataset.field = field.name;
  return row;
}

function inputOf(field, common) {
  switch (field.kind) {
    case "select":
      return h(
        "select",
        common,
        field.options.map((option) => {
          const [value, text] = Array.isArray(option) ? option : [option, option];
          return h("option", { value, selected: value === (field.value ?? "") }, text);
        }),
      );
    case "yesno":
      return h(
        "select",
        common,
        [
          ["", "not set"],
          ["true", "yes"],
          ["false", "no"],
        ].map(([value, text]) =>
          h("option", { value, selected: String(field.value ?? "") === value }, text),
        ),
      );
    case "area":
      return h(
        "textarea",
        { ...common, rows: field.rows ?? 5, spellcheck: "false" },
        field.value ?? "",
      );
    case "checkbox":
      return h("input", { ...common, type: "checkbox", checked: field.value === true });
    case "number":
      return h("input", {
        ...common,
        type: "number",
        step: "1",
        min: field.min,
        max: field.max,
        value: field.value,
        inputmode: "numeric",
      });
    case "file":
      return h("input", { ...common, type: "file", accept: field.accept });
    case "password":
      return h("input", { ...common, type: "password", autocomplete: "new-password" });
    default:
      return h("input", {
        ...common,
        type: "text",
        value: field.value,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
      });
  }
}

/** Shows and hides fields as others change. */
export function watch(form, fields) {
  const show = () => {
    const values = read(form, fields, { lenient: true });
    for (const field of fields) {
      if (field.when === undefined) continue;
      const shown = field.when(values);
      const row = form.querySelector(`[data-field="${CSS.escape(field.name)}"]`);
      row.hidden = !shown;
      for (const input of row.querySelectorAll("input, select, textarea")) input.disabled = !shown;
    }
  };
  form.addEventListener("change", show);
  show();
}

/** The values of a form by name; what is hidden or empty is left out. */
export function read(form, fields, { lenient = false } = {}) {
  const values = {};
  for (const field of fields) {
    if (field.kind === "table") {
      const table = readTable(
        form.querySelector(`[data-field="${CSS.escape(field.name)}"]`),
        lenient,
      );
      values[field.name] = table;
      continue;
    }
    const input = form.elements[field.name];
    if (input.disabled) continue;
    if (field.kind === "checkbox") values[field.name] = input.checked;
    else if (field.kind === "file") values[field.name] = input.files[0];
    else if (input.value === "" && !field.required) continue;
    else if (field.kind === "number") values[field.name] = Number(input.value);
    else if (field.kind === "yesno") values[field.name] = input.value === "true";
    else values[field.name] = input.value;
  }
  return values;
}

const TYPES = [
  ["text", "text"],
  ["number", "number"],
  ["boolean", "boolean"],
  ["json", "list or table (JSON)"],
];

function argumentTable(field) {
  const rows = h("div", { class: "argument-rows" });
  for (const [key, value] of Object.entries(field.value ?? {}))
    rows.append(argumentRow(key, value));
  numbers += 1;
  const names = `known-${numbers}`;
  const box = h(
    "fieldset",
    { class: "field arguments" },
    h("legend", {}, field.label),
    field.known &&
      h(
        "datalist",
        { id: names },
        field.known.map((known) => h("option", { value: known })),
      ),
    field.hint && h("small", {}, field.hint),
    rows,
    h(
      "button",
      {
        type: "button",
        class: "small",
        onclick: () => {
          const row = argumentRow("", "", field.known && names);
          rows.append(row);
          row.querySelector("input").focus();
        },
      },
      `Add to ${field.label.toLowerCase()}`,
    ),
  );
  box.dataset.field = field.name;
  return box;
}

function argumentRow(key, value, names) {
  const type =
    typeof value === "string" ? "text" : typeof value === "object" ? "json" : typeof value;
  const row = h(
    "div",
    { class: "argument-row" },
    h("input", {
      type: "text",
      class: "argument-key",
      "aria-label": "Name",
      value: key,
      list: names,
      spellcheck: "false",
      autocomplete: "off",
    }),
    h(
      "select",
      { class: "argument-type", "aria-label": "Type" },
      TYPES.map(([kind, text]) => h("option", { value: kind, selected: kind === type }, text)),
    ),
    h("input", {
      type: "text",
      class: "argument-value",
      "aria-label": "Value",
      spellcheck: "false",
      autocomplete: "off",
      value: typeof value === "object" ? JSON.stringify(value) : String(value),
    }),
    h(
      "button",
      {
        type: "button",
        class: "small",
        "aria-label": "Remove this row",
        onclick: () => row.remove(),
      },
      "✕",
    ),
  );
  return row;
}

function readTable(box, lenient) {
  const table = {};
  for (const row of box.querySelectorAll(".argument-row")) {
    const key = row.querySelector(".argument-key").value;
    if (key === "") continue;
    const text = row.querySelector(".argument-value").value;
    try {
      table[key] = typed(key, text, row.querySelector(".argument-type").value);
    } catch (error) {
      if (!lenient) throw error;
    }
  }
  return table;
}

function typed(key, text, type) {
  if (type === "text") return text;
  if (type === "number") {
    if (text.trim() === "" || !Number.isFinite(Number(text)))
      throw new Error(`${key}: ${text || "nothing"} is not a number`);
    return Number(text);
  }
  if (type === "boolean") {
    if (text !== "true" && text !== "false") throw new Error(`${key}: a boolean is true or false`);
    return text === "true";
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${key}: this is not JSON`);
  }
}
