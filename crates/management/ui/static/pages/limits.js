// Limits of virtual hosts and of users.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { button, section } from "../parts.js";
import { table, to } from "../table.js";

const KINDS = {
  vhost: {
    title: "Virtual hosts",
    noun: "Virtual host",
    place: "vhosts",
    names: ["max-connections", "max-queues"],
    put: "putVhostLimit",
    remove: "deleteVhostLimit",
  },
  user: {
    title: "Users",
    noun: "User",
    place: "users",
    names: ["max-connections", "max-channels"],
    put: "putUserLimit",
    remove: "deleteUserLimit",
  },
};

export const limits = {
  title: () => "Limits",

  async load({ ask: get }) {
    const [vhost, user, vhosts, users] = await Promise.all([
      get("vhostLimits"),
      get("userLimits"),
      get("vhosts"),
      get("users"),
    ]);
    return {
      vhost,
      user,
      names: { vhost: vhosts.map(({ name }) => name), user: users.map(({ name }) => name) },
    };
  },

  view({ vhost, user, names }, { refresh }) {
    return h(
      "div",
      { class: "content" },
      part("vhost", vhost, names.vhost, refresh),
      part("user", user, names.user, refresh),
    );
  },
};

function part(kind, given, names, refresh) {
  const { title, noun, place } = KINDS[kind];
  const rows = given.flatMap((one) =>
    Object.entries(one.value).map(([name, limit]) => ({ of: one[kind], name, limit })),
  );
  return section(
    title,
    table({
      caption: `Limits: ${title}`,
      empty: "No limits.",
      rows,
      key: (row) => `${row.of} ${row.name}`,
      columns: [
        { title: noun, head: true, cell: (row) => to([place, row.of], row.of) },
        { title: "Limit", cell: (row) => row.name },
        { title: "At most", number: true, cell: (row) => String(row.limit) },
        {
          title: "",
          cell: (row) => [
            button("Change…", () => edit(kind, row, names, refresh), "small"),
            " ",
            button("Lift…", () => lift(kind, row, refresh), "small"),
          ],
        },
      ],
    }),
    button(`Limit a ${noun.toLowerCase()}…`, () => edit(kind, undefined, names, refresh), "small"),
  );
}

function edit(kind, row, names, refresh) {
  const { noun, names: known, put } = KINDS[kind];
  form({
    title: row ? `${row.name} of ${row.of}` : `Limit a ${noun.toLowerCase()}`,
    verb: "Set",
    fields: [
      !row && { name: "of", label: noun, kind: "select", options: names, value: names[0] },
      !row && { name: "name", label: "Limit", kind: "select", options: known, value: known[0] },
      {
        name: "limit",
        label: "At most",
        kind: "number",
        value: row?.limit,
        required: true,
        hint: "0 allows none, -1 is no limit.",
      },
    ].filter(Boolean),
    send: async ({ of = row?.of, name = row?.name, limit }) => {
      await ask(put, { [kind]: of, name }, { body: { value: limit } });
      return `${name} of ${of} is ${limit}.`;
    },
    done: refresh,
  });
}

function lift(kind, row, refresh) {
  confirm({
    title: "Lift limit",
    verb: "Lift",
    text: `${row.of} has no ${row.name} any more.`,
    send: async () => {
      await ask(KINDS[kind].remove, { [kind]: row.of, name: row.name });
      return `${row.name} of ${row.of} is lifted.`;
    },
    done: refresh,
  });
}
