// Queues: the list, and how one is declared.

import { ask } from "../api.js";
import { queueArgumentFields, tableOf } from "../arguments.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { count, rate, rateOf } from "../format.js";
import { button, features, state } from "../parts.js";
import { go, link } from "../route.js";
import { listBar, listQuery, table, to } from "../table.js";
import { vhostNames } from "./vhosts.js";

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

  async load({ ask: get, route }) {
    const { vhost } = route.query;
    const query = listQuery(route, COLUMNS);
    const [answer, vhosts] = await Promise.all([
      vhost ? get("vhostQueues", { vhost }, query) : get("queues", {}, query),
      vhostNames(get),
    ]);
    return { answer, vhosts };
  },

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
          {
            title: "Ready",
            sort: "messages_ready",
            number: true,
            cell: (one) => count(one.messages_ready),
          },
          {
            title: "Unacked",
            sort: "messages_unacknowledged",
            number: true,
            cell: (one) => count(one.messages_unacknowledged),
          },
          { title: "Total", sort: "messages", number: true, cell: (one) => count(one.messages) },
          {
            title: "Consumers",
            sort: "consumers",
            number: true,
            cell: (one) => count(one.consumers),
          },
          {
            title: "Publish",
            sort: "message_stats.publish_details.rate",
            number: true,
            cell: (one) => rate(rateOf(one.message_stats, "publish")),
          },
          {
            title: "Deliver",
            sort: "message_stats.deliver_get_details.rate",
            number: true,
            cell: (one) => rate(rateOf(one.message_stats, "deliver_get")),
          },
          {
            title: "Ack",
            sort: "message_stats.ack_details.rate",
            number: true,
            cell: (one) => rate(rateOf(one.message_stats, "ack")),
          },
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
