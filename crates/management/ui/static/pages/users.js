// Users: the list, and how one is made.

import { h } from "../dom.js";
import { counted } from "../format.js";
import { bar, button, tag } from "../parts.js";
import { tagsOf } from "../session.js";
import { sortHere, table, to } from "../table.js";
import { edit } from "./user.js";

export const users = {
  title: () => "Users",

  async load({ ask }) {
    const [list, permissions] = await Promise.all([ask("users"), ask("permissions")]);
    return list.map((one) => ({
      ...one,
      tags: tagsOf(one).join(", "),
      places: permissions
        .filter(({ user }) => user === one.name)
        .map(({ vhost }) => vhost)
        .join(", "),
    }));
  },

  view(list, { route, refresh }) {
    return h(
      "div",
      { class: "content" },
      bar(
        h("span", { class: "figures" }, counted(list.length, "user")),
        button("New user…", () => edit(undefined, refresh), "primary"),
      ),
      table({
        caption: "Users",
        route,
        rows: sortHere(list, route),
        key: ({ name }) => name,
        empty: "No users.",
        columns: [
          {
            title: "Name",
            sort: "name",
            head: true,
            cell: ({ name }) => to(["users", name], name),
          },
          { title: "Tags", sort: "tags", cell: ({ tags }) => tags },
          {
            title: "May enter",
            sort: "places",
            wide: true,
            cell: ({ places }) => places || tag("no virtual host", "warn"),
          },
          {
            title: "Password",
            cell: ({ password_hash: hash }) =>
              hash === "" ? "none: cannot log in by password" : "set",
          },
          {
            title: "Limits",
            cell: ({ limits }) =>
              Object.entries(limits ?? {})
                .map(([name, limit]) => `${name} ${limit}`)
                .join(", "),
          },
        ],
      }),
    );
  },
};
