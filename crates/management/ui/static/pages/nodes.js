// Nodes: cards for the overview, the list, and one node.

import { h } from "../dom.js";
import { bytes, count, duration, NOTHING } from "../format.js";
import { diskMeter, facts, meter, section, tag } from "../parts.js";
import { link } from "../route.js";
import { countColumn, sortHere, table, to } from "../table.js";

export const nodes = {
  title: () => "Nodes",

  async load(context) {
    const list = await context.ask("nodes");
    context.nodes = list;
    return list;
  },

  view(list, { route }) {
    return h(
      "div",
      { class: "content" },
      table({
        caption: "Nodes",
        route,
        empty: "No node has answered.",
        columns: [
          {
            title: "Name",
            sort: "name",
            head: true,
            cell: ({ name }) => to(["nodes", name], name),
          },
          { title: "State", cell: nodeState },
          { title: "Up for", sort: "uptime", number: true, cell: ({ uptime }) => duration(uptime) },
          {
            title: "Memory",
            sort: "mem_used",
            number: true,
            cell: ({ mem_used: used }) => bytes(used),
          },
          {
            title: "Memory limit",
            sort: "mem_limit",
            number: true,
            cell: ({ mem_limit: limit }) => bytes(limit),
          },
          {
            title: "Disk free",
            sort: "disk_free",
            number: true,
            cell: ({ disk_free: free }) => bytes(free),
          },
          countColumn("File handles", "fd_used"),
          countColumn("Cores", "processors"),
        ],
        rows: sortHere(list, route),
        key: ({ name }) => name,
      }),
    );
  },
};

export const node = {
  title: ({ name }) => `Node ${name}`,

  async load(context) {
    const { name } = context.vars;
    const one = await context.ask("node", { name });
    // A breakdown of memory is an extra: a node that has none is still worth its page.
    const memory =
      one.running === false
        ? undefined
        : await context.ask("nodeMemory", { name }).catch(() => undefined);
    return { one, memory: memory?.memory };
  },

  view({ one, memory }) {
    return h(
      "div",
      { class: "content" },
      h("div", { class: "tags", key: "state" }, nodeState(one)),
      h(
        "div",
        { class: "meters", key: "meters" },
        meters(one),
        meter("Sockets", one.sockets_used, one.sockets_total),
      ),
      h(
        "div",
        { class: "columns", key: "columns" },
        section(
          "Process",
          facts([
            ["Up for", Number.isFinite(one.uptime) ? duration(one.uptime) : undefined],
            ["Process id", one.os_pid],
            ["Cores", one.processors],
            ["Run queue", one.run_queue],
            ["Statistics", one.rates_mode],
            ["Data directory", one.db_dir],
            ["Configuration", one.config_files?.join(", ")],
            ["Logs", one.log_files?.join(", ")],
          ]),
        ),
        section(
          "Connections and queues",
          facts([
            ["Connections opened", one.connection_created && count(one.connection_created)],
            ["Connections closed", one.connection_closed && count(one.connection_closed)],
            ["Channels opened", one.channel_created && count(one.channel_created)],
            ["Channels closed", one.channel_closed && count(one.channel_closed)],
            ["Queues declared", one.queue_declared && count(one.queue_declared)],
            ["Queues deleted", one.queue_deleted && count(one.queue_deleted)],
          ]),
        ),
        memory && typeof memory === "object" && section("Memory", memoryTable(memory)),
      ),
      (one.applications ?? []).length > 0 &&
        section(
          "What it is made of",
          table({
            caption: "Parts",
            empty: "",
            key: ({ name }) => name,
            rows: one.applications,
            columns: [
              { title: "Name", head: true, cell: ({ name }) => name },
              { title: "Version", cell: ({ version }) => version },
              { title: "What it is", wide: true, cell: ({ description }) => description },
            ],
          }),
        ),
      (one.enabled_plugins ?? []).length > 0 &&
        section(
          "Enabled plugins",
          h(
            "ul",
            { class: "words" },
            one.enabled_plugins.map((name) => h("li", { key: name }, name)),
          ),
        ),
    );
  },
};

/** A node in a box, for the overview. */
export function nodeCard(one) {
  return h(
    "article",
    { class: "card", key: one.name },
    h("h3", {}, h("a", { href: link(["nodes", one.name]) }, one.name)),
    h(
      "div",
      { class: "tags" },
      nodeState(one),
      Number.isFinite(one.uptime) && h("span", { class: "dim" }, `up ${duration(one.uptime)}`),
    ),
    one.running !== false && h("div", { class: "card-meters" }, meters(one)),
  );
}

function meters(one) {
  return [
    meter("Memory", one.mem_used, one.mem_limit, bytes),
    diskMeter(one),
    meter("File handles", one.fd_used, one.fd_total),
  ];
}

function nodeState(one) {
  if (one.running === false) return tag("down", "bad");
  const tags = [];
  if (one.mem_alarm) tags.push(tag("memory alarm", "bad"));
  if (one.disk_free_alarm) tags.push(tag("disk alarm", "bad"));
  if (one.being_drained) tags.push(tag("drained", "warn"));
  return tags.length > 0 ? tags : tag("running", "good");
}

function memoryTable(memory) {
  const rows = Object.entries(memory)
    .filter(([name, value]) => Number.isFinite(value) && value > 0 && name !== "total")
    .sort(([, a], [, b]) => b - a);
  const total = Object.entries(memory.total ?? {});
  return table({
    caption: "Memory",
    empty: NOTHING,
    key: ([name]) => name,
    rows: [...rows, ...total.map(([name, value]) => [`total (${name})`, value])],
    columns: [
      { title: "Part", head: true, cell: ([name]) => name.replaceAll("_", " ") },
      { title: "Size", number: true, cell: ([, value]) => bytes(value) },
    ],
  });
}
