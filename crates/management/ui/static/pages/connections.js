// Connections: the list, and one with its channels and the way to close it.

import { ask } from "../api.js";
import { confirm } from "../dialog.js";
import { h } from "../dom.js";
import { byteRate, bytes, count, duration, moment, NOTHING, rateOf } from "../format.js";
import { argumentList, button, facts, section, state, yes } from "../parts.js";
import { go, link } from "../route.js";
import { byteRateColumn, countColumn, listBar, table, to } from "../table.js";
import { channelTable } from "./channels.js";
import { loadList } from "./vhosts.js";

const COLUMNS = [
  "name",
  "user_provided_name",
  "vhost",
  "user",
  "node",
  "state",
  "ssl",
  "protocol",
  "channels",
  "recv_oct_details.rate",
  "send_oct_details.rate",
  "client_properties",
  "connected_at",
];

export const connections = {
  title: () => "Connections",

  load: (context) => loadList(context, COLUMNS, "connections", "vhostConnections"),

  view({ answer, vhosts }, { route }) {
    return h(
      "div",
      { class: "content" },
      listBar({ route, answer, noun: "connections", vhosts }),
      table({
        caption: "Connections",
        route,
        rows: answer.items,
        key: ({ name }) => name,
        empty: "No connections.",
        columns: [
          { title: "Name", sort: "name", head: true, cell: nameCell },
          {
            title: "Client",
            wide: true,
            cell: ({ client_properties: client }) => clientName(client),
          },
          { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost },
          { title: "User", sort: "user", cell: ({ user }) => user },
          { title: "Node", sort: "node", cell: ({ node }) => node },
          { title: "State", sort: "state", cell: (one) => state(one.state) },
          { title: "TLS", sort: "ssl", cell: ({ ssl }) => yes(ssl) },
          countColumn("Channels", "channels"),
          byteRateColumn("From client", "recv_oct"),
          byteRateColumn("To client", "send_oct"),
        ],
      }),
    );
  },
};

function nameCell({ name, user_provided_name: own }) {
  return [to(["connections", name], name), own && h("div", { class: "dim" }, own)];
}

function clientName(client = {}) {
  return [client.product, client.version].filter(Boolean).join(" ") || NOTHING;
}

export const connection = {
  title: ({ name }) => `Connection ${name}`,

  async load({ ask: get, vars }) {
    const [one, channels] = await Promise.all([
      get("connection", vars),
      get("connectionChannels", vars),
    ]);
    return { one, channels };
  },

  view({ one, channels }) {
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "tags", key: "tags" },
        state(one.state),
        button("Close connection…", () => close(one), "danger small"),
      ),
      h(
        "div",
        { class: "columns", key: "columns" },
        section(
          "Client",
          facts([
            ["Name it gave", one.user_provided_name],
            ["User", one.user],
            ["Virtual host", one.vhost],
            ["Address", one.peer_host && `${one.peer_host}:${one.peer_port}`],
            ["Connected", moment(one.connected_at)],
            ["Mechanism", one.auth_mechanism],
            [
              "TLS",
              one.ssl === undefined
                ? undefined
                : one.ssl
                  ? [one.ssl_protocol, one.ssl_cipher].filter(Boolean).join(", ") || "yes"
                  : "no",
            ],
            ["Certificate", one.peer_cert_subject],
          ]),
        ),
        section(
          "Server side",
          facts([
            ["Node", one.node && h("a", { href: link(["nodes", one.node]) }, one.node)],
            ["Protocol", one.protocol],
            ["Heartbeat", Number.isFinite(one.timeout) ? duration(one.timeout * 1000) : undefined],
            ["Largest frame", Number.isFinite(one.frame_max) ? bytes(one.frame_max) : undefined],
            ["Channels at most", one.channel_max && count(one.channel_max)],
            [
              "Received",
              Number.isFinite(one.recv_oct)
                ? `${bytes(one.recv_oct)}, ${byteRate(rateOf(one, "recv_oct"))}`
                : undefined,
            ],
            [
              "Sent",
              Number.isFinite(one.send_oct)
                ? `${bytes(one.send_oct)}, ${byteRate(rateOf(one, "send_oct"))}`
                : undefined,
            ],
          ]),
        ),
        section("What the client says of itself", argumentList(one.client_properties)),
      ),
      section("Channels", channelTable(channels, { caption: "Channels of this connection" })),
    );
  },
};

function close(one) {
  confirm({
    title: "Close connection",
    verb: "Close connection",
    danger: true,
    text: `${one.name} of ${one.user} is closed. What it holds unacknowledged goes back to its queues.`,
    fields: [
      { name: "reason", label: "Reason, told to the client", value: "Closed by the operator" },
    ],
    send: async ({ reason }) => {
      // A header is Latin-1: the browser refuses to send any other letter.
      const headers = reason ? { "X-Reason": reason.replace(/[^\x20-\xff]/g, "?") } : {};
      await ask("closeConnection", { name: one.name }, { headers });
      go(link(["connections"]));
      return `${one.name} is closed.`;
    },
    done: () => {},
  });
}
