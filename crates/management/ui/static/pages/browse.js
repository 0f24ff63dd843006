// Looking at the messages of a queue without touching them, deleting some, moving some elsewhere.
//
// What is deleted or moved is what was asked for, by the same fields, or one message by its id.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { count, counted, duration, moment } from "../format.js";
import { button, facts, tag } from "../parts.js";
import { content, origin, payload } from "./messages.js";

/** Longer payloads are cut by the API. */
const PAYLOAD_BYTES = 4096;

const STATES = [
  ["", "any"],
  ["waiting", "waiting"],
  ["unacked", "with a consumer"],
  ["reserved", "kept for a client that is to come back"],
  ["retry", "to be tried again"],
  ["scheduled", "to come later"],
  ["dead", "on its way to where the dead go"],
];

const TONES = { waiting: "", unacked: "warn", retry: "warn", dead: "bad" };

const FILTER = [
  { name: "state", label: "State", kind: "select", options: STATES, value: "" },
  { name: "header", label: "Header", hint: "name=value" },
  { name: "message_id", label: "Message id" },
  { name: "routing_key", label: "Routing key" },
  { name: "body_prefix", label: "Payload begins with" },
];

export function browse(queue, refresh) {
  form({
    title: `Browse messages of ${queue.name}`,
    verb: "Look",
    wide: true,
    stay: true,
    intro: "Messages stay as they are: nothing of this counts as a delivery.",
    fields: [
      ...FILTER,
      { name: "offset", label: "Pass over", kind: "number", value: 0, min: 0 },
      {
        name: "count",
        label: "Messages",
        kind: "number",
        value: 20,
        min: 1,
        max: 1000,
        required: true,
      },
    ],
    send: (values) => look(queue, values, refresh),
  });
}

async function look(queue, { count: wanted, offset, ...filter }, refresh) {
  const answer = await ask("browseMessages", varsOf(queue), {
    query: { ...filter, count: wanted, offset: offset ?? 0, truncate: PAYLOAD_BYTES },
  });
  const isAll = Object.keys(filter).length === 0;
  const meant = isAll ? { all: "true" } : filter;
  const what = isAll ? "all messages" : "all messages that fit";
  if (answer.items.length === 0 && answer.next === null) return "No message fits.";
  return h(
    "div",
    {},
    h(
      "p",
      {},
      `${counted(answer.items.length, "message")} of ${count(answer.scanned)} looked at`,
      answer.next === null ? ". " : ", and there are more. ",
      button("Move all of these…", () => move(queue, meant, what, refresh), "small"),
      " ",
      button("Delete all of these…", () => remove(queue, meant, what, refresh), "danger small"),
    ),
    h(
      "ol",
      { class: "messages" },
      answer.items.map((one) => message(queue, one, refresh)),
    ),
  );
}

function message(queue, one, refresh) {
  const meant = { id: one.id };
  const what = `message ${one.id}`;
  const isFree = ["waiting", "retry", "scheduled"].includes(one.state);
  return h(
    "li",
    {},
    facts([
      ["State", h("span", {}, tag(one.state, TONES[one.state] ?? ""), " ", holder(one))],
      ["Attempt", attempt(one)],
      ["Comes in", one.in_ms === null ? undefined : duration(one.in_ms)],
      ["Since", one.entered === null ? undefined : moment(one.entered)],
      ...origin(one),
      ["Redelivered", one.redelivered ? tag("yes", "warn") : "no"],
      ...content(one, one.payload_truncated),
    ]),
    payload(one),
    isFree &&
      h(
        "p",
        {},
        button("Move…", () => move(queue, meant, what, refresh), "small"),
        " ",
        button("Delete…", () => remove(queue, meant, what, refresh), "danger small"),
      ),
  );
}

/** Which attempt comes next of how many, where the queue tries again. */
function attempt(one) {
  if (one.retry === undefined) return undefined;
  const { attempts, of, next_in_ms: next } = one.retry;
  const nth = `${count(Math.min(attempts + 1, of))} of ${count(of)}`;
  return next === null ? nth : `${nth}, in ${duration(next)}`;
}

function holder(one) {
  if (one.holder === undefined) return "";
  const { consumer_tag: name, node } = one.holder;
  return `${name === "" ? "a channel that fetched it" : name} on ${node ?? "a node that is gone"}`;
}

function remove(queue, meant, what, refresh) {
  confirm({
    title: `Delete from ${queue.name}`,
    verb: "Delete",
    danger: true,
    typed: meant.all === undefined ? undefined : queue.name,
    text: `This deletes ${what}, and cannot be undone. What consumers hold stays.`,
    send: async () => {
      const sum = await sweep("deleteMessages", queue, meant, {});
      return `${counted(sum.deleted, "message")} deleted, ${count(left(sum))} left.`;
    },
    done: refresh,
  });
}

function move(queue, meant, what, refresh) {
  confirm({
    title: `Move from ${queue.name}`,
    verb: "Move",
    text: `This moves ${what}, in their order. What consumers hold stays.`,
    fields: [
      { name: "queue", label: "To queue", hint: "or leave this empty and name an exchange" },
      { name: "exchange", label: "To exchange" },
      { name: "routing_key", label: "With routing key", hint: "empty: with their own" },
    ],
    send: async (body) => {
      const sum = await sweep("moveMessages", queue, meant, body);
      return `${counted(sum.moved, "message")} moved, ${count(left(sum))} left.`;
    },
    done: refresh,
  });
}

function left({ held, gone, unroutable, refused }) {
  return held + gone + unroutable + refused;
}

/** Asks again until the API has come to the end. */
async function sweep(request, queue, meant, body) {
  const sum = {};
  let from;
  do {
    const query = from === undefined ? meant : { ...meant, from };
    const told = await ask(request, varsOf(queue), { query, body });
    for (const [name, value] of Object.entries(told)) {
      if (Number.isInteger(value)) sum[name] = (sum[name] ?? 0) + value;
    }
    from = told.next ?? undefined;
  } while (from !== undefined);
  return sum;
}

function varsOf({ vhost, name }) {
  return { vhost, name };
}
