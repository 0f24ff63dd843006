// Taking messages from a queue to look at them.

import { ask } from "../api.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { bytes, count } from "../format.js";
import { argumentList, exchangeName, facts, tag } from "../parts.js";

/** Longer payloads are cut by the API; a page is not the place for megabytes. */
const PAYLOAD_BYTES = 50_000;

const MODES = [
  ["ack_requeue_true", "put back, marked as redelivered"],
  ["reject_requeue_true", "put back by rejecting, counted as a delivery"],
  ["ack_requeue_false", "take away for good"],
  ["reject_requeue_false", "reject: dead-letter or drop"],
];

export function getMessages(queue, refresh) {
  form({
    title: `Get messages from ${queue.name}`,
    verb: "Get",
    wide: true,
    stay: true,
    intro: "Messages are taken out like by any consumer, even those that are put back.",
    fields: [
      { name: "ackmode", label: "Afterwards", kind: "select", options: MODES, value: MODES[0][0] },
      {
        name: "encoding",
        label: "Show payload as",
        kind: "select",
        options: [
          ["auto", "text where it is text"],
          ["base64", "base64"],
        ],
        value: "auto",
      },
      {
        name: "count",
        label: "Messages",
        kind: "number",
        value: 1,
        min: 1,
        max: 1000,
        required: true,
      },
    ],
    send: async ({ ackmode, encoding, count: wanted }) => {
      const messages = await ask(
        "getMessages",
        { vhost: queue.vhost, name: queue.name },
        {
          body: { ackmode, encoding, count: wanted, truncate: PAYLOAD_BYTES },
        },
      );
      if (messages.length === 0) return "The queue has no ready message.";
      return h("ol", { class: "messages" }, messages.map(message));
    },
    done: refresh,
  });
}

function message(one) {
  return h(
    "li",
    {},
    facts([
      ...origin(one),
      ["Redelivered", one.redelivered ? tag("yes", "warn") : "no"],
      ["Left behind it", count(one.message_count)],
      ...content(one, one.payload_encoding === "string" && one.payload_bytes > PAYLOAD_BYTES),
    ]),
    payload(one),
  );
}

/** Where a message was published to. */
export function origin(one) {
  return [
    ["Exchange", exchangeName(one.exchange)],
    ["Routing key", one.routing_key],
  ];
}

/** What a message says besides its payload. */
export function content(one, isCut) {
  const { headers, ...properties } = one.properties ?? {};
  return [
    [
      "Size",
      `${bytes(one.payload_bytes)}${one.payload_encoding === "base64" ? ", shown as base64" : ""}${isCut ? ", cut here" : ""}`,
    ],
    ["Properties", argumentList(properties, null)],
    ["Headers", argumentList(headers, null)],
  ];
}

/** The payload as text. */
export function payload(one) {
  return h("pre", { tabindex: "0", "aria-label": "Payload" }, one.payload);
}
