// Queues: the list, and how one is declared.

import { ask } from "../api.js";
import { queueArgumentFields, tableOf } from "../arguments.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { button, features, state } from "../parts.js";
import { go, link } from "../route.js";
import { countColumn, listBar, rateColumn, table, to } from "../table.js";
import { loadList } from "./vhosts.js";

/** Asked for by name: a row of 10,000 queues is otherwise fifty fields long. */
const COLUMNS = [
  "name",
  "vhost",
  "type",
  "durable",
  "auto_delete",
  "exclusive",
  "arguments",
  "policy",
  "state",
  "node",
  "consumers",
  "messages",
  "messages_ready",
  "messages_unacknowledged",
  "message_stats.publish_details.rate",
  "message_stats.deliver_get_details.rate",
  "message_stats.ack_details.rate",
];

export const queues = {
  title: () => "Queues",

  load: (context) => loadList(context, COLUMNS, "queues", "vhostQueues"),

  view({ answer, vhosts }, { route }) {
    return h(
      "div",
      { class: "content" },
      listBar({
        route,
        answer,
        noun: "queues",
        vhosts,
        actions: [button("New queue…", () => declare(vhosts, route.query.vhost), "primary")],
      }),
      table({
        caption: "Queues",
        route,
        rows: answer.items,
        key: ({ vhost, name }) => `${vhost} ${name}`,
        empty: "No queues.",
        columns: [
          {
            title: "Name",
            sort: "name",
            head: true,
            cell: ({ vhost, name }) => to(["queues", vhost, name], name),
          },
          { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost },
          { title: "Type", sort: "type", cell: ({ type }) => type },
          { title: "Features", cell: features },
          { title: "Policy", sort: "policy", cell: ({ policy }) => policy ?? "" },
          { title: "Leader", sort: "node", cell: ({ node }) => node },
          { title: "State", sort: "state", cell: (one) => state(one.state) },
          countColumn("Ready", "messages_ready"),
          countColumn("Unacked", "messages_unacknowledged"),
          countColumn("Total", "messages"),
          countColumn("Consumers", "consumers"),
          rateColumn("Publish", "publish"),
          rateColumn("Deliver", "deliver_get"),
          rateColumn("Ack", "ack"),
        ],
      }),
    );
  },
};

function declare(vhosts, vhost) {
  form({
    title: "New queue",
    verb: "Create",
    wide: true,
    fields: [
      { name: "name", label: "Name", required: true },
      {
        name: "vhost",
        label: "Virtual host",
        kind: "select",
        options: vhosts,
        value: vhost || vhosts[0],
      },
      {
        name: "type",
        label: "Type",
        kind: "select",
        options: [["", "default of the virtual host"], "quorum", "classic"],
        value: "",
      },
      { name: "durable", label: "Durable: survives a restart", kind: "checkbox", value: true },
      { name: "auto_delete", label: "Auto-delete: goes with its last consumer", kind: "checkbox" },
      ...queueArgumentFields(),
      { name: "arguments", label: "Further arguments", kind: "table" },
    ],
    send: async (values) => {
      const { name, vhost: place, type, durable, auto_delete: autoDelete } = values;
      const table = { ...tableOf(values), ...values.arguments };
      if (type) table["x-queue-type"] = type;
      await ask(
        "declareQueue",
        { vhost: place, name },
        { body: { durable, auto_delete: autoDelete, arguments: table } },
      );
      go(link(["queues", place, name]));
      return `Queue ${name} is there.`;
    },
  });
}
