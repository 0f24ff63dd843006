// Virtual hosts: the list, and one with what it allows to whom.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { count, counted, NOTHING } from "../format.js";
import { bar, button, facts, section, tag, yes } from "../parts.js";
import { go, link } from "../route.js";
import { tagsOf } from "../session.js";
import {
  byteRateColumn,
  countColumn,
  listQuery,
  rateColumn,
  sortHere,
  table,
  to,
} from "../table.js";
import { grant, grantTopic, permissionTable, topicPermissionTable } from "./permissions.js";

/** The names a list can be narrowed to. */
export async function vhostNames(get) {
  const all = await get("vhosts", {}, { columns: "name" });
  return all.map(({ name }) => name).sort();
}

/** A page of a list, of all virtual hosts or of the one in the address, by the names of both requests. */
export async function loadList({ ask: get, route }, columns, all, ofOne) {
  const { vhost } = route.query;
  const query = listQuery(route, columns);
  const [answer, vhosts] = await Promise.all([
    vhost ? get(ofOne, { vhost }, query) : get(all, {}, query),
    vhostNames(get),
  ]);
  return { answer, vhosts };
}

export const vhosts = {
  title: () => "Virtual hosts",

  load: ({ ask: get }) => get("vhosts"),

  view(list, { route, refresh }) {
    return h(
      "div",
      { class: "content" },
      bar(
        h("span", { class: "figures" }, counted(list.length, "virtual host")),
        button("New virtual host…", () => edit(undefined, refresh), "primary"),
      ),
      table({
        caption: "Virtual hosts",
        route,
        rows: sortHere(list, route),
        key: ({ name }) => name,
        empty: "None.",
        columns: [
          {
            title: "Name",
            sort: "name",
            head: true,
            cell: ({ name }) => to(["vhosts", name], name),
          },
          {
            title: "Description",
            sort: "description",
            wide: true,
            cell: ({ description }) => description ?? "",
          },
          { title: "Tags", cell: (one) => tagsOf(one).join(", ") },
          {
            title: "Default queue type",
            sort: "default_queue_type",
            cell: (one) => queueType(one),
          },
          { title: "State", cell: states },
          countColumn("Ready", "messages_ready"),
          countColumn("Unacked", "messages_unacknowledged"),
          rateColumn("Publish", "publish"),
          rateColumn("Deliver", "deliver_get"),
          byteRateColumn("From clients", "recv_oct"),
          byteRateColumn("To clients", "send_oct"),
        ],
      }),
    );
  },
};

function queueType({ default_queue_type: type }) {
  return type === undefined || type === "undefined" ? NOTHING : type;
}

function states({ cluster_state: states = {}, protected_from_deletion: kept, tracing }) {
  const down = Object.entries(states).filter(([, word]) => word !== "running");
  return [
    down.length === 0
      ? tag("running", "good")
      : tag(down.map(([node, word]) => `${node} ${word}`).join(", "), "bad"),
    kept && [" ", tag("protected")],
    tracing && [" ", tag("traced", "warn")],
  ];
}

export const vhost = {
  title: ({ name }) => `Virtual host ${name}`,

  async load({ ask: get, vars }) {
    const [one, permissions, topics] = await Promise.all([
      get("vhost", vars),
      get("vhostPermissions", vars),
      get("vhostTopicPermissions", vars),
    ]);
    return { one, permissions, topics };
  },

  view({ one, permissions, topics }, { refresh }) {
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "tags", key: "tags" },
        states(one),
        button("Edit…", () => edit(one, refresh), "small"),
        one.protected_from_deletion
          ? button("Allow deletion", () => protect(one, false, refresh), "small")
          : button("Protect from deletion", () => protect(one, true, refresh), "small"),
        button("Delete…", () => remove(one), "danger small"),
      ),
      section(
        "Virtual host",
        facts([
          ["Description", one.description],
          ["Tags", tagsOf(one).join(", ") || undefined],
          ["Default queue type", queueType(one)],
          [
            "Messages",
            one.messages === undefined
              ? undefined
              : h("a", { href: link(["queues"], { vhost: one.name }) }, count(one.messages)),
          ],
          ["Traced", yes(one.tracing)],
        ]),
      ),
      section(
        "Permissions",
        permissionTable(permissions, { by: "user", refresh }),
        button("Grant…", () => grant({ vhost: one.name, refresh }), "small"),
      ),
      section(
        "Topic permissions",
        topicPermissionTable(topics, { by: "user", refresh }),
        button("Grant topic…", () => grantTopic({ vhost: one.name, refresh }), "small"),
      ),
    );
  },
};

function edit(one, refresh) {
  form({
    title: one ? `Virtual host ${one.name}` : "New virtual host",
    verb: one ? "Save" : "Create",
    fields: [
      !one && { name: "name", label: "Name", required: true },
      { name: "description", label: "Description", value: one?.description },
      {
        name: "tags",
        label: "Tags",
        value: one && tagsOf(one).join(","),
        hint: "Separated by commas.",
      },
      {
        name: "default_queue_type",
        label: "Default queue type",
        kind: "select",
        options: [["", "not set"], "quorum", "classic"],
        value: one && queueType(one) === NOTHING ? "" : one?.default_queue_type,
      },
      {
        name: "tracing",
        label: "Trace: copy all messages to amq.rabbitmq.trace",
        kind: "checkbox",
        value: one?.tracing,
      },
    ].filter(Boolean),
    send: async ({ name = one?.name, description = "", tags = "", ...body }) => {
      await ask("putVhost", { name }, { body: { ...body, description, tags } });
      return `Virtual host ${name} is saved.`;
    },
    done: refresh,
  });
}

async function protect(one, kept, refresh) {
  confirm({
    title: kept ? "Protect from deletion" : "Allow deletion",
    verb: kept ? "Protect" : "Allow",
    text: kept
      ? `${one.name} can then not be deleted until this is taken back.`
      : `${one.name} can then be deleted, with all it holds.`,
    send: async () => {
      await ask(kept ? "protectVhost" : "unprotectVhost", { name: one.name });
      return kept ? `${one.name} is protected.` : `${one.name} can be deleted.`;
    },
    done: refresh,
  });
}

function remove(one) {
  confirm({
    title: `Delete virtual host ${one.name}`,
    verb: "Delete",
    danger: true,
    typed: one.name,
    text: "All its queues, messages, exchanges, policies and permissions go with it, and its connections are closed.",
    send: async () => {
      await ask("deleteVhost", { name: one.name });
      go(link(["vhosts"]));
      return `Virtual host ${one.name} is deleted.`;
    },
  });
}
