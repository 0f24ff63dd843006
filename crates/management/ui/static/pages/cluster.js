// The cluster map: which node leads and follows which shard, how far behind, and who drains.

import { ask } from "../api.js";
import { confirm } from "../dialog.js";
import { h } from "../dom.js";
import { count, counted, NOTHING } from "../format.js";
import { bar, button, facts, section, tag } from "../parts.js";
import { link } from "../route.js";
import { byName } from "../table.js";
import { mayAdminister } from "../session.js";

/** Entries a follower may be behind before the map calls it out. */
const LAG_WARN_ENTRIES = 1000;

const DRAIN_TONES = { serving: "good", draining: "warn", drained: "warn" };

export const cluster = {
  title: () => "Cluster map",

  async load({ ask: get }) {
    const [listed, shards] = await Promise.all([get("warrenNodes"), get("warrenShards")]);
    const nodes = byName(listed);
    // How far a drain is, node by node; one that does not answer is shown without.
    const drains = await Promise.all(
      nodes.map(({ name, running }) =>
        running ? get("drainState", { name }).catch(() => undefined) : undefined,
      ),
    );
    return { nodes: nodes.map((node, at) => ({ ...node, drain: drains[at] })), shards };
  },

  view({ nodes, shards }, { refresh }) {
    const admin = mayAdminister();
    return h(
      "div",
      { class: "content" },
      admin &&
        bar(
          h("span", { class: "dim" }, spread(nodes, shards)),
          button("Rebalance leaders…", () => rebalance(refresh), "primary"),
        ),
      section(
        "Nodes",
        h(
          "div",
          { class: "cards" },
          nodes.map((node) => card(node, shards, admin, refresh)),
        ),
      ),
      section("Shards", legend(), map(nodes, shards)),
    );
  },
};

function spread(nodes, shards) {
  return nodes
    .map(
      ({ name }) => `${name} leads ${count(shards.filter(({ leader }) => leader === name).length)}`,
    )
    .join(" · ");
}

function card(node, shards, admin, refresh) {
  const led = shards.filter(({ leader }) => leader === node.name);
  const hosted = shards.filter(({ replicas = [] }) => replicas.includes(node.name));
  const state = node.running
    ? (node.drain?.state ?? (node.draining ? "draining" : "serving"))
    : "down";
  const behind = Math.max(0, ...shards.map(({ lag = {} }) => lag[node.name] ?? 0));
  return h(
    "article",
    { class: "card", key: node.name },
    h("h3", {}, h("a", { href: link(["nodes", node.name]) }, node.name)),
    h(
      "div",
      { class: "tags" },
      tag(state === "unknown" ? "does not answer" : state, DRAIN_TONES[state] ?? "bad"),
      behind > LAG_WARN_ENTRIES && tag(`${count(behind)} entries behind`, "warn"),
    ),
    facts([
      ["Leads", `${count(led.length)} of ${count(hosted.length)} replicas`],
      ["Ready messages", count(led.reduce((sum, { ready = 0 }) => sum + ready, 0))],
      node.drain &&
        ["draining", "drained"].includes(state) && [
          "Still to hand over",
          `${counted(node.drain.leaderships, "leadership")}, ${counted(node.drain.connections, "connection")}`,
        ],
      ["Address", node.address],
      ["Zone", node.zone],
      ["Node id", node.id === undefined ? undefined : String(node.id)],
    ]),
    admin &&
      h(
        "div",
        { class: "buttons" },
        node.running &&
          state === "serving" &&
          button("Drain…", () => drain(node, refresh), "small"),
        node.running &&
          ["draining", "drained"].includes(state) &&
          button("Revive…", () => revive(node, refresh), "small"),
        !node.running && button("Forget…", () => forget(node, refresh), "danger small"),
      ),
  );
}

function legend() {
  const entry = (role, text) =>
    h(
      "span",
      { class: "map-key" },
      h("span", { class: `role ${role}`, "aria-hidden": "true" }, SIGNS[role]),
      text,
    );
  return h(
    "p",
    { class: "map-legend" },
    entry("leader", "leads"),
    entry("voter", "follows and votes"),
    entry("learner", "follows, no vote"),
    entry("lost", "replica on a node that is down"),
    h("span", { class: "dim" }, "A number is how many entries a follower is behind."),
  );
}

const SIGNS = { leader: "◆", voter: "●", learner: "○", lost: "✕" };
const WORDS = { leader: "leads", voter: "follows", learner: "learns", lost: "down" };

function map(nodes, shards) {
  return h(
    "div",
    { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Shards", key: "map" },
    h(
      "table",
      { class: "map" },
      h("caption", { class: "unseen" }, "Shards by node"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Group"),
          nodes.map(({ name, running }) =>
            h("th", { scope: "col", key: name, class: running ? undefined : "bad" }, name),
          ),
          ["Term", "Queues", "Ready", "Unacked", "Applied"].map((title) =>
            h("th", { scope: "col", class: "number" }, title),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        shards.map((shard) =>
          h(
            "tr",
            { key: String(shard.group) },
            h(
              "th",
              { scope: "row" },
              shard.kind === "catalog" ? "catalog" : `shard ${shard.group}`,
              !shard.leader && [" ", tag("no leader", "bad")],
            ),
            nodes.map((node) => h("td", { class: "place", key: node.name }, place(node, shard))),
            h("td", { class: "number" }, shard.term === undefined ? NOTHING : String(shard.term)),
            ["queues", "ready", "unacknowledged", "applied"].map((field) =>
              h("td", { class: "number" }, count(shard[field])),
            ),
          ),
        ),
      ),
    ),
  );
}

function place(node, shard) {
  if (!shard.replicas?.includes(node.name)) return h("span", { class: "unseen" }, "no replica");
  const role = !node.running
    ? "lost"
    : shard.leader === node.name
      ? "leader"
      : shard.learners?.includes(node.name)
        ? "learner"
        : "voter";
  const lag = role === "leader" ? 0 : (shard.lag?.[node.name] ?? 0);
  const away = shard.preferred === node.name && role !== "leader";
  return [
    h("span", { class: `role ${role}`, "aria-hidden": "true" }, SIGNS[role]),
    h("span", { class: "unseen" }, WORDS[role]),
    lag > 0 &&
      h("span", { class: `lag ${lag > LAG_WARN_ENTRIES ? "warn" : ""}` }, `−${count(lag)}`),
    away &&
      h(
        "abbr",
        {
          class: "preferred",
          title: "This node should lead the group; rebalancing gives it back.",
        },
        "preferred",
      ),
  ];
}

function drain(node, refresh) {
  confirm({
    title: `Drain ${node.name}`,
    verb: "Drain",
    danger: true,
    text: "It hands its leaderships over, takes no new connections and closes those it has, so that it can be stopped without a pause for anybody else.",
    send: async () => {
      await ask("drain", { name: node.name });
      return `${node.name} is being drained.`;
    },
    done: refresh,
  });
}

function revive(node, refresh) {
  confirm({
    title: `Revive ${node.name}`,
    verb: "Revive",
    text: "It takes connections and leaderships again.",
    send: async () => {
      await ask("revive", { name: node.name });
      return `${node.name} serves again.`;
    },
    done: refresh,
  });
}

function forget(node, refresh) {
  confirm({
    title: `Forget ${node.name}`,
    verb: "Forget",
    danger: true,
    typed: node.name,
    text: "It is removed from the cluster for good and its replicas are made again on other nodes. With its old data it cannot come back.",
    send: async () => {
      await ask("forgetNode", { name: node.name });
      return `${node.name} is forgotten.`;
    },
    done: refresh,
  });
}

function rebalance(refresh) {
  confirm({
    title: "Rebalance leaders",
    verb: "Rebalance",
    text: "Leaderships go back to the nodes that should lead. They do so by themselves after a while, so there may be nothing to move. Clients notice a short pause at most.",
    send: async () => {
      await ask("rebalance");
      return "The cluster was asked to rebalance.";
    },
    done: refresh,
  });
}
