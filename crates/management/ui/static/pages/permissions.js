// Permissions and topic permissions, on the pages of users and virtual hosts.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { button, exchangeName } from "../parts.js";
import { table, to } from "../table.js";

const HINT = "A regular expression on names; empty allows nothing, .* allows all.";

/** `by` is whose name the rows carry: `user` on a virtual host's page, `vhost` on a user's. */
export function permissionTable(rows, { by, refresh }) {
  return table({
    caption: "Permissions",
    empty: "None: no access.",
    rows,
    key: (row) => row[by],
    columns: [
      other(by),
      ...["configure", "write", "read"].map((name) => ({
        title: capital(name),
        cell: (row) => pattern(row[name]),
      })),
      {
        title: "",
        cell: (row) => [
          button("Change…", () => grant({ ...row, given: row, refresh }), "small"),
          " ",
          button(
            "Revoke…",
            () =>
              revoke(
                "deletePermission",
                { vhost: row.vhost, user: row.user },
                `the permissions of ${row.user} in ${row.vhost}`,
                refresh,
              ),
            "small",
          ),
        ],
      },
    ],
  });
}

export function topicPermissionTable(rows, { by, refresh }) {
  return table({
    caption: "Topic permissions",
    empty: "None: every routing key is allowed.",
    rows,
    key: (row) => `${row[by]} ${row.exchange}`,
    columns: [
      other(by),
      { title: "Exchange", cell: (row) => exchangeName(row.exchange) },
      ...["write", "read"].map((name) => ({
        title: capital(name),
        cell: (row) => pattern(row[name]),
      })),
      {
        title: "",
        cell: (row) =>
          button(
            "Revoke…",
            () =>
              revoke(
                "deleteTopicPermission",
                { vhost: row.vhost, user: row.user, exchange: row.exchange },
                `the topic permissions of ${row.user} on ${row.exchange}`,
                refresh,
              ),
            "small",
          ),
      },
    ],
  });
}

function other(by) {
  return {
    title: by === "user" ? "User" : "Virtual host",
    head: true,
    cell: (row) => to([by === "user" ? "users" : "vhosts", row[by]], row[by]),
  };
}

function pattern(text) {
  return text === "" ? h("span", { class: "dim" }, "nothing") : h("code", {}, text);
}

/** Grants; what is not given (user or virtual host) is asked for. */
export function grant({
  user,
  vhost,
  given = { configure: ".*", write: ".*", read: ".*" },
  vhosts,
  users,
  refresh,
}) {
  form({
    title: "Grant permissions",
    verb: "Grant",
    fields: [
      ...ends({ user, vhost, vhosts, users }),
      ...["configure", "write", "read"].map((name) => ({
        name,
        label: capital(name),
        value: given[name],
        hint: HINT,
      })),
    ],
    send: async (values) => {
      const place = { vhost: vhost ?? values.vhost, user: user ?? values.user };
      const { configure = "", write = "", read = "" } = values;
      await ask("putPermission", place, { body: { configure, write, read } });
      return `${place.user} has these permissions in ${place.vhost}.`;
    },
    done: refresh,
  });
}

export function grantTopic({ user, vhost, vhosts, users, refresh }) {
  form({
    title: "Grant topic permissions",
    verb: "Grant",
    fields: [
      ...ends({ user, vhost, vhosts, users }),
      { name: "exchange", label: "Exchange", value: "amq.topic", required: true },
      ...["write", "read"].map((name) => ({
        name,
        label: capital(name),
        value: ".*",
        hint: "A regular expression on routing keys; {username} and {vhost} are put in.",
      })),
    ],
    send: async (values) => {
      const place = { vhost: vhost ?? values.vhost, user: user ?? values.user };
      const { exchange, write = "", read = "" } = values;
      await ask("putTopicPermission", place, { body: { exchange, write, read } });
      return `${place.user} has these topic permissions in ${place.vhost}.`;
    },
    done: refresh,
  });
}

function ends({ user, vhost, vhosts, users }) {
  return [
    user === undefined && end("user", "User", users),
    vhost === undefined && end("vhost", "Virtual host", vhosts),
  ].filter(Boolean);
}

function end(name, label, options) {
  return options ? { name, label, kind: "select", options } : { name, label, required: true };
}

function revoke(request, place, what, refresh) {
  confirm({
    title: "Revoke",
    verb: "Revoke",
    danger: true,
    text: `This takes away ${what}.`,
    send: async () => {
      await ask(request, place);
      return `Revoked ${what}.`;
    },
    done: refresh,
  });
}

function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
