// One user: password and tags, permissions, the end.

import { ask } from "../api.js";
import { confirm, form } from "../dialog.js";
import { h } from "../dom.js";
import { button, facts, section, tag } from "../parts.js";
import { go, link } from "../route.js";
import { tagsOf } from "../session.js";
import { grant, grantTopic, permissionTable, topicPermissionTable } from "./permissions.js";
import { vhostNames } from "./vhosts.js";

const TAGS =
  "administrator, monitoring, policymaker, management; without one of them there is no way in here.";

export const user = {
  title: ({ name }) => `User ${name}`,

  async load({ ask: get, vars }) {
    const [one, permissions, topics, vhosts] = await Promise.all([
      get("user", vars),
      get("userPermissions", vars),
      get("userTopicPermissions", vars),
      vhostNames(get),
    ]);
    return { one, permissions, topics, vhosts };
  },

  view({ one, permissions, topics, vhosts }, { refresh }) {
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "tags", key: "tags" },
        tagsOf(one).map((word) => tag(word)),
        button("Edit…", () => edit(one, refresh), "small"),
        button("Delete…", () => remove(one), "danger small"),
      ),
      section(
        "User",
        facts([
          ["Tags", tagsOf(one).join(", ") || "none: only messaging"],
          ["Password", one.password_hash === "" ? "none: cannot log in by password" : "set"],
          ["Hash", one.hashing_algorithm],
          [
            "Limits",
            Object.entries(one.limits ?? {})
              .map(([name, limit]) => `${name} ${limit}`)
              .join(", ") || "none",
          ],
        ]),
      ),
      section(
        "Permissions",
        permissionTable(permissions, { by: "vhost", refresh }),
        button("Grant…", () => grant({ user: one.name, vhosts, refresh }), "small"),
      ),
      section(
        "Topic permissions",
        topicPermissionTable(topics, { by: "vhost", refresh }),
        button("Grant topic…", () => grantTopic({ user: one.name, vhosts, refresh }), "small"),
      ),
    );
  },
};

/** Makes a user, or changes one: an empty password field keeps the password. */
export function edit(one, refresh) {
  form({
    title: one ? `User ${one.name}` : "New user",
    verb: one ? "Save" : "Create",
    fields: [
      !one && { name: "name", label: "Name", required: true },
      {
        name: "secret",
        label: "Password",
        kind: "select",
        value: one ? "keep" : "set",
        options: [
          one && ["keep", "keep as it is"],
          ["set", "set"],
          ["none", "none: cannot log in by password"],
        ].filter(Boolean),
      },
      {
        name: "password",
        label: "New password",
        kind: "password",
        required: true,
        when: ({ secret }) => secret === "set",
      },
      { name: "tags", label: "Tags", value: one && tagsOf(one).join(","), hint: TAGS },
    ].filter(Boolean),
    send: async ({ name = one?.name, secret, password, tags = "" }) => {
      const body = { tags };
      if (secret === "set") body.password = password;
      else if (secret === "none") body.password_hash = "";
      else
        Object.assign(body, {
          password_hash: one.password_hash,
          hashing_algorithm: one.hashing_algorithm,
        });
      await ask("putUser", { name }, { body });
      return `User ${name} is saved.`;
    },
    done: refresh,
  });
}

function remove(one) {
  confirm({
    title: `Delete user ${one.name}`,
    verb: "Delete",
    danger: true,
    text: "Connections of this user are closed, and its permissions go with it.",
    send: async () => {
      await ask("deleteUser", { name: one.name });
      go(link(["users"]));
      return `User ${one.name} is deleted.`;
    },
  });
}
