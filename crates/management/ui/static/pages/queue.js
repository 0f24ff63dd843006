// One queue: what it holds, who reads it, why nothing moves, and what can be done to it.

import { ask } from "../api.js";
import { chart, LENGTH_LINES, MESSAGE_LINES } from "../chart.js";
import { confirm } from "../dialog.js";
import { h } from "../dom.js";
import { bytes, count, counted, duration, limit, moment, percent, rate, rateOf } from "../format.js";
import { points, record, samplesWanted } from "../history.js";
import { argumentList, button, facts, figure, section, state, tag, yes } from "../parts.js";
import { go, link } from "../route.js";
import { table, to } from "../table.js";
import { bind, bindingTable } from "./bindings.js";
import { browse } from "./browse.js";
import { consumerTable } from "./consumers.js";
import { explain } from "./explain.js";
import { getMessages } from "./messages.js";
import { publish } from "./publish.js";

/** What a queue counts; confirms and returns are a channel's. */
const RATES = MESSAGE_LINES.filter(({ name }) => !["confirm", "return_unroutable"].includes(name));

export const queue = {
  title: ({ name }) => `Queue ${name}`,

  async load({ ask: get, vars }) {
    const subject = subjectOf(vars);
    const [one, bindings] = await Promise.all([
      get("queue", vars, samplesWanted(subject)),
      get("queueBindings", vars),
    ]);
    record(
      subject,
      RATES.map(({ name }) => ({ name, object: one.message_stats })),
      LENGTH_LINES.map(({ name }) => ({ name, object: one })),
    );
    return { one, bindings };
  },

  view({ one, bindings }, { vars, refresh }) {
    const lines = (list) =>
      list.map((line) => ({ ...line, points: points(subjectOf(vars), line.name) }));
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "tags", key: "tags" },
        state(one.state),
        tag(one.type),
        actions(one, refresh),
      ),
      h(
        "div",
        { class: "figures-row", key: "figures" },
        figure("ready", count(one.messages_ready)),
        figure("unacknowledged", count(one.messages_unacknowledged)),
        figure("consumers", count(one.consumers)),
        figure("in", rate(rateOf(one.message_stats, "publish") ?? 0)),
        figure("out", rate(rateOf(one.message_stats, "deliver_get") ?? 0)),
        figure("acknowledged", rate(rateOf(one.message_stats, "ack") ?? 0)),
      ),
      h(
        "div",
        { class: "charts", key: "charts" },
        chart({ title: "Queued messages", format: count, lines: lines(LENGTH_LINES) }),
        chart({ title: "Message rates", format: rate, lines: lines(RATES) }),
      ),
      h(
        "div",
        { class: "columns", key: "columns" },
        section("Queue", declared(one)),
        section("Place", place(one)),
        section("Contents", contents(one)),
      ),
      section(
        "Consumers, and who holds what",
        consumerTable(one.consumer_details ?? []),
        holders(one),
      ),
      section("Bindings", bindingTable(bindings, { side: "destination", refresh })),
      traffic("Comes from", one.incoming, "exchange"),
      traffic("Goes to", one.deliveries, "channel_details"),
    );
  },
};

function subjectOf({ vhost, name }) {
  return `queue ${vhost} ${name}`;
}

function actions(one, refresh) {
  return [
    button("Explain", () => explain(one), "primary small"),
    button(
      "Publish…",
      () => publish({ vhost: one.vhost, exchange: "", queue: one.name, refresh }),
      "small",
    ),
    button("Browse…", () => browse(one, refresh), "small"),
    button("Get…", () => getMessages(one, refresh), "small"),
    button("Bind…", () => bind({ vhost: one.vhost, queue: one.name, refresh }), "small"),
    button("Purge…", () => purge(one, refresh), "danger small"),
    button("Delete…", () => remove(one), "danger small"),
  ];
}

function declared(one) {
  return facts([
    ["Virtual host", one.vhost],
    ["Durable", yes(one.durable)],
    ["Auto-delete", yes(one.auto_delete)],
    [
      "Exclusive",
      one.exclusive ? `yes, of ${one.owner_pid_details?.name ?? "one connection"}` : "no",
    ],
    ["Arguments", argumentList(one.arguments, null)],
    ["Policy", one.policy],
    ["Operator policy", one.operator_policy],
    ["In force by policy", argumentList(one.effective_policy_definition, null)],
    [
      "Idle since",
      one.idle_since &&
        (Number.isFinite(Date.parse(one.idle_since))
          ? moment(Date.parse(one.idle_since))
          : one.idle_since),
    ],
  ]);
}

function place(one) {
  const online = new Set(one.online ?? one.members);
  return facts([
    ["Leader", one.leader ?? one.node],
    [
      "Replicas",
      one.members &&
        h(
          "ul",
          { class: "words" },
          one.members.map((member) =>
            h(
              "li",
              { key: member },
              member,
              " ",
              online.has(member) ? tag("online", "good") : tag("offline", "bad"),
            ),
          ),
        ),
    ],
    ["Single active consumer", one.single_active_consumer_tag],
    ["Delivery limit", one.delivery_limit === undefined ? undefined : String(one.delivery_limit)],
  ]);
}

function contents(one) {
  const age = one.head_message_timestamp;
  return facts([
    ["Messages", count(one.messages)],
    ["Bodies", bytes(one.message_bytes)],
    ["Ready bodies", bytes(one.message_bytes_ready)],
    ["Unacked bodies", bytes(one.message_bytes_unacknowledged)],
    [
      "Persistent",
      one.messages_persistent === undefined ? undefined : count(one.messages_persistent),
    ],
    [
      "Oldest message",
      Number.isFinite(age)
        ? `${moment(age * 1000)} (${duration(Date.now() - age * 1000)} ago)`
        : undefined,
    ],
    ["Memory", bytes(one.memory)],
    [
      "Consumers could take",
      Number.isFinite(one.consumer_capacity) ? percent(one.consumer_capacity) : undefined,
    ],
  ]);
}

/** Who holds unacknowledged messages, also where no consumer stands behind them any more. */
function holders(one) {
  if (Array.isArray(one.holders)) return holderTable(one.holders);
  const known = (one.consumer_details ?? []).map((row) => row.messages_unacknowledged);
  if (known.some((held) => held === undefined)) return undefined;
  const rest = (one.messages_unacknowledged ?? 0) - known.reduce((sum, held) => sum + held, 0);
  return (
    rest > 0 &&
    h(
      "p",
      { class: "dim", key: "rest" },
      `${count(rest)} more are held by channels that fetched them with basic.get.`,
    )
  );
}

function holderTable(rows) {
  const holding = rows.filter((row) => row.cancelled || row.get);
  return (
    holding.length > 0 &&
    table({
      caption: "Who holds unacknowledged messages",
      empty: "",
      rows: holding,
      key: (row) => [row.node, row.consumer_tag, row.get].join(" "),
      columns: [
        {
          title: "Holder",
          head: true,
          cell: (row) =>
            row.get ? "channels that fetched them with basic.get" : h("code", {}, row.consumer_tag),
        },
        { title: "Node", cell: (row) => row.node },
        {
          title: "State",
          cell: (row) =>
            row.cancelled
              ? tag("cancelled", "warn")
              : row.get
                ? tag("get")
                : row.active
                  ? tag("active", "good")
                  : tag("waiting"),
        },
        { title: "Holds unacked", number: true, cell: (row) => count(row.messages_unacknowledged) },
        { title: "Can take", number: true, cell: (row) => count(row.capacity) },
        {
          title: "Prefetch",
          number: true,
          cell: (row) => limit(row.prefetch_count),
        },
      ],
    })
  );
}

function traffic(title, rows, end) {
  if (!Array.isArray(rows) || rows.length === 0) return undefined;
  const counter = end === "exchange" ? "publish" : "deliver_get";
  return section(
    title,
    table({
      caption: title,
      empty: "",
      rows,
      key: (row) => row[end]?.name,
      columns: [
        {
          title: end === "exchange" ? "Exchange" : "Channel",
          head: true,
          cell: (row) =>
            end === "exchange"
              ? to(
                  ["exchanges", row.exchange.vhost, row.exchange.name],
                  row.exchange.name || "(default)",
                )
              : to(["channels", row[end].name], row[end].name),
        },
        { title: "Messages", number: true, cell: (row) => count(row.stats?.[counter]) },
        { title: "Per second", number: true, cell: (row) => rate(rateOf(row.stats, counter)) },
      ],
    }),
  );
}

function purge(one, refresh) {
  confirm({
    title: `Purge queue ${one.name}`,
    verb: "Purge",
    danger: true,
    text: `Of this queue ${counted(one.messages_ready ?? 0, "ready message")} will be deleted and cannot be brought back. Unacknowledged ones stay.`,
    send: async () => {
      await ask("purgeQueue", { vhost: one.vhost, name: one.name });
      return `Queue ${one.name} is purged.`;
    },
    done: refresh,
  });
}

function remove(one) {
  confirm({
    title: `Delete queue ${one.name}`,
    verb: "Delete",
    danger: true,
    typed: one.messages > 0 ? one.name : undefined,
    text: `${counted(one.messages ?? 0, "message")} and ${counted(one.consumers ?? 0, "consumer")} go with it.`,
    fields: [
      { name: "empty", label: "Only if it is empty", kind: "checkbox" },
      { name: "unused", label: "Only if it has no consumers", kind: "checkbox" },
    ],
    send: async ({ empty, unused }) => {
      const query = {
        ...(empty && { "if-empty": "true" }),
        ...(unused && { "if-unused": "true" }),
      };
      await ask("deleteQueue", { vhost: one.vhost, name: one.name }, { query });
      go(link(["queues"]));
      return `Queue ${one.name} is deleted.`;
    },
  });
}
