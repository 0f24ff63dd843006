// The whole cluster at a glance.

import { chart, LENGTH_LINES, MESSAGE_LINES } from "../chart.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { count, rate, rateOf } from "../format.js";
import { points, record, samplesWanted } from "../history.js";
import { button, facts, figure, section } from "../parts.js";
import { mayAdminister, mayMonitor } from "../session.js";
import { ask } from "../api.js";
import { byName, table, to } from "../table.js";
import { nodeCard } from "./nodes.js";

const SUBJECT = "overview";

const CHURN = [
  ["connection_created", "Connections opened"],
  ["connection_closed", "Connections closed"],
  ["channel_created", "Channels opened"],
  ["channel_closed", "Channels closed"],
  ["queue_declared", "Queues declared"],
  ["queue_created", "Queues created"],
  ["queue_deleted", "Queues deleted"],
];

export const overview = {
  title: () => "Overview",

  async load(context) {
    const [whole, nodes] = await Promise.all([
      context.ask("overview", {}, samplesWanted(SUBJECT)),
      mayMonitor() ? context.ask("nodes") : [],
    ]);
    record(
      SUBJECT,
      MESSAGE_LINES.map(({ name }) => ({ name, object: whole.message_stats })),
      LENGTH_LINES.map(({ name }) => ({ name, object: whole.queue_totals })),
    );
    context.overview = whole;
    context.nodes = mayMonitor() ? nodes : undefined;
    return { whole, nodes };
  },

  view({ whole, nodes }, context) {
    const totals = whole.object_totals ?? {};
    const queued = whole.queue_totals ?? {};
    const stats = whole.message_stats ?? {};
    const lines = (list) => list.map((line) => ({ ...line, points: points(SUBJECT, line.name) }));
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "figures-row", key: "figures" },
        figure("ready", count(queued.messages_ready), ["queues"], {
          sort: "messages_ready",
          desc: "1",
        }),
        figure("unacknowledged", count(queued.messages_unacknowledged), ["queues"], {
          sort: "messages_unacknowledged",
          desc: "1",
        }),
        figure("published", rate(rateOf(stats, "publish") ?? 0)),
        figure("delivered", rate(rateOf(stats, "deliver_get") ?? 0)),
        figure("queues", count(totals.queues), ["queues"]),
        figure("exchanges", count(totals.exchanges), ["exchanges"]),
        figure("connections", count(totals.connections), ["connections"]),
        figure("channels", count(totals.channels), ["channels"]),
        figure("consumers", count(totals.consumers)),
      ),
      h(
        "div",
        { class: "charts", key: "charts" },
        chart({ title: "Message rates", format: rate, lines: lines(MESSAGE_LINES) }),
        chart({ title: "Queued messages", format: count, lines: lines(LENGTH_LINES) }),
      ),
      nodes.length > 0 &&
        section("Nodes", h("div", { class: "cards" }, byName(nodes).map(nodeCard))),
      h(
        "div",
        { class: "columns", key: "columns" },
        section("Churn", churn(whole.churn_rates ?? {})),
        section("Listeners", listeners(whole)),
        section(
          "Cluster",
          facts([
            ["Name", whole.cluster_name],
            ["Answered by", whole.node],
            ["Version", [whole.product_name, whole.product_version].filter(Boolean).join(" ")],
            ["Speaks as", whole.rabbitmq_version && `RabbitMQ ${whole.rabbitmq_version}`],
            ["Default queue type", whole.default_queue_type],
          ]),
          mayAdminister() &&
            button("Rename cluster…", () => rename(whole.cluster_name, context), "small"),
        ),
      ),
    );
  },
};

function churn(rates) {
  return table({
    caption: "Churn",
    empty: "nothing",
    columns: [
      { title: "What", head: true, cell: ([, text]) => text },
      { title: "Since start", number: true, cell: ([name]) => count(rates[name]) },
      { title: "Per second", number: true, cell: ([name]) => rate(rateOf(rates, name)) },
    ],
    rows: CHURN,
    key: ([name]) => name,
  });
}

function listeners(whole) {
  const rows = sortedListeners(whole.listeners ?? []);
  return table({
    caption: "Listeners",
    empty: "No listeners are known.",
    columns: [
      { title: "Protocol", head: true, cell: ({ protocol }) => protocol },
      { title: "Address", cell: ({ ip_address: address }) => address },
      { title: "Port", number: true, cell: ({ port }) => String(port) },
      { title: "Node", cell: ({ node }) => (mayMonitor() ? to(["nodes", node], node) : node) },
    ],
    rows,
    key: ({ node, protocol, ip_address: address, port }) =>
      [node, protocol, address, port].join(" "),
  });
}

/** Node by node, as they are listed above. */
function sortedListeners(listeners) {
  return [...listeners].sort((a, b) => String(a.node).localeCompare(String(b.node)));
}

function rename(name, context) {
  form({
    title: "Rename cluster",
    verb: "Rename",
    fields: [{ name: "name", label: "Name", value: name, required: true }],
    send: async (values) => {
      await ask("setClusterName", {}, { body: { name: values.name } });
      return `The cluster is called ${values.name}.`;
    },
    done: context.refresh,
  });
}
