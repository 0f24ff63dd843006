// Bindings as rows, and how they are made and removed.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { argumentList, button, exchangeName } from "../parts.js";
import { link } from "../route.js";
import { table } from "../table.js";

/** Bindings at one object; `side` is which end of them that object is. */
export function bindingTable(rows, { side, refresh }) {
  const other =
    side === "source"
      ? { title: "To", head: true, cell: destination }
      : { title: "From", head: true, cell: source };
  return table({
    caption: side === "source" ? "Bindings from here" : "Bindings to here",
    empty: "No bindings.",
    rows,
    key: (row) => [row.source, row.destination_type, row.destination, row.properties_key].join("|"),
    columns: [
      other,
      {
        title: "Routing key",
        cell: (row) =>
          row.routing_key === ""
            ? h("span", { class: "dim" }, "empty")
            : h("code", {}, row.routing_key),
      },
      { title: "Arguments", wide: true, cell: (row) => argumentList(row.arguments) },
      {
        title: "",
        cell: (row) => row.source !== "" && button("Unbind…", () => unbind(row, refresh), "small"),
      },
    ],
  });
}

function destination(row) {
  const place = row.destination_type === "queue" ? "queues" : "exchanges";
  return [
    h("a", { href: link([place, row.vhost, row.destination]) }, row.destination),
    " ",
    h("span", { class: "dim" }, row.destination_type),
  ];
}

function source(row) {
  if (row.source === "")
    return h("span", {}, exchangeName(""), " ", h("span", { class: "dim" }, "by its name, always"));
  return h("a", { href: link(["exchanges", row.vhost, row.source]) }, row.source);
}

function unbind(row, refresh) {
  confirm({
    title: "Unbind",
    verb: "Unbind",
    danger: true,
    text: `${row.source} no longer routes ${row.routing_key || "the empty key"} to ${row.destination_type} ${row.destination}. Messages already there stay.`,
    send: async () => {
      await ask(row.destination_type === "queue" ? "unbindQueue" : "unbindExchange", {
        vhost: row.vhost,
        source: row.source,
        destination: row.destination,
        properties: row.properties_key,
      });
      return `${row.destination} is no longer bound to ${row.source}.`;
    },
    done: refresh,
  });
}

/** Binds: one end is given (`source`, or `queue` as destination), the other is asked for. */
export function bind({ vhost, source: from, queue, refresh }) {
  const ends =
    queue !== undefined
      ? [{ name: "source", label: "From exchange", required: true }]
      : [
          {
            name: "type",
            label: "To",
            kind: "select",
            options: [
              ["q", "queue"],
              ["e", "exchange"],
            ],
            value: "q",
          },
          { name: "destination", label: "Name", required: true },
        ];
  form({
    title: queue !== undefined ? `Bind queue ${queue}` : `Bind from exchange ${from}`,
    verb: "Bind",
    fields: [
      ...ends,
      { name: "routing_key", label: "Routing key" },
      { name: "arguments", label: "Arguments", kind: "table", known: ["x-match"] },
    ],
    send: async (values) => {
      const ends = {
        vhost,
        source: from ?? values.source,
        destination: queue ?? values.destination,
      };
      await ask(values.type === "e" ? "bindExchange" : "bindQueue", ends, {
        body: { routing_key: values.routing_key ?? "", arguments: values.arguments },
      });
      return `${ends.destination} is bound to ${ends.source}.`;
    },
    done: refresh,
  });
}
