// Publishing one message by hand.

import { ask } from "../api.js";
import { form } from "../dialog.js";
import { exchangeName, exchangePath } from "../parts.js";

const PROPERTIES = [
  ["content_type", "Content type", "text"],
  ["content_encoding", "Content encoding", "text"],
  ["priority", "Priority", "number"],
  ["correlation_id", "Correlation id", "text"],
  ["reply_to", "Reply to", "text"],
  ["expiration", "Expiration (ms)", "text"],
  ["message_id", "Message id", "text"],
  ["timestamp", "Timestamp (s)", "number"],
  ["type", "Type", "text"],
  ["user_id", "User id", "text"],
  ["app_id", "App id", "text"],
];

/** `key` is the routing key to begin with; with `queue`, it is fixed to that queue's name. */
export function publish({ vhost, exchange, queue, refresh }) {
  form({
    title:
      queue === undefined ? `Publish to ${exchangeName(exchange)}` : `Publish to queue ${queue}`,
    verb: "Publish",
    stay: true,
    wide: true,
    fields: [
      queue === undefined && { name: "routing_key", label: "Routing key" },
      { name: "payload", label: "Payload", kind: "area" },
      {
        name: "payload_encoding",
        label: "Payload is",
        kind: "select",
        options: [
          ["string", "text"],
          ["base64", "base64"],
        ],
        value: "string",
      },
      {
        name: "delivery_mode",
        label: "Delivery mode",
        kind: "select",
        options: [
          ["2", "persistent"],
          ["1", "transient"],
        ],
        value: "2",
      },
      ...PROPERTIES.map(([name, label, kind]) => ({ name, label, kind, group: "Properties" })),
      { name: "headers", label: "Headers", kind: "table" },
    ].filter(Boolean),
    send: async (values) => {
      const properties = { delivery_mode: Number(values.delivery_mode) };
      for (const [name] of PROPERTIES)
        if (values[name] !== undefined) properties[name] = values[name];
      if (Object.keys(values.headers).length > 0) properties.headers = values.headers;
      const { routed } = await ask(
        "publish",
        { vhost, name: exchangePath(exchange) },
        {
          body: {
            properties,
            routing_key: queue ?? values.routing_key ?? "",
            payload: values.payload ?? "",
            payload_encoding: values.payload_encoding,
          },
        },
      );
      return routed
        ? "Published and routed."
        : "Published, but no queue took it: nothing is bound for this routing key.";
    },
    done: refresh,
  });
}
