// Policies and operator policies.

import { ask } from "../api.js";
import { otherKeys, policyFields, tableOf } from "../arguments.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { argumentList, button, section } from "../parts.js";
import { mayAdminister, maySetPolicies } from "../session.js";
import { sortHere, table } from "../table.js";
import { vhostNames } from "./vhosts.js";

const APPLY_TO = ["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"];

const KINDS = {
  user: { title: "Policies", noun: "policy", put: "putPolicy", remove: "deletePolicy" },
  operator: {
    title: "Operator policies",
    noun: "operator policy",
    put: "putOperatorPolicy",
    remove: "deleteOperatorPolicy",
  },
};

export const policies = {
  title: () => "Policies",

  async load({ ask: get }) {
    const [user, operator, vhosts] = await Promise.all([
      get("policies"),
      get("operatorPolicies"),
      vhostNames(get),
    ]);
    return { user, operator, vhosts };
  },

  view({ user, operator, vhosts }, context) {
    return h(
      "div",
      { class: "content" },
      part("user", user, vhosts, maySetPolicies(), context),
      part("operator", operator, vhosts, mayAdminister(), context),
    );
  },
};

function part(kind, rows, vhosts, allowed, { route, refresh }) {
  const { title, noun } = KINDS[kind];
  return section(
    title,
    h(
      "p",
      { class: "dim" },
      kind === "user"
        ? "Of the policies whose pattern matches, the one with the highest priority applies."
        : "Applied on top of policies; of two limits the lower one holds.",
    ),
    table({
      caption: title,
      route,
      rows: sortHere(rows, route),
      key: ({ vhost, name }) => `${vhost} ${name}`,
      empty: "None.",
      columns: [
        { title: "Name", sort: "name", head: true, cell: ({ name }) => name },
        { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost },
        { title: "Pattern", sort: "pattern", cell: ({ pattern }) => h("code", {}, pattern) },
        {
          title: "Applies to",
          sort: "apply-to",
          cell: (one) => one["apply-to"].replaceAll("_", " "),
        },
        { title: "Definition", wide: true, cell: ({ definition }) => argumentList(definition) },
        {
          title: "Priority",
          sort: "priority",
          number: true,
          cell: ({ priority }) => String(priority),
        },
        allowed && {
          title: "",
          cell: (one) => [
            button("Change…", () => edit(kind, one, vhosts, refresh), "small"),
            " ",
            button("Delete…", () => remove(kind, one, refresh), "small"),
          ],
        },
      ].filter(Boolean),
    }),
    allowed && button(`New ${noun}…`, () => edit(kind, undefined, vhosts, refresh), "small"),
  );
}

function edit(kind, one, vhosts, refresh) {
  const { noun, put } = KINDS[kind];
  const operator = kind === "operator";
  form({
    title: one ? `Change ${noun} ${one.name}` : `New ${noun}`,
    verb: one ? "Save" : "Create",
    wide: true,
    fields: [
      !one && { name: "name", label: "Name", required: true },
      !one && {
        name: "vhost",
        label: "Virtual host",
        kind: "select",
        options: vhosts,
        value: vhosts[0],
      },
      {
        name: "pattern",
        label: "Pattern",
        value: one?.pattern,
        required: true,
        hint: "A regular expression on names; ^orders matches what begins with orders.",
      },
      {
        name: "apply-to",
        label: "Applies to",
        kind: "select",
        options: operator ? APPLY_TO.filter((to) => to !== "all" && to !== "exchanges") : APPLY_TO,
        value: one?.["apply-to"] ?? (operator ? "queues" : "all"),
      },
      { name: "priority", label: "Priority", kind: "number", value: one?.priority ?? 0 },
      ...policyFields({ operator, definition: one?.definition }),
      {
        name: "other",
        label: "Further keys",
        kind: "table",
        value: one && otherKeys({ operator, definition: one.definition }),
      },
    ].filter(Boolean),
    send: async (values) => {
      const { name = one?.name, vhost = one?.vhost, pattern, priority = 0 } = values;
      await ask(
        put,
        { vhost, name },
        {
          body: {
            pattern,
            priority,
            "apply-to": values["apply-to"],
            definition: { ...tableOf(values), ...values.other },
          },
        },
      );
      return `${noun} ${name} is saved.`;
    },
    done: refresh,
  });
}

function remove(kind, one, refresh) {
  const { noun, remove: request } = KINDS[kind];
  confirm({
    title: `Delete ${noun} ${one.name}`,
    verb: "Delete",
    danger: true,
    text: `What matches ${one.pattern} follows the next policy that matches, at once.`,
    send: async () => {
      await ask(request, { vhost: one.vhost, name: one.name });
      return `${noun} ${one.name} is deleted.`;
    },
    done: refresh,
  });
}
