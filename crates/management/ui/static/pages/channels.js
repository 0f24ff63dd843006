// Channels: the list, and one with its consumers.

import { h } from "../dom.js";
import { count, limit, rate, rateOf } from "../format.js";
import { facts, section, state } from "../parts.js";
import { link } from "../route.js";
import { countColumn, listBar, rateColumn, table, to } from "../table.js";
import { consumerTable } from "./consumers.js";
import { loadList } from "./vhosts.js";

const COLUMNS = [
  "name",
  "vhost",
  "user",
  "node",
  "state",
  "confirm",
  "transactional",
  "consumer_count",
  "prefetch_count",
  "global_prefetch_count",
  "messages_unacknowledged",
  "messages_unconfirmed",
  "message_stats",
];

export const channels = {
  title: () => "Channels",

  load: (context) => loadList(context, COLUMNS, "channels", "vhostChannels"),

  view({ answer, vhosts }, { route }) {
    return h(
      "div",
      { class: "content" },
      listBar({ route, answer, noun: "channels", vhosts }),
      channelTable(answer.items, { caption: "Channels", route }),
    );
  },
};

/** Channels as rows; sorted by the server when `route` is given. */
export function channelTable(rows, { caption, route }) {
  return table({
    caption,
    route,
    rows,
    key: ({ name }) => name,
    empty: "No channels.",
    columns: [
      { title: "Name", sort: "name", head: true, cell: ({ name }) => to(["channels", name], name) },
      { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost },
      { title: "User", sort: "user", cell: ({ user }) => user },
      { title: "State", sort: "state", cell: (one) => state(one.state) },
      { title: "Mode", cell: mode },
      countColumn("Consumers", "consumer_count"),
      { title: "Prefetch", sort: "prefetch_count", number: true, cell: prefetch },
      countColumn("Unacked", "messages_unacknowledged"),
      countColumn("Unconfirmed", "messages_unconfirmed"),
      rateColumn("Publish", "publish"),
      rateColumn("Deliver", "deliver_get"),
      rateColumn("Ack", "ack"),
    ],
  });
}

function mode({ confirm, transactional }) {
  const shown = [
    confirm && ["C", "publisher confirms"],
    transactional && ["T", "transactions"],
  ].filter(Boolean);
  return h(
    "span",
    { class: "features" },
    shown.map(([short, long]) => h("abbr", { title: long, key: short }, short)),
  );
}

/** The limit per consumer, and behind it the one of the whole channel, where set. */
function prefetch({ prefetch_count: each, global_prefetch_count: all }) {
  const own = limit(each);
  return all > 0 ? `${own}, ${count(all)} in all` : own;
}

export const channel = {
  title: ({ name }) => `Channel ${name}`,

  load: ({ ask, vars }) => ask("channel", vars),

  view(one) {
    const stats = one.message_stats ?? {};
    const counters = [
      ["Published", "publish"],
      ["Confirmed", "confirm"],
      ["Returned", "return_unroutable"],
      ["Dropped unroutable", "drop_unroutable"],
      ["Delivered and got", "deliver_get"],
      ["Acknowledged", "ack"],
      ["Redelivered", "redeliver"],
    ].filter(([, name]) => stats[name] !== undefined);
    return h(
      "div",
      { class: "content" },
      h("div", { class: "tags", key: "tags" }, state(one.state)),
      h(
        "div",
        { class: "columns", key: "columns" },
        section(
          "Channel",
          facts([
            [
              "Connection",
              one.connection_details &&
                h(
                  "a",
                  { href: link(["connections", one.connection_details.name]) },
                  one.connection_details.name,
                ),
            ],
            ["Node", one.node],
            ["Virtual host", one.vhost],
            ["User", one.user],
            ["Publisher confirms", one.confirm ? "on" : "off"],
            ["Transactions", one.transactional ? "on" : "off"],
            ["Prefetch per consumer", limit(one.prefetch_count)],
            ["Prefetch of the channel", limit(one.global_prefetch_count)],
          ]),
        ),
        section(
          "Waiting",
          facts([
            ["Unacknowledged", count(one.messages_unacknowledged)],
            ["Unconfirmed", count(one.messages_unconfirmed)],
            ["Uncommitted messages", count(one.messages_uncommitted)],
            ["Uncommitted acknowledgements", count(one.acks_uncommitted)],
          ]),
        ),
        section(
          "Messages",
          table({
            caption: "Messages",
            empty: "None so far.",
            rows: counters,
            key: ([, name]) => name,
            columns: [
              { title: "What", head: true, cell: ([text]) => text },
              { title: "Since start", number: true, cell: ([, name]) => count(stats[name]) },
              { title: "Per second", number: true, cell: ([, name]) => rate(rateOf(stats, name)) },
            ],
          }),
        ),
      ),
      section("Consumers", consumerTable(one.consumer_details ?? [], { queue: true })),
    );
  },
};
