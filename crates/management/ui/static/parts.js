// Small parts that several pages are made of.

import { h } from "./dom.js";
import { bytes, count, percent, value, NOTHING } from "./format.js";
import { link } from "./route.js";

/** A part of a page under a heading of its own. */
export function section(title, ...content) {
  return h("section", { key: `section ${title}` }, h("h2", {}, title), content);
}

/** What stands above a list that came whole: what it comes to, and what can be done. */
export function bar(words, ...actions) {
  return h("div", { class: "bar", key: "bar" }, words, h("div", { class: "actions" }, actions));
}

/** Names and values, in columns. Entries without a value are left out. */
export function facts(entries) {
  return h(
    "dl",
    { class: "facts" },
    entries
      .filter((entry) => entry && entry[1] !== undefined && entry[1] !== null && entry[1] !== "")
      .map(([name, text]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, text))),
  );
}

/** One number that matters, with its name under it. */
export function figure(name, text, path, query) {
  const inner = [
    h("span", { class: "figure-value" }, text),
    h("span", { class: "figure-name" }, name),
  ];
  return path === undefined
    ? h("div", { class: "figure", key: name }, inner)
    : h("a", { class: "figure", key: name, href: link(path, query) }, inner);
}

/** A word in a box: `good`, `warn`, `bad` or nothing. */
export function tag(text, tone = "") {
  return h("span", { class: `tag ${tone}` }, text);
}

/** The state of a queue or connection, coloured by what it means. */
export function state(text) {
  if (text === undefined) return NOTHING;
  const tone = { running: "good", idle: "", flow: "warn", blocked: "warn", blocking: "warn" }[text];
  return tag(text, tone ?? "bad");
}

/** A bar that fills as `used` nears `total`. */
export function meter(name, used, total, format = count) {
  const share = total > 0 ? Math.min(1, used / total) : 0;
  const known = Number.isFinite(used);
  const tone = share > 0.9 ? "bad" : share > 0.75 ? "warn" : "good";
  return h(
    "div",
    { class: "meter", key: name },
    h(
      "div",
      { class: "meter-words" },
      h("span", {}, name),
      h(
        "span",
        { class: "figures" },
        known ? format(used) : NOTHING,
        total > 0 ? ` of ${format(total)}` : "",
      ),
    ),
    total > 0 &&
      h(
        "div",
        { class: "meter-bar", "aria-hidden": "true" },
        known &&
          h("div", {
            class: `meter-fill ${tone}`,
            width100: (share * 100).toFixed(1),
            title: percent(share),
          }),
      ),
  );
}

/** Free disk space against the limit under which publishers are blocked. */
export function diskMeter(node) {
  const { disk_free: free, disk_free_limit: limit, disk_free_alarm: alarm } = node;
  return h(
    "div",
    { class: "meter", key: "Disk" },
    h(
      "div",
      { class: "meter-words" },
      h("span", {}, "Disk free"),
      h(
        "span",
        { class: `figures ${alarm ? "bad" : ""}` },
        bytes(free),
        limit > 0 ? `, alarm at ${bytes(limit)}` : "",
      ),
    ),
  );
}

/** A table of arguments, one per line. */
export function argumentList(table, none = NOTHING) {
  const entries = Object.entries(table ?? {});
  if (entries.length === 0) return none;
  return h(
    "ul",
    { class: "arguments-list" },
    entries.map(([name, one]) =>
      h(
        "li",
        { key: name },
        h("span", { class: "argument-name" }, name),
        " ",
        h("code", {}, value(one)),
      ),
    ),
  );
}

/** The letters a list shows for what an object was declared with. */
export function features(object) {
  const shown = [
    object.durable && ["D", "durable"],
    object.auto_delete && ["AD", "auto-delete"],
    object.exclusive && ["Excl", "exclusive"],
    object.internal && ["I", "internal"],
    object.arguments?.["x-single-active-consumer"] && ["SAC", "single active consumer"],
    object.arguments?.["x-dead-letter-exchange"] !== undefined && [
      "DLX",
      `dead letters to ${object.arguments["x-dead-letter-exchange"] || "the default exchange"}`,
    ],
    object.arguments?.["x-message-ttl"] !== undefined && [
      "TTL",
      `messages live ${object.arguments["x-message-ttl"]} ms`,
    ],
    object.arguments?.["x-max-length"] !== undefined && [
      "Lim",
      `at most ${object.arguments["x-max-length"]} messages`,
    ],
    object.arguments?.["x-max-length-bytes"] !== undefined && [
      "LimB",
      `at most ${object.arguments["x-max-length-bytes"]} bytes`,
    ],
    object.arguments?.["x-max-priority"] !== undefined && [
      "Pri",
      `priorities up to ${object.arguments["x-max-priority"]}`,
    ],
    object.arguments?.["alternate-exchange"] !== undefined && [
      "AE",
      `unroutable goes to ${object.arguments["alternate-exchange"]}`,
    ],
  ].filter(Boolean);
  return h(
    "span",
    { class: "features" },
    shown.map(([short, long]) => h("abbr", { title: long, key: short }, short)),
  );
}

/** Whether it is so, in a word. */
export function yes(flag) {
  return flag ? "yes" : "no";
}

export function button(text, onclick, kind = "") {
  return h(
    "button",
    { type: "button", class: kind || undefined, onclick, key: `button ${text}` },
    text,
  );
}

/** The default exchange has no name; people call it this. */
export function exchangeName(name) {
  return name === "" ? "(default)" : name;
}

/** What the API calls the exchange without a name, in a path. */
export function exchangePath(name) {
  return name === "" ? "amq.default" : name;
}
