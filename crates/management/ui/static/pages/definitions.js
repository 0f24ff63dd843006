// Definitions: everything but messages, out to a file and in from one.

import { ask } from "../api.js";
import { form } from "../dialog.js";
import { h } from "../dom.js";
import { say } from "../notice.js";
import { button, section } from "../parts.js";
import { vhostNames } from "./vhosts.js";

export const definitions = {
  title: () => "Definitions",

  load: async ({ ask: get }) => ({ vhosts: await vhostNames(get) }),

  view({ vhosts }) {
    const scope = h(
      "select",
      { id: "export-of", "data-own": true },
      h("option", { value: "" }, "the whole cluster"),
      vhosts.map((name) => h("option", { value: name }, `virtual host ${name}`)),
    );
    const run = async () => {
      const place = document.getElementById("export-of").value;
      try {
        await download(place);
      } catch (error) {
        say(error.message, "bad");
      }
    };
    return h(
      "div",
      { class: "content" },
      section(
        "Export",
        h(
          "p",
          {},
          "Users with their password hashes, virtual hosts, permissions, policies, parameters, exchanges, queues and bindings, in the format of RabbitMQ. No messages.",
        ),
        h(
          "div",
          { class: "bar" },
          h("label", { class: "inline", for: "export-of" }, "Of"),
          scope,
          button("Download", run, "primary"),
        ),
      ),
      section(
        "Import",
        h(
          "p",
          {},
          "Adds what is missing and deletes nothing. What exists with other properties stays as it is.",
        ),
        button("Import…", () => load(vhosts), "primary"),
      ),
    );
  },
};

async function download(vhost) {
  const all =
    vhost === "" ? await ask("exportDefinitions") : await ask("exportVhostDefinitions", { vhost });
  const url = URL.createObjectURL(
    new Blob([JSON.stringify(all, undefined, 2)], { type: "application/json" }),
  );
  const day = new Date().toISOString().slice(0, 10);
  const name = `warren-definitions-${vhost === "" ? "" : `${vhost.replace(/[^\w.-]+/g, "_")}-`}${day}.json`;
  h("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
  say(`Saved as ${name}.`);
}

function load(vhosts) {
  form({
    title: "Import definitions",
    verb: "Import",
    wide: true,
    stay: true,
    fields: [
      {
        name: "scope",
        label: "Into",
        kind: "select",
        options: [
          ["", "the whole cluster"],
          ...vhosts.map((name) => [`v${name}`, `virtual host ${name}`]),
        ],
        value: "",
      },
      { name: "file", label: "File", kind: "file", accept: ".json,application/json" },
      { name: "text", label: "Or the text itself", kind: "area", rows: 8 },
    ],
    send: async ({ scope = "", file, text }) => {
      const source = file ? await file.text() : text;
      if (!source) throw new Error("choose a file, or put the text in");
      let body;
      try {
        body = JSON.parse(source);
      } catch (error) {
        throw new Error(`this is not JSON: ${error.message}`);
      }
      if (scope === "") await ask("importDefinitions", {}, { body });
      else await ask("importVhostDefinitions", { vhost: scope.slice(1) }, { body });
      return "Imported.";
    },
  });
}
