// Exchanges: the list, and how one is declared.

import { ask } from "../api.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { button, exchangeName, features } from "../parts.js";
import { link } from "../route.js";
import { listBar, rateColumn, table } from "../table.js";
import { loadList } from "./vhosts.js";

const COLUMNS = [
  "name",
  "vhost",
  "type",
  "durable",
  "auto_delete",
  "internal",
  "arguments",
  "policy",
  "message_stats.publish_in_details.rate",
  "message_stats.publish_out_details.rate",
];

export const exchanges = {
  title: () => "Exchanges",

  async load(context) {
    const [list, whole] = await Promise.all([
      loadList(context, COLUMNS, "exchanges", "vhostExchanges"),
      context.ask("overview"),
    ]);
    // The frame around the page shows a part of it and need not ask again.
    context.overview = whole;
    return { ...list, types: typeNames(whole) };
  },

  view({ answer, vhosts, types }, { route, refresh }) {
    return h(
      "div",
      { class: "content" },
      listBar({
        route,
        answer,
        noun: "exchanges",
        vhosts,
        actions: [
          button(
            "New exchange…",
            () => declare(vhosts, route.query.vhost, types, refresh),
            "primary",
          ),
        ],
      }),
      table({
        caption: "Exchanges",
        route,
        rows: answer.items,
        key: ({ vhost, name }) => `${vhost} ${name}`,
        empty: "No exchanges.",
        columns: [
          {
            title: "Name",
            sort: "name",
            head: true,
            cell: ({ vhost, name }) =>
              h("a", { href: link(["exchanges", vhost, name]) }, exchangeName(name)),
          },
          { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost },
          { title: "Type", sort: "type", cell: ({ type }) => type },
          { title: "Features", cell: features },
          { title: "Policy", sort: "policy", cell: ({ policy }) => policy ?? "" },
          rateColumn("In", "publish_in"),
          rateColumn("Out", "publish_out"),
        ],
      }),
    );
  },
};

function typeNames(whole) {
  const names = (whole.exchange_types ?? []).map(({ name }) => name);
  return names.length > 0 ? names : ["direct", "fanout", "headers", "topic"];
}

function declare(vhosts, vhost, types, refresh) {
  form({
    title: "New exchange",
    verb: "Create",
    fields: [
      { name: "name", label: "Name", required: true },
      {
        name: "vhost",
        label: "Virtual host",
        kind: "select",
        options: vhosts,
        value: vhost || vhosts[0],
      },
      { name: "type", label: "Type", kind: "select", options: types, value: "direct" },
      { name: "durable", label: "Durable: survives a restart", kind: "checkbox", value: true },
      { name: "auto_delete", label: "Auto-delete: goes with its last binding", kind: "checkbox" },
      { name: "internal", label: "Internal: only other exchanges publish to it", kind: "checkbox" },
      {
        name: "arguments",
        label: "Arguments",
        kind: "table",
        known: ["alternate-exchange", "x-delayed-type", "hash-header", "hash-property"],
      },
    ],
    send: async ({ name, vhost: place, ...body }) => {
      await ask("declareExchange", { vhost: place, name }, { body });
      return `Exchange ${name} is there.`;
    },
    done: refresh,
  });
}
