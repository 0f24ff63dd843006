// What stands around every page: navigation, cluster, notice line, switches.

import { ask } from "./api.js";
import { h } from "./dom.js";
import { noticeLine } from "./notice.js";
import { link } from "./route.js";
import { currentUser, mayAdminister, mayMonitor } from "./session.js";

/** Seconds between refreshes that can be chosen; 0 is never. */
const INTERVALS = [5, 15, 60, 0];
const THEMES = [
  ["", "System"],
  ["light", "Light"],
  ["dark", "Dark"],
];

const PLACES = [
  [
    "Broker",
    [
      ["", "Overview"],
      ["connections", "Connections"],
      ["channels", "Channels"],
      ["exchanges", "Exchanges"],
      ["queues", "Queues"],
    ],
  ],
  [
    "Cluster",
    [
      ["cluster", "Cluster map"],
      ["nodes", "Nodes"],
    ],
  ],
  [
    "Administration",
    [
      ["users", "Users"],
      ["vhosts", "Virtual hosts"],
      ["policies", "Policies"],
      ["limits", "Limits"],
      ["definitions", "Definitions"],
    ],
  ],
];

const cluster = h("span", { class: "cluster-name" }, "…");
const alarms = h("span", { class: "alarms", role: "status", "aria-live": "polite" });

/** Milliseconds until the next refresh; 0 is never. */
export function interval() {
  const chosen = Number(localStorage.getItem("warren.refresh") ?? INTERVALS[0]);
  return (INTERVALS.includes(chosen) ? chosen : INTERVALS[0]) * 1000;
}

export function shell({ logout, refresh }) {
  const places = PLACES.map(([title, entries]) => [
    title,
    entries.filter(([place]) => allowed(place)),
  ]).filter(([, entries]) => entries.length > 0);
  return [
    // A plain fragment link would change the route, so focus is set by hand.
    h(
      "a",
      {
        class: "skip",
        href: "#page",
        onclick: (event) => {
          event.preventDefault();
          document.getElementById("page").focus();
        },
      },
      "Skip to the page",
    ),
    h(
      "header",
      { class: "top" },
      h(
        "a",
        { class: "brand", href: link([""]) },
        h("img", { src: "icon.svg", alt: "", width: "26", height: "26" }),
        "Warren",
      ),
      cluster,
      alarms,
      h("div", { class: "notices" }, noticeLine()),
      h(
        "div",
        { class: "switches" },
        h(
          "label",
          { class: "inline" },
          h("span", {}, "Refresh"),
          h(
            "select",
            {
              onchange: (event) => {
                localStorage.setItem("warren.refresh", event.target.value);
                refresh();
              },
            },
            INTERVALS.map((seconds) =>
              h(
                "option",
                { value: seconds, selected: seconds * 1000 === interval() },
                seconds === 0 ? "off" : `${seconds} s`,
              ),
            ),
          ),
        ),
        h(
          "label",
          { class: "inline" },
          h("span", {}, "Theme"),
          h(
            "select",
            { onchange: (event) => choose(event.target.value) },
            THEMES.map(([value, text]) =>
              h(
                "option",
                { value, selected: (localStorage.getItem("warren.theme") ?? "") === value },
                text,
              ),
            ),
          ),
        ),
        h("span", { class: "who" }, currentUser().name),
        h("button", { type: "button", class: "small", onclick: logout }, "Log out"),
      ),
    ),
    h(
      "nav",
      { class: "side", "aria-label": "Pages" },
      places.map(([title, entries]) => [
        h("h2", {}, title),
        h(
          "ul",
          {},
          entries.map(([place, text]) =>
            h("li", {}, h("a", { href: link([place]), "data-place": place }, text)),
          ),
        ),
      ]),
    ),
    h("main", { id: "page", class: "page", tabindex: "-1" }),
  ];
}

function allowed(place) {
  if (["users", "vhosts", "definitions", "limits"].includes(place)) return mayAdminister();
  if (["nodes", "cluster"].includes(place)) return mayMonitor();
  return true;
}

/** Marks where the reader is. */
export function showPlace(place) {
  for (const entry of document.querySelectorAll("nav.side a")) {
    if (entry.dataset.place === place) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
}

/** Shows the cluster's name and the alarms of its nodes, on every page. */
export async function showCluster({ overview, nodes } = {}) {
  try {
    const known = overview ?? (await ask("overview"));
    put(cluster, known.cluster_name ?? "");
    if (!mayMonitor()) return;
    const list = nodes ?? (await ask("nodes"));
    put(alarms, list.flatMap(alarmsOf).join(" · "));
  } catch {
    // The page itself has said what is wrong.
  }
}

function alarmsOf(node) {
  const name = node.name;
  if (node.running === false) return [`${name} is down`];
  return [
    node.mem_alarm && `memory alarm on ${name}`,
    node.disk_free_alarm && `disk alarm on ${name}`,
    node.being_drained && `${name} is drained`,
  ].filter(Boolean);
}

/** A live region speaks on every write, so only changes are written. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function choose(theme) {
  if (theme === "") {
    localStorage.removeItem("warren.theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("warren.theme", theme);
    document.documentElement.dataset.theme = theme;
  }
}
