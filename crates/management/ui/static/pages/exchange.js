// One exchange: rates, bindings, publish, bind, delete.

import { chart } from "../chart.js";
import { ask } from "../api.js";
import { confirm } from "../dialog.js";
import { h } from "../dom.js";
import { rate } from "../format.js";
import { points, record, samplesWanted } from "../history.js";
import { argumentList, button, exchangeName, exchangePath, facts, section, tag, yes } from "../parts.js";
import { go, link } from "../route.js";
import { bind, bindingTable } from "./bindings.js";
import { publish } from "./publish.js";

const LINES = [
  { name: "publish_in", label: "In" },
  { name: "publish_out", label: "Out" },
];

export const exchange = {
  title: ({ name }) => `Exchange ${exchangeName(name)}`,

  async load({ ask: get, vars }) {
    const path = { vhost: vars.vhost, name: exchangePath(vars.name) };
    const subject = subjectOf(vars);
    const [one, from, to] = await Promise.all([
      get("exchange", path, samplesWanted(subject)),
      get("exchangeBindingsFrom", path),
      vars.name === "" ? [] : get("exchangeBindingsTo", path),
    ]);
    record(
      subject,
      LINES.map(({ name }) => ({ name, object: one.message_stats })),
      [],
    );
    return { one, from, to };
  },

  view({ one, from, to }, { vars, refresh }) {
    const own = one.name !== "" && !one.name.startsWith("amq.");
    return h(
      "div",
      { class: "content" },
      h(
        "div",
        { class: "tags", key: "tags" },
        tag(one.type),
        button(
          "Publish…",
          () => publish({ vhost: one.vhost, exchange: one.name, refresh }),
          "primary small",
        ),
        one.name !== "" &&
          button("Bind…", () => bind({ vhost: one.vhost, source: one.name, refresh }), "small"),
        own && button("Delete…", () => remove(one), "danger small"),
      ),
      h(
        "div",
        { class: "charts one", key: "charts" },
        chart({
          title: "Message rates",
          format: rate,
          lines: LINES.map((line) => ({ ...line, points: points(subjectOf(vars), line.name) })),
        }),
      ),
      section(
        "Exchange",
        facts([
          ["Virtual host", one.vhost],
          ["Durable", yes(one.durable)],
          ["Auto-delete", yes(one.auto_delete)],
          ["Internal", yes(one.internal)],
          ["Policy", one.policy],
          ["Declared by", one.user_who_performed_action],
          ["Arguments", argumentList(one.arguments, null)],
        ]),
      ),
      section(
        "Bindings from here",
        one.name === ""
          ? h("p", {}, "Every queue is bound here by its name; these bindings cannot be changed.")
          : bindingTable(from, { side: "source", refresh }),
      ),
      one.name !== "" &&
        section("Bindings to here", bindingTable(to, { side: "destination", refresh })),
    );
  },
};

function subjectOf({ vhost, name }) {
  return `exchange ${vhost} ${name}`;
}

function remove(one) {
  confirm({
    title: `Delete exchange ${one.name}`,
    verb: "Delete",
    danger: true,
    text: "Its bindings go with it. Whoever publishes to it afterwards is refused.",
    fields: [{ name: "unused", label: "Only if nothing is bound to it", kind: "checkbox" }],
    send: async ({ unused }) => {
      await ask(
        "deleteExchange",
        { vhost: one.vhost, name: one.name },
        { query: unused ? { "if-unused": "true" } : {} },
      );
      go(link(["exchanges"]));
      return `Exchange ${one.name} is deleted.`;
    },
  });
}
